//! What the name of a module or an asset means: pure paths, no disk. Whether the file is there is
//! `read`'s business.

use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// What a script asks for a file with; displayed as the function's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ask {
    /// As code, or as data where it is JSON.
    Require,
    /// As bytes.
    Asset,
}

impl fmt::Display for Ask {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Require => "require",
            Self::Asset => "asset",
        })
    }
}

/// A file of a bundle: its path below the script's folder, `lib/proto.lua`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModuleId(Arc<Path>);

impl ModuleId {
    pub(super) fn new(path: &Path) -> Self {
        Self(path.into())
    }

    /// The path below the script's folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Whether the file holds data, not code.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.0.extension().is_some_and(|ending| ending == "json")
    }
}

/// Why `require` or `asset` failed; one line that names the asking file and, for a file that is
/// not there, every place that was tried.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot {} {name:?} from {from}: {why}", verb(*ask))]
pub struct ResolveError {
    /// What it was asked for with.
    pub ask: Ask,
    /// The name as the script wrote it.
    pub name: String,
    /// The asking file, as people are shown it.
    pub from: String,
    /// What is wrong.
    pub why: Unresolved,
}

fn verb(ask: Ask) -> &'static str {
    match ask {
        Ask::Require => "require",
        Ask::Asset => "read asset",
    }
}

/// What is wrong with a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unresolved {
    /// It does not begin with `./` or `../`.
    #[error("a file's name must begin with ./ or ../, as in {0}(\"./{1}\")")]
    NotRelative(Ask, String),
    /// It climbs out of the script's folder.
    #[error("it leads outside the script's folder {folder}")]
    Outside {
        /// The script's folder, as people are shown it.
        folder: String,
    },
    /// It was put together at run time, so that its file is not in the bundle.
    #[error("{}", literal(*.0))]
    NotLiteral(Ask),
    /// No such file.
    #[error("no such file, tried {}{}", tried.join(" and "), did_you_mean(near.as_deref()))]
    Missing {
        /// Every path tried, as people are shown it.
        tried: Vec<String>,
        /// A name in the same folder that may have been meant.
        near: Option<String>,
    },
    /// The file is there and cannot be used; the text names it and says why.
    #[error("{0}")]
    Unusable(String),
}

fn literal(ask: Ask) -> &'static str {
    match ask {
        Ask::Require => {
            "required files must be named in a string literal, as in require(\"./lib/proto\")"
        }
        Ask::Asset => "assets must be named in a string literal, as in asset(\"./firmware.bin\")",
    }
}

fn did_you_mean(near: Option<&str>) -> String {
    near.map(|near| format!("; did you mean {near:?}?")).unwrap_or_default()
}

/// A name that cannot mean any file of the tree.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BadName {
    NotRelative,
    Outside,
}

/// The path below the script's folder that `name` means in the file `from`, as written: without
/// the `.lua` that may have been left out.
pub(super) fn target(from: &ModuleId, name: &str) -> Result<PathBuf, BadName> {
    if !name.starts_with("./") && !name.starts_with("../") {
        return Err(BadName::NotRelative);
    }
    let mut path = from.path().parent().unwrap_or(Path::new("")).to_path_buf();
    for component in Path::new(name).components() {
        match component {
            Component::ParentDir if !path.pop() => return Err(BadName::Outside),
            Component::Normal(part) => path.push(part),
            _ => {}
        }
    }
    Ok(path)
}

/// The files that `target` may stand for, in the order of preference.
pub(super) fn candidates(ask: Ask, target: &Path) -> Vec<ModuleId> {
    if ask == Ask::Asset {
        return vec![ModuleId::new(target)];
    }
    if target.as_os_str().is_empty() {
        return vec![ModuleId::new(Path::new("init.lua"))];
    }
    if target.extension().is_some_and(|ending| ending == "lua" || ending == "json") {
        return vec![ModuleId::new(target)];
    }
    // Not `with_extension`: "./v1.2" means `v1.2.lua`.
    let mut file = target.as_os_str().to_owned();
    file.push(".lua");
    vec![ModuleId::new(Path::new(&file)), ModuleId::new(&target.join("init.lua"))]
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]
mod tests {
    use super::*;

    fn files(from: &str, name: &str) -> Result<Vec<String>, BadName> {
        let target = target(&ModuleId::new(Path::new(from)), name)?;
        Ok(candidates(Ask::Require, &target)
            .iter()
            .map(|id| id.path().display().to_string())
            .collect())
    }

    #[test]
    fn a_name_is_relative_to_the_requiring_file() {
        assert_eq!(files("a.lua", "./b").unwrap(), ["b.lua", "b/init.lua"]);
        assert_eq!(files("a.lua", "./lib/b").unwrap(), ["lib/b.lua", "lib/b/init.lua"]);
        assert_eq!(files("lib/a.lua", "./b").unwrap(), ["lib/b.lua", "lib/b/init.lua"]);
        assert_eq!(files("lib/a.lua", "../b").unwrap(), ["b.lua", "b/init.lua"]);
        assert_eq!(files("lib/a.lua", ".././x/../b").unwrap(), ["b.lua", "b/init.lua"]);
    }

    #[test]
    fn endings_are_kept_and_added() {
        assert_eq!(files("a.lua", "./b.lua").unwrap(), ["b.lua"]);
        assert_eq!(files("a.lua", "./b.json").unwrap(), ["b.json"]);
        assert_eq!(files("a.lua", "./v1.2").unwrap(), ["v1.2.lua", "v1.2/init.lua"]);
        assert_eq!(files("a.lua", "./").unwrap(), ["init.lua"]);
        assert_eq!(files("lib/x/a.lua", "../").unwrap(), ["lib.lua", "lib/init.lua"]);
    }

    #[test]
    fn an_asset_is_the_file_of_its_name() {
        let target = target(&ModuleId::new(Path::new("lib/a.lua")), "../b").unwrap();
        assert_eq!(candidates(Ask::Asset, &target), [ModuleId::new(Path::new("b"))]);
    }

    #[test]
    fn a_name_stays_below_the_folder() {
        assert_eq!(files("a.lua", "../b"), Err(BadName::Outside));
        assert_eq!(files("lib/a.lua", "../../b"), Err(BadName::Outside));
        assert_eq!(files("a.lua", "./x/../../b"), Err(BadName::Outside));
    }

    #[test]
    fn other_names_are_refused() {
        for name in ["b", "/b", ".", "..", "", ".b/c", "@lib/b", "~/b"] {
            assert_eq!(files("a.lua", name), Err(BadName::NotRelative), "{name}");
        }
    }
}
