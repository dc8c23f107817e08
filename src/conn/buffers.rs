//! Buffers that are borrowed while there is something to keep in them, so that what is idle holds
//! none and a message costs no allocation.

use std::cell::{Cell, RefCell};

/// Empty buffers that are used again and again.
#[derive(Default)]
pub(super) struct Buffers {
    idle: RefCell<Vec<Vec<u8>>>,
    /// What the idle ones could hold together.
    capacity: Cell<usize>,
}

impl Buffers {
    /// More buffers than this many are freed: as many as there are replies that leave together.
    const COUNT: usize = 64;
    /// Buffers that have grown beyond this are freed.
    const CAPACITY: usize = 256 * 1024;
    /// So are those with which all together could hold more than this.
    const CAPACITY_OF_ALL: usize = 16 * Self::CAPACITY;

    pub(super) fn take(&self) -> Vec<u8> {
        let buffer = self.idle.borrow_mut().pop().unwrap_or_default();
        self.capacity.set(self.capacity.get() - buffer.capacity());
        buffer
    }

    pub(super) fn give(&self, mut buffer: Vec<u8>) {
        let mut idle = self.idle.borrow_mut();
        let capacity = self.capacity.get() + buffer.capacity();
        if idle.len() < Self::COUNT
            && buffer.capacity() <= Self::CAPACITY
            && capacity <= Self::CAPACITY_OF_ALL
        {
            buffer.clear();
            idle.push(buffer);
            self.capacity.set(capacity);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_that_come_back_are_used_again() {
        let buffers = Buffers::default();
        let given: Vec<_> = (1..=Buffers::COUNT).map(Vec::<u8>::with_capacity).collect();
        for buffer in given {
            buffers.give(buffer);
        }
        let taken = (0..Buffers::COUNT).filter(|_| buffers.take().capacity() > 0);
        assert_eq!(taken.count(), Buffers::COUNT);
        assert_eq!(buffers.take().capacity(), 0);
    }

    #[test]
    fn what_idle_buffers_hold_is_bounded() {
        let (many, large, huge) = (Buffers::default(), Buffers::default(), Buffers::default());
        for _ in 0..=Buffers::COUNT {
            many.give(Vec::with_capacity(1));
            large.give(Vec::with_capacity(Buffers::CAPACITY));
        }
        huge.give(Vec::with_capacity(Buffers::CAPACITY + 1));
        assert_eq!(many.idle.borrow().len(), Buffers::COUNT);
        assert_eq!(large.idle.borrow().len(), Buffers::CAPACITY_OF_ALL / Buffers::CAPACITY);
        assert_eq!(huge.idle.borrow().len(), 0);
    }
}
