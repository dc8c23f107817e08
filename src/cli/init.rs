//! `scriptsock init [DIR]`: what was typed, and what is written. Doc comments are the help text.
//! The templates are in `init/template`, files are written by `init/place`.

mod place;
mod template;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::Exit;
use super::failure::fail;
use crate::reference::{LUALS_TYPES, LUAU_TYPES};
use template::{TEMPLATES, Template};

/// Where the server looks for a handler that is not named.
const HANDLER: &str = "scripts/handler.lua";

/// The dialogue, which names the handler.
const DIALOGUE: &str = "tests/handler.dialogue";

/// What editors go by: for luau-lsp, Luau itself and LuaLS, and the API's types.
const EDITOR: [(&str, &str); 5] = [
    (".vscode/settings.json", include_str!("init/editor/settings.json")),
    (".luaurc", include_str!("init/editor/luaurc.json")),
    (".luarc.json", include_str!("init/editor/luarc.json")),
    ("types/scriptsock.d.luau", LUAU_TYPES),
    ("types/scriptsock.meta.lua", LUALS_TYPES),
];

const MORE: &str = "\
Templates:
  line     commands, a line each, and an answer to each
  session  a conversation, question by question, as straight-line code
  binary   messages with a length in front, packed and unpacked
  udp      numbered requests, so that one which is sent again is not done again
  device   an instrument that is asked for readings, and reports them by itself

Written are scripts/handler.lua, tests/handler.dialogue, which says what the handler answers and
is played by `scriptsock test`, and for editors .vscode/settings.json, .luaurc, .luarc.json and
types/. No file is overwritten: where one is in the way, nothing is written and the exit status
is 1.

Examples:
  scriptsock init
  scriptsock init thermometer --template device";

/// What was typed, value by value.
#[derive(Debug, Clone, Args)]
#[command(after_help = MORE)]
pub struct InitOptions {
    /// The folder; it is made where it does not exist [default: the current one]
    #[arg(value_name = "DIR", default_value = ".", hide_default_value = true)]
    folder: PathBuf,

    /// What to begin with: line, session, binary, udp or device
    #[arg(short, long, value_name = "NAME", hide_possible_values = true, default_value = "line", value_parser = template())]
    template: &'static Template,

    /// Write no settings and types for editors
    #[arg(long)]
    no_editor: bool,
}

impl InitOptions {
    /// Writes the files, and says what to type next.
    #[must_use]
    pub fn run(&self) -> Exit {
        self.write().map_or_else(|error| fail("scriptsock init", &error), |()| Exit::Stopped)
    }

    fn write(&self) -> anyhow::Result<()> {
        let mut files = vec![(HANDLER, self.template.handler), (DIALOGUE, self.template.dialogue)];
        if !self.no_editor {
            files.extend(EDITOR);
        }
        let in_the_way = place::in_the_way(&self.folder, &files)?;
        if !in_the_way.is_empty() {
            bail!("{}", self.refusal(&in_the_way));
        }
        place::write(&self.folder, &files)?;
        self.tell(&files)?;
        Ok(())
    }

    /// Why nothing was written.
    fn refusal(&self, in_the_way: &[&str]) -> String {
        let (are, names) = match in_the_way {
            [one] => ("is", (*one).to_owned()),
            many => ("are", many.join(", ")),
        };
        let is_editors = |name: &&str| EDITOR.iter().any(|(known, _)| known == name);
        let way_out = if in_the_way.iter().all(is_editors) {
            "give --no-editor, or another folder"
        } else {
            "give another folder: scriptsock init DIR"
        };
        format!("{names} {are} there already in {}; nothing was written: {way_out}", self.shown())
    }

    fn tell(&self, files: &[(&str, &str)]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        for (name, _) in files {
            writeln!(out, "wrote {}", self.folder.join(name).display())?;
        }
        let start = if self.is_here() {
            "scriptsock".to_owned()
        } else {
            format!("cd {} && scriptsock", quoted(&self.folder))
        };
        writeln!(out, "\nnow type:                 {start}")?;
        writeln!(out, "and in a second terminal: {}", self.template.attempt)?;
        writeln!(out, "after a change:           scriptsock test    plays {DIALOGUE}")?;
        out.flush()
    }

    fn is_here(&self) -> bool {
        self.folder.as_os_str() == "." || self.folder.as_os_str().is_empty()
    }

    fn shown(&self) -> String {
        if self.is_here() { "this folder".to_owned() } else { self.folder.display().to_string() }
    }
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+@%".contains(c);
    if text.chars().all(is_plain) && !text.starts_with('-') {
        return text;
    }
    let from_here = if text.starts_with('-') { "./" } else { "" };
    format!("'{from_here}{}'", text.replace('\'', r"'\''"))
}

fn template() -> impl TypedValueParser<Value = &'static Template> {
    let names = TEMPLATES.iter().map(|template| template.name);
    PossibleValuesParser::new(names).map(|name| {
        // The parser lets no other name pass.
        TEMPLATES.iter().find(|template| template.name == name).unwrap_or(&TEMPLATES[0])
    })
}
