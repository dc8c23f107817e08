//! `scriptsock record`: what was typed, its way to a proxy and a recorder, and how it ended. Doc
//! comments are the help text.

use std::ffi::OsString;
use std::io::{self, Write};
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use tokio::runtime::{self, LocalOptions};
use tracing::{info, warn};

use super::failure::fail;
use super::log::{self, Format, Level, LogOptions};
use super::signals;
use super::usage::UsageError;
use super::{BACKLOG, Exit, address, server};
use crate::net::address::{Address, Listen};
use crate::net::bind::{BindError, Bound, bind};
use crate::net::server::Server;
use crate::net::{Listener, Transport, descriptors};
use crate::proxy::{self, Counts};
use crate::recorder::{self, Place, Summary};
use crate::server::{Control, Ended};

const LISTEN: &str = "Where clients connect: tcp://HOST:PORT, udp://HOST:PORT, unix://PATH or \
                      unixgram://PATH; HOST:PORT is TCP, a bare port is TCP on 127.0.0.1, port 0 \
                      takes a free one";

const TO: &str = "The server, written in the same way";

const EXAMPLES: &str = "\
Examples:
  scriptsock record --listen 7891 --to 7890 -o session.dialogue
  scriptsock record --listen tcp://127.0.0.1:0 --to unix:///run/app.sock -o session.dialogue
  scriptsock record --listen udp://127.0.0.1:5354 --to udp://127.0.0.53:53 -o dns.dialogue

Ctrl-C ends it, and hangs up whoever is still there. Where the file cannot be written to any more, it
ends too, with exit status 1; all steps that were written before are in it.";

/// What was typed, value by value.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct RecordOptions {
    /// Where clients connect.
    #[arg(short, long, value_name = "URL", help = LISTEN, value_parser = address())]
    listen: Address,

    /// The server.
    #[arg(short, long, value_name = "URL", help = TO, value_parser = server())]
    to: Address,

    /// The dialogue; - is standard output. A file that holds something is not overwritten
    #[arg(short, long, value_name = "FILE")]
    output: OsString,

    /// Overwrite the file
    #[arg(long)]
    force: bool,

    /// Show errors only
    #[arg(short, long)]
    quiet: bool,
}

impl RecordOptions {
    /// Records until it is stopped.
    #[must_use]
    pub fn run(&self) -> Exit {
        if let Err(error) = self.refuse_contradictions() {
            return error.report();
        }
        let level = if self.quiet { Level::ERROR } else { Level::INFO };
        log::start(LogOptions { level, format: Format::Text });
        self.record().unwrap_or_else(|error| fail("scriptsock record", &error))
    }

    fn refuse_contradictions(&self) -> Result<(), UsageError> {
        let kinds = [&self.listen, &self.to].map(|url| Transport::of(url).is_datagram());
        if kinds[0] != kinds[1] {
            return Err(UsageError::new(format!(
                "--listen {} and --to {}: one has datagrams and the other streams, which cannot \
                 be carried from one to the other",
                self.listen, self.to
            )));
        }
        Ok(())
    }

    fn place(&self) -> Place {
        if self.output == "-" { Place::Stdout } else { Place::File(PathBuf::from(&self.output)) }
    }

    fn record(&self) -> anyhow::Result<Exit> {
        let place = self.place();
        let server = Server::find(self.to.clone())
            .map_err(|problem| BindError { url: self.to.to_string(), problem })?;
        let listen = Listen { name: None, address: self.listen.clone() };
        let bound = bind(&[listen], NonZeroUsize::MIN, BACKLOG)?.remove(0);
        if leads_to_itself(&bound.listener, &self.to) {
            bail!(
                "--to {} is where --listen {} listens: the proxy would connect to itself",
                self.to,
                self.listen
            );
        }
        let _ = descriptors::raise_limit();
        // Last: what fails before leaves no file behind.
        let output = place.open(self.force, ", or give --force to overwrite it")?;
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build_local(LocalOptions::default())?;
        let (ended, counts, recorded) = runtime.block_on(self.carry(bound, server, output))?;
        let steps = match recorded {
            Ok(Summary { steps }) => steps,
            Err(failure) => {
                return Err(failure).context(format!("{place}: the recording is not complete"));
            }
        };
        tell(ended, counts, steps, &place);
        Ok(if matches!(ended, Ended::InOrder) { Exit::Stopped } else { Exit::Failed })
    }

    async fn carry(
        &self,
        bound: Bound,
        server: Server,
        output: recorder::Output,
    ) -> anyhow::Result<(Ended, Counts, Result<Summary, recorder::Failure>)> {
        let control = Control::default();
        signals::follow(&control)?;
        let (recorder, writer) =
            recorder::start(output).context("a recorder could not be started")?;
        let transport = Transport::of(&self.listen);
        let ready = |listener: &Listener| print_ready_line(listener, &self.place());
        let (ended, counts) =
            proxy::run(bound, transport, server, recorder, &control, ready).await?;
        Ok((ended, counts, writer.finish().await))
    }
}

/// Whether a listener is what an address leads to, as far as can be told without asking: then each
/// connection would make another one.
fn leads_to_itself(listener: &Listener, to: &Address) -> bool {
    let Ok(own) = listener.url.parse::<Address>() else { return false };
    let (own_host, host) = match (&own, to) {
        (Address::Tcp { host: own, port }, Address::Tcp { host, port: other })
        | (Address::Udp { host: own, port }, Address::Udp { host, port: other })
            if port == other =>
        {
            (own, host)
        }
        _ => return own == *to,
    };
    let ip = |host: &String| host.parse::<IpAddr>().ok();
    // Bound to every address; others than this machine's own are rarely given then.
    let takes_all = ip(own_host).is_some_and(|ip| ip.is_unspecified());
    let is_own = host == "localhost" || ip(host).is_some_and(|ip| ip.is_loopback());
    let is_local = |name: &str| matches!(name, "localhost" | "127.0.0.1");
    own_host == host || takes_all && is_own || is_local(own_host) && is_local(host)
}

/// Once clients are accepted. Where standard output has the dialogue, it goes to standard error.
fn print_ready_line(listener: &Listener, place: &Place) -> io::Result<()> {
    if *place == Place::Stdout {
        return writeln!(io::stderr(), "{listener}");
    }
    super::print_ready_line(listener)
}

fn tell(ended: Ended, counts: Counts, steps: u64, place: &Place) {
    let Counts { clients, sent, answered } = counts;
    let text = format!(
        "{steps} steps of {clients} clients are in {place}: {sent} bytes sent, {answered} bytes \
         answered"
    );
    match ended {
        Ended::InOrder => info!("stopped in order; {text}"),
        Ended::CutOff => warn!("stopped at once; {text}"),
    }
}
