//! Which folders have to be watched so that no change of what a path leads to goes unseen.

use std::collections::{BTreeSet, VecDeque};
use std::ffi::OsString;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// The kernel follows no more symbolic links than this in one path.
const MAX_LINKS: usize = 40;

/// Adds the folders that decide what the absolute `path` leads to: the one that holds the file,
/// the ones that hold each symbolic link on the way and the link's target, and for a file that is
/// missing the nearest folder that exists.
///
/// A change further up, such as a rename of a grandparent, is not covered.
pub(super) fn watched(path: &Path, folders: &mut BTreeSet<PathBuf>) {
    let mut here = PathBuf::from("/");
    let mut ahead: VecDeque<Step> = steps(path);
    let mut links = 0;
    while let Some(Step { name, holder_counts }) = ahead.pop_front() {
        if name == ".." {
            here.pop();
            continue;
        }
        let next = here.join(&name);
        let Ok(found) = fs::symlink_metadata(&next) else {
            break;
        };
        if found.is_symlink() {
            folders.insert(here.clone());
            links += 1;
            let Ok(target) = fs::read_link(&next) else { break };
            if links > MAX_LINKS {
                break;
            }
            follow(&target, &mut here, &mut ahead);
            continue;
        }
        if holder_counts {
            folders.insert(here.clone());
        }
        if !found.is_dir() {
            break;
        }
        // The folder that a path ends in is not entered: its holder is what is watched.
        if !ahead.is_empty() {
            here = next;
        }
    }
    folders.insert(here);
}

struct Step {
    name: OsString,
    /// Whether the folder that holds this step is to be watched in any case.
    holder_counts: bool,
}

fn follow(target: &Path, here: &mut PathBuf, ahead: &mut VecDeque<Step>) {
    if target.is_absolute() {
        *here = PathBuf::from("/");
    }
    let mut inserted = steps(target);
    if let Some(last) = inserted.back_mut() {
        last.holder_counts = true;
    }
    inserted.append(ahead);
    *ahead = inserted;
}

fn steps(path: &Path) -> VecDeque<Step> {
    let names = path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        _ => None,
    });
    names.map(|name| Step { name, holder_counts: false }).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// The watched folders of `path`, below a fresh folder that `lay_out` has filled.
    fn folders(path: &str, lay_out: impl Fn(&Path)) -> Vec<String> {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().canonicalize().unwrap();
        lay_out(&root);
        let mut found = BTreeSet::new();
        watched(&root.join(path), &mut found);
        let below = |path: &PathBuf| path.strip_prefix(&root).unwrap().display().to_string();
        found.iter().map(below).collect()
    }

    #[test]
    fn a_plain_file_is_watched_by_its_folder() {
        let found = folders("a/b/x.lua", |root| {
            fs::create_dir_all(root.join("a/b")).unwrap();
            fs::write(root.join("a/b/x.lua"), "").unwrap();
        });
        assert_eq!(found, ["a/b"]);
    }

    #[test]
    fn a_missing_file_is_watched_by_the_nearest_folder_there_is() {
        assert_eq!(folders("x.lua", |_| ()), [""]);
        assert_eq!(folders("a/b/x.lua", |root| fs::create_dir(root.join("a")).unwrap()), ["a"]);
    }

    #[test]
    fn a_link_is_watched_with_its_target() {
        let found = folders("a/x.lua", |root| {
            fs::create_dir(root.join("a")).unwrap();
            fs::create_dir(root.join("b")).unwrap();
            fs::write(root.join("b/y.lua"), "").unwrap();
            symlink("../b/y.lua", root.join("a/x.lua")).unwrap();
        });
        assert_eq!(found, ["a", "b"]);
    }

    #[test]
    fn a_config_map_is_watched_by_its_folder_and_the_current_version() {
        let found = folders("x.lua", |root| {
            fs::create_dir(root.join("..2024_01_01")).unwrap();
            fs::write(root.join("..2024_01_01/x.lua"), "").unwrap();
            symlink("..2024_01_01", root.join("..data")).unwrap();
            symlink("..data/x.lua", root.join("x.lua")).unwrap();
        });
        assert_eq!(found, ["", "..2024_01_01"]);
    }

    #[test]
    fn a_linked_folder_is_watched_by_both_its_holders() {
        let found = folders("current/scripts/x.lua", |root| {
            fs::create_dir_all(root.join("releases/5/scripts")).unwrap();
            fs::write(root.join("releases/5/scripts/x.lua"), "").unwrap();
            symlink(root.join("releases/5"), root.join("current")).unwrap();
        });
        assert_eq!(found, ["", "releases", "releases/5/scripts"]);
    }

    #[test]
    fn a_dangling_link_and_a_circle_end_the_walk() {
        let dangling = |root: &Path| symlink("gone/x.lua", root.join("x.lua")).unwrap();
        assert_eq!(folders("x.lua", dangling), [""]);
        let circle = |root: &Path| symlink("x.lua", root.join("x.lua")).unwrap();
        assert_eq!(folders("x.lua", circle), [""]);
    }
}
