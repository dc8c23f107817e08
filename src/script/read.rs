//! Reads a script, the static closure of what it requires, and its assets from the disk. What a
//! name means is `resolve`'s business, which names a file asks for is `requires`'s.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fmt, fs};

use super::builtin::Builtin;
use super::bundle::{Bundle, File, Parts, Target, Targets};
use super::resolve::{self, Ask, ModuleId};
use super::{folders, requires};

/// A script is written by hand; what is larger was named by mistake.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// Folders that link to themselves could otherwise be walked without end.
const MAX_FILES: usize = 4096;

/// Why a script could not be read; one line that names the file.
#[derive(Debug, thiserror::Error)]
#[error("script {shown} {why}")]
pub struct ReadError {
    /// The file as people are shown it.
    pub shown: String,
    /// What is wrong with it.
    pub why: Unreadable,
}

impl ReadError {
    /// Whether the file is not there, which means to wait until it returns.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self.why, Unreadable::Missing)
    }
}

/// What is wrong with a file that cannot be read as a script.
#[derive(Debug)]
#[non_exhaustive]
pub enum Unreadable {
    /// It does not exist, or it is a symbolic link that leads nowhere.
    Missing,
    /// It is a directory.
    Directory,
    /// It is a pipe, a socket or a device.
    NotRegular,
    /// It is larger than 16 MiB.
    TooLarge,
    /// It begins with control bytes, as bytecode does.
    NotText,
    /// It asks, directly or not, for more than 4096 files.
    TooMany,
    /// The operating system refuses.
    Io(io::Error),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.describe(Content::Lua, out)
    }
}

impl Unreadable {
    /// What is wrong with a file that should have held `content`.
    fn describe(&self, content: Content, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wanted = match content {
            Content::Lua => "a Lua file",
            Content::Json => "a JSON file",
            Content::Bytes => "a file",
        };
        match self {
            Self::Missing => out.write_str("does not exist"),
            Self::Directory => write!(out, "is a directory, expected {wanted}"),
            Self::NotRegular => write!(out, "is not a regular file, expected {wanted}"),
            Self::TooLarge => write!(out, "is larger than {} MiB", MAX_FILE_BYTES >> 20),
            Self::NotText => {
                out.write_str("is not text; only text is loaded as a script, no bytecode")
            }
            Self::TooMany => write!(out, "requires more than {MAX_FILES} files"),
            Self::Io(error) => write!(out, "cannot be read: {error}"),
        }
    }
}

impl From<io::Error> for Unreadable {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::Missing,
            io::ErrorKind::IsADirectory => Self::Directory,
            _ => Self::Io(error),
        }
    }
}

/// Reads the script at the absolute `path`, which people are shown as `shown`.
pub(super) fn from_disk(path: &Path, shown: &Path) -> Result<Bundle, ReadError> {
    let mut reader = Reader::new(path, shown);
    reader.run(path).map_err(|why| ReadError { shown: shown.display().to_string(), why })
}

/// The bundle of a built-in handler, which is one file.
pub(super) fn from_builtin(builtin: &Builtin, watched: BTreeSet<PathBuf>) -> Bundle {
    let main = File::new(
        ModuleId::new(Path::new(builtin.name)),
        format!("built-in {}", builtin.name),
        builtin.text.as_bytes().into(),
    );
    Bundle::new(Parts {
        files: BTreeMap::from([(main.id().clone(), main.clone())]),
        main,
        assets: BTreeMap::new(),
        targets: Targets::new(),
        folder: "of built-in handlers".to_owned(),
        watched,
    })
}

/// Opens a script's file; that it is regular is checked first, as opening a pipe would wait.
pub(super) fn open(path: &Path) -> Result<fs::File, Unreadable> {
    let found = fs::metadata(path)?;
    if found.is_dir() {
        return Err(Unreadable::Directory);
    }
    if !found.is_file() {
        return Err(Unreadable::NotRegular);
    }
    Ok(fs::File::open(path)?)
}

/// What a file is read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Lua,
    Json,
    Bytes,
}

impl Content {
    fn of(ask: Ask, id: &ModuleId) -> Self {
        match ask {
            Ask::Asset => Self::Bytes,
            Ask::Require if id.is_json() => Self::Json,
            Ask::Require => Self::Lua,
        }
    }
}

fn load(path: &Path, content: Content) -> Result<Arc<[u8]>, Unreadable> {
    let mut bytes = Vec::new();
    open(path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(Unreadable::TooLarge);
    }
    if content == Content::Bytes {
        return Ok(bytes.into());
    }
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    if content == Content::Json {
        return Ok(text.into());
    }
    // Bytecode begins with its version, which may be the number of a tab, and has others near.
    let is_text = |byte: &u8| !byte.is_ascii_control() || matches!(byte, b'\t'..=b'\r');
    if !text.iter().take(16).all(is_text) {
        return Err(Unreadable::NotText);
    }
    Ok(without_interpreter_line(text).into())
}

/// Without a `#!` line, but for its end: the lines behind it keep their numbers.
fn without_interpreter_line(text: &[u8]) -> &[u8] {
    if !text.starts_with(b"#!") {
        return text;
    }
    &text[memchr::memchr(b'\n', text).unwrap_or(text.len())..]
}

