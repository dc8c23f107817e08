//! What notify's thread tells the task that waits: flags and a wake-up, never a queue. Says which
//! events count and which of them end a save.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use notify::event::{AccessKind, AccessMode, ModifyKind, RenameMode};
use notify::{Event, EventKind};
use tokio::sync::Notify;

/// The state between notify's thread and the watcher.
#[derive(Default)]
pub(super) struct Signal {
    wake: Notify,
    /// Something has changed.
    raised: AtomicBool,
    /// The change is complete: nothing has to be waited for.
    finished: AtomicBool,
    /// A watched folder itself was removed or renamed: its watch may be gone.
    lost: AtomicBool,
    /// Held for a moment only, never while notify is called.
    shared: Mutex<Shared>,
}

#[derive(Default)]
struct Shared {
    folders: BTreeSet<PathBuf>,
    failure: Option<String>,
}

/// What an event says about a save.
#[derive(Debug, PartialEq, Eq)]
enum Meaning {
    /// Nothing changed: our own reading must not wake us.
    Nothing,
    /// More is likely to follow.
    Unsettled,
    /// The content is there in full.
    Finished,
}

impl Signal {
    /// Takes in what notify reports; called on its thread.
    pub(super) fn take_in(&self, event: notify::Result<Event>) {
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                self.shared().failure.get_or_insert_with(|| super::reason(&error));
                self.raise_finished();
                return;
            }
        };
        let meaning = meaning(&event);
        if meaning != Meaning::Nothing && self.is_about_a_folder(&event) {
            self.lost.store(true, Ordering::Release);
        }
        match meaning {
            Meaning::Nothing => {}
            Meaning::Unsettled => self.raise_unsettled(),
            Meaning::Finished => self.raise_finished(),
        }
    }

    pub(super) fn raise_unsettled(&self) {
        self.raised.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    fn raise_finished(&self) {
        self.finished.store(true, Ordering::Release);
        self.raise_unsettled();
    }

    /// Resolves once something has changed since [`Signal::clear`].
    pub(super) async fn raised(&self) {
        while !self.raised.load(Ordering::Acquire) {
            self.wake.notified().await;
        }
    }

    /// Resolves at the next event.
    pub(super) async fn next(&self) {
        self.wake.notified().await;
    }

    pub(super) fn is_finished(&self) -> bool {
        self.finished.load(Ordering::Acquire)
    }

    /// Forgets the change; one that comes in meanwhile is kept, or is seen by the read that
    /// follows.
    pub(super) fn clear(&self) {
        self.finished.store(false, Ordering::Release);
        self.raised.store(false, Ordering::Release);
    }

    pub(super) fn take_lost(&self) -> bool {
        self.lost.swap(false, Ordering::AcqRel)
    }

    pub(super) fn take_failure(&self) -> Option<String> {
        self.shared().failure.take()
    }

    pub(super) fn set_folders(&self, folders: BTreeSet<PathBuf>) {
        self.shared().folders = folders;
    }

    fn is_about_a_folder(&self, event: &Event) -> bool {
        let moves = matches!(
            event.kind,
            EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)) | EventKind::Create(_)
        );
        moves && {
            let shared = self.shared();
            event.paths.iter().any(|path| shared.folders.contains(path))
        }
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn meaning(event: &Event) -> Meaning {
    if event.need_rescan() {
        return Meaning::Finished;
    }
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write))
        | EventKind::Modify(ModifyKind::Name(RenameMode::To | RenameMode::Both)) => {
            Meaning::Finished
        }
        EventKind::Access(_) => Meaning::Nothing,
        // A symbolic link is complete at once, a file is about to be written.
        EventKind::Create(_) if event.paths.iter().any(|path| is_link(path)) => Meaning::Finished,
        _ => Meaning::Unsettled,
    }
}

fn is_link(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|found| found.is_symlink())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]
mod tests {
    use super::*;
    use notify::event::{CreateKind, DataChange, Flag, MetadataKind, RemoveKind};

    fn of(kind: EventKind) -> Meaning {
        meaning(&Event::new(kind).add_path("/nowhere".into()))
    }

    #[test]
    fn reading_means_nothing() {
        for kind in [
            AccessKind::Any,
            AccessKind::Read,
            AccessKind::Other,
            AccessKind::Open(AccessMode::Any),
            AccessKind::Open(AccessMode::Write),
            AccessKind::Close(AccessMode::Read),
        ] {
            assert_eq!(of(EventKind::Access(kind)), Meaning::Nothing, "{kind:?}");
        }
    }

    #[test]
    fn a_close_after_writing_and_a_rename_into_place_finish_a_save() {
        let close = EventKind::Access(AccessKind::Close(AccessMode::Write));
        assert_eq!(of(close), Meaning::Finished);
        let rename = EventKind::Modify(ModifyKind::Name(RenameMode::To));
        assert_eq!(of(rename), Meaning::Finished);
        let overflow = Event::new(EventKind::Other).set_flag(Flag::Rescan);
        assert_eq!(meaning(&overflow), Meaning::Finished);
    }

    #[test]
    fn after_anything_else_more_may_follow() {
        for kind in [
            EventKind::Create(CreateKind::File),
            EventKind::Remove(RemoveKind::File),
            EventKind::Modify(ModifyKind::Data(DataChange::Any)),
            EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any)),
            EventKind::Modify(ModifyKind::Name(RenameMode::From)),
            EventKind::Any,
        ] {
            assert_eq!(of(kind), Meaning::Unsettled, "{kind:?}");
        }
    }
}
