//! Signals as orders to a server: SIGHUP reloads, SIGTERM and SIGINT drain, a second one of these
//! stops at once. To what is no server the last two just say that it is to end.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{process, thread};

use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};

use super::Exit;
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

/// A flag that SIGINT and SIGTERM set; a second one of them ends the process. They are awaited by a
/// thread of its own.
///
/// # Errors
/// The system refused a signal handler or a thread.
pub fn stop_flag() -> io::Result<Arc<AtomicBool>> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut interrupt, mut terminate) = {
        let _entered = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    let flag = Arc::<AtomicBool>::default();
    let set = Arc::clone(&flag);
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                if set.swap(true, Ordering::Relaxed) {
                    process::exit(Exit::Failed as i32);
                }
            }
        });
    })?;
    Ok(flag)
}