struct Reader {
    root: PathBuf,
    shown_root: PathBuf,
    files: BTreeMap<ModuleId, File>,
    assets: BTreeMap<ModuleId, File>,
    targets: Targets,
    watched: BTreeSet<PathBuf>,
    /// Files of code whose requires have not been looked at yet.
    unscanned: Vec<ModuleId>,
}

impl Reader {
    fn new(path: &Path, shown: &Path) -> Self {
        let parent = |path: &Path| path.parent().unwrap_or(Path::new("")).to_path_buf();
        Self {
            root: parent(path),
            shown_root: parent(shown),
            files: BTreeMap::new(),
            assets: BTreeMap::new(),
            targets: Targets::new(),
            watched: BTreeSet::new(),
            unscanned: Vec::new(),
        }
    }

    fn run(&mut self, path: &Path) -> Result<Bundle, Unreadable> {
        let id = ModuleId::new(Path::new(path.file_name().ok_or(Unreadable::Directory)?));
        folders::watched(path, &mut self.watched);
        let main = self.add(Content::Lua, &id, load(path, Content::Lua)?);
        while let Some(id) = self.unscanned.pop() {
            self.scan(&id);
            if self.files.len() + self.assets.len() > MAX_FILES {
                return Err(Unreadable::TooMany);
            }
        }
        Ok(Bundle::new(Parts {
            main,
            files: std::mem::take(&mut self.files),
            assets: std::mem::take(&mut self.assets),
            targets: std::mem::take(&mut self.targets),
            folder: shown_folder(&self.shown_root),
            watched: std::mem::take(&mut self.watched),
        }))
    }

    fn add(&mut self, content: Content, id: &ModuleId, bytes: Arc<[u8]>) -> File {
        let file = File::new(id.clone(), self.shown(id.path()), bytes);
        self.of(content).insert(id.clone(), file.clone());
        if content == Content::Lua {
            self.unscanned.push(id.clone());
        }
        file
    }

    fn of(&mut self, content: Content) -> &mut BTreeMap<ModuleId, File> {
        match content {
            Content::Lua | Content::Json => &mut self.files,
            Content::Bytes => &mut self.assets,
        }
    }

    fn shown(&self, path: &Path) -> String {
        self.shown_root.join(path).display().to_string()
    }

    fn scan(&mut self, id: &ModuleId) {
        let Some(content) = self.files.get(id).map(|file| file.content().clone()) else {
            return;
        };
        for (ask, name) in requires::named(&content) {
            // A name that means no file of the tree is an error once the script asks for it.
            let Ok(target) = resolve::target(id, &name) else { continue };
            let key = (ask, target);
            if !self.targets.contains_key(&key) {
                let found = self.find(ask, &key.1);
                self.targets.insert(key, found);
            }
        }
    }

    /// The first candidate that exists, read into the bundle.
    fn find(&mut self, ask: Ask, target: &Path) -> Target {
        let candidates = resolve::candidates(ask, target);
        for id in &candidates {
            let content = Content::of(ask, id);
            let path = self.root.join(id.path());
            folders::watched(&path, &mut self.watched);
            if self.of(content).contains_key(id) {
                return Target::Found(id.clone());
            }
            match self.load_inside(&path, content) {
                Ok(bytes) => {
                    self.add(content, id, bytes);
                    return Target::Found(id.clone());
                }
                Err(Outside::No(_, Unreadable::Missing)) => {}
                Err(why) => return Target::Unusable(format!("{} {why}", self.shown(id.path()))),
            }
        }
        let near = self.nearest(&candidates, target);
        let tried = candidates.iter().map(|id| self.shown(id.path())).collect();
        Target::Missing { tried, near }
    }

    fn load_inside(&self, path: &Path, content: Content) -> Result<Arc<[u8]>, Outside> {
        let real = |path: &Path| {
            path.canonicalize().map_err(|error| Outside::No(content, Unreadable::from(error)))
        };
        if !real(path)?.starts_with(real(&self.root)?) {
            return Err(Outside::Yes(shown_folder(&self.shown_root)));
        }
        load(path, content).map_err(|why| Outside::No(content, why))
    }

    /// A file beside the missing `target` that may have been meant, by the last part of its name;
    /// without the ending where `candidates` are code.
    fn nearest(&self, candidates: &[ModuleId], target: &Path) -> Option<String> {
        let is_code = candidates.first()?.path().extension().is_some_and(|ending| ending == "lua");
        let folder = fs::read_dir(self.root.join(target).parent()?).ok()?;
        let names: Vec<String> = folder
            .take(MAX_FILES)
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter_map(|name| {
                if is_code { name.strip_suffix(".lua").map(str::to_owned) } else { Some(name) }
            })
            .collect();
        let wanted = if is_code { target.file_stem() } else { target.file_name() };
        crate::text::nearest(wanted?.to_str()?, names.iter().map(String::as_str)).map(str::to_owned)
    }
}

/// Why a file is not in the bundle.
enum Outside {
    Yes(String),
    No(Content, Unreadable),
}

impl fmt::Display for Outside {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Yes(folder) => {
                write!(out, "is a symbolic link that leads outside the script's folder {folder}")
            }
            Self::No(content, why) => why.describe(*content, out),
        }
    }
}

fn shown_folder(root: &Path) -> String {
    if root.as_os_str().is_empty() { ".".to_owned() } else { root.display().to_string() }
}
