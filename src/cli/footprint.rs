//! The memory that a server is seen to hold. Its start touches most of the program's code once: it
//! reads a command line, compiles a script, makes a VM. What of that code a message needs comes
//! back from the system's cache of files when it is touched; the rest need not stay mapped, which is
//! a good third of the resident memory of an idle server.

#![allow(unsafe_code)]

use std::ops::Range;

/// Lets go of the code that has run so far. Where the system does not tell what is mapped, or is
/// not Linux, nothing happens: it costs memory and nothing else.
pub fn let_go_of_code() {
    #[cfg(target_os = "linux")]
    if let Ok(mappings) = std::fs::read_to_string("/proc/self/smaps") {
        unchanged_code(&mappings).for_each(unmap);
    }
}

/// Drops the pages of a mapping that [`unchanged_code`] found just now.
#[cfg(target_os = "linux")]
fn unmap(code: Range<usize>) {
    use rustix::mm::{Advice, madvise};

    let start = std::ptr::with_exposed_provenance_mut(code.start);
    // SAFETY: the range is a mapping of a file that no page differs from and nobody can write to,
    // so that each page comes back as it was when it is touched again. Nothing here unloads a
    // library, so the range is still the mapping that was read of.
    let _ = unsafe { madvise(start, code.len(), Advice::LinuxDontNeed) };
}

/// The addresses of code in `mappings`, a text as that of `/proc/PID/smaps` (proc(5)), that is as in
/// its file: a debugger's breakpoint makes a page differ.
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
fn unchanged_code(mappings: &str) -> impl Iterator<Item = Range<usize>> {
    let mut code = None;
    mappings.lines().filter_map(move |line| {
        if let Some(changed) = line.strip_prefix("Anonymous:") {
            return code.take().filter(|_| changed.trim() == "0 kB");
        }
        if let Some((range, rest)) = mapping(line) {
            let is_code = rest.starts_with("r-xp") && rest.contains(" /");
            code = is_code.then_some(range);
        }
        None
    })
}

/// The addresses that the first line about a mapping begins with, and the rest of the line.
fn mapping(line: &str) -> Option<(Range<usize>, &str)> {
    let (range, rest) = line.split_once(' ')?;
    let (start, end) = range.split_once('-')?;
    let address = |text| usize::from_str_radix(text, 16).ok();
    Some((address(start)?..address(end)?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_found_that_is_as_in_its_file() {
        let mappings = "\
1000-3000 r--p 00000000 fe:00 1234                             /usr/bin/scriptsock
Size:                  8 kB
Anonymous:             0 kB
3000-7000 r-xp 00002000 fe:00 1234                             /usr/bin/scriptsock
Size:                 16 kB
Rss:                  12 kB
Anonymous:             0 kB
LazyFree:              0 kB
8000-9000 r-xp 00000000 fe:00 1235                             /usr/lib/a library.so
Anonymous:             4 kB
9000-a000 r-xp 00000000 fe:00 1236                             /usr/lib/another library.so
Anonymous:             0 kB
b000-c000 rwxp 00000000 00:00 0
Anonymous:             0 kB
c000-d000 r-xp 00000000 00:00 0                                [vdso]
Anonymous:             0 kB
e000-f000 r-xs 00000000 fe:00 1237                             /dev/shared
Anonymous:             0 kB
";
        let found: Vec<_> = unchanged_code(mappings).collect();
        assert_eq!(found, [0x3000..0x7000, 0x9000..0xa000]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn code_runs_on_after_it_was_let_go_of() {
        let mappings = std::fs::read_to_string("/proc/self/smaps").unwrap();
        assert!(unchanged_code(&mappings).count() > 0, "{mappings}");
        let_go_of_code();
        assert_eq!(format!("{:?}", mapping("10-20 r")), "Some((16..32, \"r\"))");
    }
}
