//! The mailbox of one worker: any thread puts publications in, the worker takes them out. Bounded,
//! and neither side ever waits for the other but for a moment's lock.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use tokio::task::coop::poll_proceed;

use super::{Full, Publication};

/// Publications that wait in a mailbox at most: what a worker that is busy for the whole of a
/// handler's budget can be sent meanwhile, and still soon caught up with.
const COUNT: usize = 4096;

/// Bytes that wait in a mailbox at most; one larger publication fits an empty one.
const BYTES: usize = 16 << 20;

/// A mailbox as the publishers know it.
#[derive(Default)]
pub(super) struct Slot(Mutex<Queue>);

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Arc<Publication>>,
    bytes: usize,
    waker: Option<Waker>,
    /// The worker is gone.
    closed: bool,
}

impl Slot {
    /// Puts a publication in; for a worker that is gone there is nothing to do.
    pub(super) fn push(&self, publication: &Arc<Publication>) -> Result<(), Full> {
        let mut queue = self.lock();
        if queue.closed {
            return Ok(());
        }
        let bytes = queue.bytes + publication.size();
        let has_room = queue.waiting.len() < COUNT && bytes <= BYTES;
        if !has_room && !queue.waiting.is_empty() {
            return Err(Full);
        }
        queue.bytes = bytes;
        queue.waiting.push_back(Arc::clone(publication));
        let waker = queue.waker.take();
        drop(queue);
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn pop(&mut self) -> Option<Arc<Publication>> {
        let publication = self.waiting.pop_front()?;
        self.bytes -= publication.size();
        Some(publication)
    }
}

/// A mailbox as its worker knows it. When it is dropped, the worker is gone.
pub struct Mailbox(Arc<Slot>);

impl Mailbox {
    pub(super) fn open(slot: Arc<Slot>) -> Self {
        slot.lock().closed = false;
        Self(slot)
    }

    /// The next publication; waits for it. Dropping the future loses none. A task that only takes
    /// from here lets others run now and then, by tokio's budget.
    pub fn next(&mut self) -> impl Future<Output = Arc<Publication>> + '_ {
        poll_fn(|context| self.poll_next(context))
    }

    /// The next publication, if one is there.
    pub fn take(&mut self) -> Option<Arc<Publication>> {
        self.0.lock().pop()
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Arc<Publication>> {
        let budget = ready!(poll_proceed(context));
        let mut queue = self.0.lock();
        if let Some(publication) = queue.pop() {
            budget.made_progress();
            return Poll::Ready(publication);
        }
        if !queue.waker.as_ref().is_some_and(|known| known.will_wake(context.waker())) {
            queue.waker = Some(context.waker().clone());
        }
        Poll::Pending
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        *self.0.lock() = Queue { closed: true, ..Queue::default() };
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::super::Target;
    use super::*;

    fn of_size(bytes: usize) -> Arc<Publication> {
        let data = vec![0; bytes].into_boxed_slice();
        Arc::new(Publication { to: Target::Streams, data, except: None })
    }

    fn mailbox() -> (Arc<Slot>, Mailbox) {
        let slot = Arc::new(Slot::default());
        (Arc::clone(&slot), Mailbox::open(slot))
    }

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn the_count_is_bounded() {
        let (slot, mut mailbox) = mailbox();
        for _ in 0..COUNT {
            assert_eq!(slot.push(&of_size(0)), Ok(()));
        }
        assert_eq!(slot.push(&of_size(0)), Err(Full));
        mailbox.take().unwrap();
        assert_eq!(slot.push(&of_size(0)), Ok(()));
        assert_eq!(slot.push(&of_size(0)), Err(Full));
    }

    #[test]
    fn the_bytes_are_bounded_and_one_larger_publication_fits_an_empty_mailbox() {
        let (slot, mut mailbox) = mailbox();
        assert_eq!(slot.push(&of_size(BYTES - 1)), Ok(()));
        assert_eq!(slot.push(&of_size(2)), Err(Full));
        assert_eq!(slot.push(&of_size(1)), Ok(()));
        assert_eq!(std::iter::from_fn(|| mailbox.take()).count(), 2);

        assert_eq!(slot.push(&of_size(BYTES + 1)), Ok(()));
        assert_eq!(slot.push(&of_size(0)), Err(Full));
        assert_eq!(mailbox.take().unwrap().data.len(), BYTES + 1);
        assert_eq!(slot.push(&of_size(BYTES)), Ok(()));
    }

    #[test]
    fn a_topic_counts_too() {
        let (slot, _mailbox) = mailbox();
        let to = Target::Topic(vec![b't'; 1024].into_boxed_slice());
        let publication = Arc::new(Publication { to, data: Box::default(), except: None });
        slot.push(&publication).unwrap();
        assert_eq!(slot.lock().bytes, 1024);
    }

    #[test]
    fn what_was_posted_before_the_mailbox_was_taken_is_in_it() {
        let slot = Arc::new(Slot::default());
        slot.push(&of_size(7)).unwrap();
        assert_eq!(Mailbox::open(slot).take().unwrap().data.len(), 7);
    }

    #[test]
    fn a_worker_that_is_gone_is_no_obstacle_and_holds_nothing() {
        let (slot, mailbox) = mailbox();
        let publication = of_size(1);
        slot.push(&publication).unwrap();
        drop(mailbox);
        for _ in 0..=COUNT {
            assert_eq!(slot.push(&publication), Ok(()));
        }
        assert_eq!(Arc::strong_count(&publication), 1);
    }

    #[test]
    fn a_wait_that_is_given_up_loses_nothing_and_one_sleep_is_one_wake() {
        let (slot, mut mailbox) = mailbox();
        let count = Arc::new(Wakes::default());
        let waker = Waker::from(Arc::clone(&count));
        let mut context = Context::from_waker(&waker);
        for _ in 0..2 {
            assert!(pin!(mailbox.next()).poll(&mut context).is_pending());
        }
        slot.push(&of_size(1)).unwrap();
        slot.push(&of_size(2)).unwrap();
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        for bytes in [1, 2] {
            let Poll::Ready(publication) = pin!(mailbox.next()).poll(&mut context) else {
                panic!("nothing came")
            };
            assert_eq!(publication.data.len(), bytes);
        }
        assert!(pin!(mailbox.next()).poll(&mut context).is_pending());
    }

    #[tokio::test]
    async fn a_full_mailbox_does_not_keep_the_worker_from_other_tasks() {
        let (slot, mut mailbox) = mailbox();
        while slot.push(&of_size(0)).is_ok() {}
        let other = tokio::spawn(async {});
        for _ in 0..COUNT {
            mailbox.next().await;
            if other.is_finished() {
                return;
            }
        }
        panic!("the other task did not run before the mailbox was empty");
    }
}
