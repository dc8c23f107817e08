//! Signals as orders to a server: SIGHUP reloads, SIGTERM and SIGINT drain, a second one of these
//! stops at once.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

use crate::server::Control;

/// From here on signals steer the server of `control`.
///
/// # Errors
/// The system refused a signal handler.
pub fn follow(control: &Control) -> io::Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let control = control.clone();
    tokio::spawn(async move {
        let mut asked = false;
        loop {
            tokio::select! {
                _ = hangup.recv() => {
                    control.reload.notify_one();
                    continue;
                }
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if asked {
                control.kill.cancel();
            }
            asked = true;
            control.drain.cancel();
        }
    });
    Ok(())
}
