//! The program: parse, bind, run, exit code.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use tokio::runtime;

use scriptsock::cli::failure::fail;
use scriptsock::cli::log::{self, Format};
use scriptsock::cli::serve::ServeOptions;
use scriptsock::cli::{Cli, Command, Exit, footprint, signals};
use scriptsock::net::bind::{Bound, bind};
use scriptsock::net::{Listener, descriptors};
use scriptsock::recorder::{self, Place, Recorder, Writer};
use scriptsock::script::Source;
use scriptsock::server::{self, Control, Ended};
use scriptsock::settings::Settings;

fn main() -> ExitCode {
    // Without it a limit of file sizes costs some recording its last steps, and no more.
    let _ = signals::survive_full_files();
    let exit = match Cli::read(std::env::args_os()) {
        Ok(cli) => match cli.command {
            Some(Command::Bench(options)) => options.run(),
            Some(Command::Test(options)) => options.run(),
            Some(Command::Check(options)) => options.run(),
            Some(Command::Init(options)) => options.run(),
            Some(Command::Completions(options)) => options.run(),
            Some(Command::Connect(options)) => options.run(),
            Some(Command::Record(options)) => options.run(),
            Some(Command::Replay(options)) => options.run(),
            None => serve(&cli.options),
        },
        Err(stop) => stop.report(),
    };
    exit.into()
}

/// Runs the server to its end.
fn serve(options: &ServeOptions) -> Exit {
    let settings = match options.settings() {
        Ok(settings) => settings,
        Err(error) => return error.report(),
    };
    log::start(options.log());
    for oddity in options.oddities() {
        tracing::warn!("{oddity}");
    }
    match bind_and_run(settings) {
        Ok(exit) => exit,
        Err(error) => report(&error, options.log_format),
    }
}

fn bind_and_run(settings: Settings) -> anyhow::Result<Exit> {
    let folder = std::env::current_dir().context("the current folder cannot be told")?;
    let source = Source::locate(&settings.script, &folder)?;
    let sockets = bind(&settings.listen, settings.workers, settings.backlog)?;
    provide_descriptors(&settings, &sockets);
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let (recorder, writer) = settings.record.clone().map(start_recording).transpose()?.unzip();
    let (ended, all_written) = runtime.block_on(async {
        let control = Control::default();
        signals::follow(&control)?;
        signals::reload_on_hangup(&control)?;
        let ended = server::run(settings, sockets, source, recorder, control, announce).await;
        let all_written = match writer {
            Some(writer) => writer.finish().await.map(drop),
            None => Ok(()),
        };
        anyhow::Ok((ended?, all_written))
    })?;
    all_written.context("not all was recorded")?;
    Ok(match ended {
        Ended::InOrder => Exit::Stopped,
        Ended::CutOff => Exit::Failed,
    })
}

fn start_recording(file: PathBuf) -> anyhow::Result<(Recorder, Writer)> {
    let output = Place::File(file).open(false, "").context("--record")?;
    recorder::start(output).context("a recorder could not be started")
}

/// One line a listener, once all of them accept.
fn announce(listeners: &[Arc<Listener>]) -> io::Result<()> {
    footprint::let_go_of_code();
    let mut out = io::stdout().lock();
    for listener in listeners {
        writeln!(out, "{listener}")?;
    }
    out.flush()
}

/// Raises the limit of open descriptors; warns where `--max-conns` is beyond it.
fn provide_descriptors(settings: &Settings, sockets: &[Bound]) {
    let Some(limit) = descriptors::raise_limit() else { return };
    let listening = sockets.iter().map(|bound| bound.sockets.len()).sum();
    if let Some(fit) = descriptors::shortage(limit, listening, settings.max_conns) {
        tracing::warn!(
            "the limit of {limit} open descriptors leaves room for {fit} connections, \
             fewer than --max-conns {}: raise it (ulimit -Hn), or lower --max-conns",
            settings.max_conns
        );
    }
}

/// Tells why the server could not start or failed: one line for a person, an event for a program.
fn report(error: &anyhow::Error, format: Format) -> Exit {
    match format {
        Format::Text => fail("scriptsock", error),
        Format::Json => {
            tracing::error!("{error:#}");
            Exit::Failed
        }
    }
}
