//! The limit of open descriptors: raised as far as the system lets, and held against what the
//! server may need.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Descriptors beside those of connections: standard streams, runtimes, listeners, script files.
const RESERVE: u64 = 64;

/// Raises the soft limit to the hard one and says what is in force. `None` where the system does
/// not tell.
#[must_use]
pub fn raise_limit() -> Option<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    // Some systems name a hard limit that they do not grant; the soft one stays then.
    let raised = soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok();
    Some(if raised { hard } else { soft })
}

/// How many connections fit under a limit with `sockets` listening ones, where `wanted` do not.
#[must_use]
pub fn shortage(limit: u64, sockets: usize, wanted: usize) -> Option<u64> {
    let fit = limit.saturating_sub(RESERVE).saturating_sub(sockets as u64);
    (fit < wanted as u64).then_some(fit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_to_the_hard_one() {
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        assert_eq!(raise_limit(), Some(hard));
        assert_eq!(getrlimit(Resource::RLIMIT_NOFILE).unwrap().0, hard);
    }

    #[test]
    fn what_does_not_fit_is_told() {
        assert_eq!(shortage(20_000, 4, 10_000), None);
        assert_eq!(shortage(10_064, 0, 10_000), None);
        assert_eq!(shortage(1024, 4, 10_000), Some(956));
        assert_eq!(shortage(10, 4, 1), Some(0));
    }
}
