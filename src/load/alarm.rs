//! Wakes the poll at an instant that is nearer than its own timeout can say, which counts in
//! milliseconds. Where the system has no such timer, messages leave up to one late.

use std::io;
use std::time::Duration;

use mio::{Registry, Token};

/// See the module.
pub(super) struct Alarm {
    #[cfg(target_os = "linux")]
    timer: nix::sys::timerfd::TimerFd,
}

#[cfg(target_os = "linux")]
impl Alarm {
    /// Its event is that of `token`.
    pub(super) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        use std::os::fd::{AsFd, AsRawFd};

        use mio::Interest;
        use mio::unix::SourceFd;
        use nix::sys::timerfd::{ClockId, TimerFd, TimerFlags};
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        let descriptor = timer.as_fd().as_raw_fd();
        registry.register(&mut SourceFd(&descriptor), token, Interest::READABLE)?;
        Ok(Self { timer })
    }

    /// Wakes the poll after `pause`. False where it cannot, then the poll has to end by itself.
    pub(super) fn set(&self, pause: Duration) -> bool {
        use nix::sys::timerfd::{Expiration, TimerSetTimeFlags};
        self.timer.set(Expiration::OneShot(pause.into()), TimerSetTimeFlags::empty()).is_ok()
    }
}

#[cfg(not(target_os = "linux"))]
impl Alarm {
    /// There is none.
    #[allow(clippy::unnecessary_wraps)]
    pub(super) fn new(_: &Registry, _: Token) -> io::Result<Self> {
        Ok(Self {})
    }

    /// It cannot.
    #[allow(clippy::unused_self)]
    pub(super) fn set(&self, _: Duration) -> bool {
        false
    }
}
