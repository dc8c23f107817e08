//! Signals as orders: SIGTERM and SIGINT end what runs in order, a second one of them at once, and
//! SIGHUP has a server reload. Nothing else takes SIGHUP: it ends what has lost its terminal, unless
//! `nohup` has it ignored.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::flag;
use tokio::signal::unix::{SignalKind, signal};

use super::Exit;
use crate::server::Control;

/// From here on SIGHUP has the server of `control` reload.
///
/// # Errors
/// The system refused a signal handler.
pub fn reload_on_hangup(control: &Control) -> io::Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    let control = control.clone();
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            control.reload.notify_one();
        }
    });
    Ok(())
}

/// From here on SIGTERM and SIGINT end what `control` steers.
///
/// # Errors
/// The system refused a signal handler.
pub fn follow(control: &Control) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let control = control.clone();
    tokio::spawn(async move {
        let mut asked = false;
        loop {
            tokio::select! {
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

/// From here on a write beyond the size that files may have (`ulimit -f`) is an error of that write.
/// The system's way is a signal that ends the process.
///
/// # Errors
/// The system refused a signal handler.
pub fn survive_full_files() -> io::Result<()> {
    // Nobody looks at the flag: that there is a handler is enough.
    flag::register(SIGXFSZ, Arc::default()).map(drop)
}

/// A flag that SIGINT and SIGTERM set; a second one of them ends the process. No thread waits for
/// them: in a process that has only one, system calls cost less.
///
/// # Errors
/// The system refused a signal handler.
pub fn stop_flag() -> io::Result<Arc<AtomicBool>> {
    let flag = Arc::<AtomicBool>::default();
    for signal in [SIGINT, SIGTERM] {
        // They run in this order: the first one finds the flag unset.
        flag::register_conditional_shutdown(signal, Exit::Failed as i32, Arc::clone(&flag))?;
        flag::register(signal, Arc::clone(&flag))?;
    }
    Ok(flag)
}
