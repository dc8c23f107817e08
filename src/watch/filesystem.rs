//! Tells file systems that do not report every change: those whose files others change, too.

use std::path::Path;

/// The kind of file system below `path`, if it is one that cannot be trusted to notify.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn without_notification(path: &Path) -> Option<&'static str> {
    let magic = nix::sys::statfs::statfs(path).ok()?.filesystem_type().0;
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the kernel's number has 32 bits, the type's width and sign differ by platform"
    )]
    kind(magic as u32)
}

/// Elsewhere notify's own errors have to do.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn without_notification(_path: &Path) -> Option<&'static str> {
    None
}

/// By the numbers of statfs(2) and the kernel's `magic.h`.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn kind(magic: u32) -> Option<&'static str> {
    match magic {
        0x6969 => Some("NFS"),
        0x517b | 0xff53_4d42 | 0xfe53_4d42 => Some("a Windows share"),
        0x6573_5546 => Some("FUSE"),
        0x0102_1997 => Some("a 9p mount"),
        0x00c3_6400 => Some("Ceph"),
        0x0bd0_0bd0 => Some("Lustre"),
        0x5346_414f => Some("AFS"),
        0x7375_7245 => Some("Coda"),
        0x786f_4256 => Some("a VirtualBox folder"),
        _ => None,
    }
}

#[cfg(all(test, any(target_os = "linux", target_os = "android")))]
#[allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]
mod tests {
    use super::*;
    use nix::sys::statfs::{FUSE_SUPER_MAGIC, NFS_SUPER_MAGIC, SMB_SUPER_MAGIC, TMPFS_MAGIC};

    #[test]
    fn network_file_systems_are_told_from_local_ones() {
        let kind = |magic: nix::sys::statfs::FsType| kind(magic.0.try_into().unwrap());
        assert_eq!(kind(NFS_SUPER_MAGIC), Some("NFS"));
        assert_eq!(kind(SMB_SUPER_MAGIC), Some("a Windows share"));
        assert_eq!(kind(FUSE_SUPER_MAGIC), Some("FUSE"));
        assert_eq!(kind(TMPFS_MAGIC), None);
        assert_eq!(without_notification(Path::new("/proc")), None);
    }
}
