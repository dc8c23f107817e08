//! The dialogue of `--dialogue FILE`, read and found playable before anything connects.

use super::{BenchOptions, is_datagram, read};
use crate::cli::usage::UsageError;
use crate::load::ends_connection;
use crate::net::Transport;
use crate::transcript::{Client, Dialogue};

impl BenchOptions {
    /// What a dialogue has its client do, and whether it ends the connection.
    pub(super) fn dialogue(&self) -> Result<Option<(Client, bool)>, UsageError> {
        let Some(path) = &self.dialogue else { return Ok(None) };
        let file = path.display().to_string();
        let refuse = |problem: String| UsageError::new(format!("--dialogue '{file}': {problem}"));
        let text = read(path).map_err(refuse)?;
        let dialogue = Dialogue::parse(&file, &text)
            .map_err(|mistakes| UsageError::with_lines("mistakes in the dialogue", &mistakes))?;
        let client = dialogue
            .client(Transport::of(&self.url))
            .map_err(|error| UsageError::new(format!("--dialogue: {error}")))?;
        let ends = ends_connection(&client)
            .map_err(|problem| UsageError::new(format!("--dialogue: {problem}")))?;
        if ends && is_datagram(&self.url) {
            return Err(refuse(format!("it ends its connection, which {} has not", self.url)));
        }
        Ok(Some((client, ends)))
    }
}
