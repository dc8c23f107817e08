//! The files of a script in memory, and their digest. Nothing here reads a disk.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::resolve::{self, Ask, BadName, ModuleId, ResolveError, Unresolved};
use crate::hash::Fields;

use crate::text::Printable;

/// Names that a script got wrong are shown to this many bytes.
const LONGEST_NAME: usize = 256;

/// A script with everything it requires, and its assets.
#[derive(Debug, Clone)]
pub struct Bundle {
    main: File,
    /// Every file of code or JSON, the main one among them.
    files: BTreeMap<ModuleId, File>,
    assets: BTreeMap<ModuleId, File>,
    targets: Targets,
    folder: String,
    digest: Digest,
    watched: BTreeSet<PathBuf>,
}

/// One file.
#[derive(Debug, Clone)]
pub struct File {
    id: ModuleId,
    shown: String,
    content: Arc<[u8]>,
}

/// What names stand for, by what they were asked for with and by `resolve::target`.
pub(super) type Targets = BTreeMap<(Ask, PathBuf), Target>;

/// What a name stands for.
#[derive(Debug, Clone)]
pub(super) enum Target {
    Found(ModuleId),
    Missing { tried: Vec<String>, near: Option<String> },
    Unusable(String),
}

/// What a bundle is put together from.
pub(super) struct Parts {
    pub(super) main: File,
    pub(super) files: BTreeMap<ModuleId, File>,
    pub(super) assets: BTreeMap<ModuleId, File>,
    pub(super) targets: Targets,
    pub(super) folder: String,
    pub(super) watched: BTreeSet<PathBuf>,
}

impl Bundle {
    pub(super) fn new(parts: Parts) -> Self {
        let Parts { main, files, assets, targets, folder, watched } = parts;
        let digest = Digest::of(&main.id, &files, &assets, &targets);
        Self { main, files, assets, targets, folder, digest, watched }
    }

    /// The file that returns the handler.
    #[must_use]
    pub fn main(&self) -> &File {
        &self.main
    }

    /// Equal digests mean equal files under equal names, whenever they were written.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The folders whose changes can change this bundle; they existed when it was read.
    #[must_use]
    pub fn watched(&self) -> &BTreeSet<PathBuf> {
        &self.watched
    }

    /// Every file of the bundle but the assets.
    pub fn files(&self) -> impl Iterator<Item = &File> {
        self.files.values()
    }

    /// The file that is shown to people, and named to the compiler, as `shown`.
    #[must_use]
    pub fn file(&self, shown: &str) -> Option<&File> {
        self.files.values().find(|file| file.shown == shown)
    }

    /// A line, counted from 1, of the file shown as `shown`, without its line end.
    #[must_use]
    pub fn line(&self, shown: &str, line: usize) -> Option<Cow<'_, str>> {
        self.file(shown)?.line(line)
    }

    /// What `require(name)` or `asset(name)` means in the file `from`.
    ///
    /// # Errors
    /// A person meets the error when the script runs into such a call: see [`Unresolved`].
    pub fn resolve(&self, ask: Ask, from: &ModuleId, name: &str) -> Result<&File, ResolveError> {
        self.lookup(ask, from, name).map_err(|why| {
            let from = self.files.get(from).unwrap_or(&self.main).shown.clone();
            let name = format!("{:.LONGEST_NAME$}", Printable(name.as_bytes()));
            ResolveError { ask, name, from, why }
        })
    }

    fn lookup(&self, ask: Ask, from: &ModuleId, name: &str) -> Result<&File, Unresolved> {
        let files = match ask {
            Ask::Require => &self.files,
            Ask::Asset => &self.assets,
        };
        let target = resolve::target(from, name).map_err(|bad| match bad {
            BadName::NotRelative => Unresolved::NotRelative(ask, plain_name(name)),
            BadName::Outside => Unresolved::Outside { folder: self.folder.clone() },
        })?;
        match self.targets.get(&(ask, target.clone())) {
            Some(Target::Found(id)) => files.get(id).ok_or(Unresolved::NotLiteral(ask)),
            Some(Target::Missing { tried, near }) => {
                Err(Unresolved::Missing { tried: tried.clone(), near: near.clone() })
            }
            Some(Target::Unusable(why)) => Err(Unresolved::Unusable(why.clone())),
            // A name put together at run time may still mean a file that is named elsewhere.
            None => resolve::candidates(ask, &target)
                .iter()
                .find_map(|id| files.get(id))
                .ok_or(Unresolved::NotLiteral(ask)),
        }
    }
}

/// What to write behind `./` in the advice about a name that lacks it.
fn plain_name(name: &str) -> String {
    let name = name.trim_start_matches(['@', '~', '/', '.']);
    if name.is_empty() {
        return "name".to_owned();
    }
    format!("{:.LONGEST_NAME$}", Printable(name.as_bytes()))
}

impl File {
    pub(super) fn new(id: ModuleId, shown: String, content: Arc<[u8]>) -> Self {
        Self { id, shown, content }
    }

    /// Its place in the bundle: the same for every name that leads to it.
    #[must_use]
    pub fn id(&self) -> &ModuleId {
        &self.id
    }

    /// Its path as people are shown it, and its chunk name: `scripts/lib/proto.lua`.
    #[must_use]
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Its text, without byte order mark and `#!` line; lines count as in the file. All bytes of
    /// an asset.
    #[must_use]
    pub fn content(&self) -> &Arc<[u8]> {
        &self.content
    }

    /// A line, counted from 1, without its line end; bytes that are no UTF-8 are replaced.
    #[must_use]
    pub fn line(&self, line: usize) -> Option<Cow<'_, str>> {
        let line = self.content.split(|&byte| byte == b'\n').nth(line.checked_sub(1)?)?;
        Some(String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)))
    }
}

/// The SHA-256 of a bundle's names and contents; shown by its first eight hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    fn of(
        main: &ModuleId,
        files: &BTreeMap<ModuleId, File>,
        assets: &BTreeMap<ModuleId, File>,
        targets: &Targets,
    ) -> Self {
        let mut hash = Fields::default();
        hash.path("main", main.path());
        for (kind, files) in [("file", files), ("asset", assets)] {
            for file in files.values() {
                hash.path(kind, file.id.path());
                hash.field(&file.content);
            }
        }
        for ((ask, path), target) in targets {
            hash.field(ask.to_string().as_bytes());
            match target {
                Target::Found(id) => {
                    hash.path("found", path);
                    hash.field(id.path().as_os_str().as_encoded_bytes());
                }
                Target::Missing { .. } => hash.path("missing", path),
                Target::Unusable(why) => {
                    hash.path("unusable", path);
                    hash.field(why.as_bytes());
                }
            }
        }
        Self(hash.finish())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..4].iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Digest({self})")
    }
}
