//! Memory for hyper's two buffers of each connection.
//!
//! Other allocators lay such a block so that it has two pages in use, for the few hundred bytes that it holds. Here it takes
//! one.

#![expect(unsafe_code, reason = "an allocator hands out pointers")]

use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::heap;

/// What hyper begins its buffers with.
pub(crate) const SIZE: usize = 8192;

/// The most that they are aligned to.
pub(crate) const ALIGNED: usize = 64;

const PAGE: usize = 4096;

/// Where blocks begin within their first page: each elsewhere than the one before. A processor's cache has places of its
/// own for each part of a page, and of a block only the beginning is in use.
const STEP: usize = 5 * ALIGNED;
const STEPS: usize = 11;

/// What a block takes, of which no page is in memory before it is written to.
const MAPPED: usize = SIZE + PAGE;

/// How many free ones are kept: for half as many connections that come and go at once.
const KEPT: usize = 64;

/// Those that are free.
pub(crate) struct Blocks {
    free: [*mut u8; KEPT],
    count: usize,
}

// SAFETY: the pointers are to memory that belongs to nobody else.
unsafe impl Send for Blocks {}

impl Blocks {
    pub(crate) const fn new() -> Self {
        Self { free: [ptr::null_mut(); KEPT], count: 0 }
    }

    /// One that is free, or else a new one, or null where there is no memory.
    pub(crate) fn take(&mut self) -> *mut u8 {
        let Some(count) = self.count.checked_sub(1) else { return map() };
        self.count = count;
        self.free[count]
    }

    /// # Safety
    ///
    /// It must be one of [`Self::take`], and of no use to anybody any more.
    pub(crate) unsafe fn give_back(&mut self, block: *mut u8) {
        if let Some(place) = self.free.get_mut(self.count) {
            *place = block;
            self.count += 1;
        } else {
            // SAFETY: it was mapped with this size, from the beginning of its page. That fails only for what is no mapping.
            unsafe { libc::munmap(block.map_addr(|address| address & !(PAGE - 1)).cast(), MAPPED) };
        }
    }
}

/// A new block, or null where there is no memory.
fn map() -> *mut u8 {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let block = heap::map(MAPPED);
    if block.is_null() {
        return block;
    }
    let step = NEXT.fetch_add(1, Ordering::Relaxed) % STEPS;
    // SAFETY: the last step is less than a page, which is what there is more than a block.
    unsafe { block.add(step * STEP) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_is_handed_out_again_up_to_a_number() {
        let mut blocks = Blocks::new();
        // SAFETY: each block is used as long as it is taken.
        unsafe {
            let all: Vec<_> = (0..=KEPT).map(|_| blocks.take()).collect();
            for block in &all {
                block.write_bytes(7, SIZE);
            }
            for block in &all {
                blocks.give_back(*block);
            }
            assert_eq!(blocks.count, KEPT);
            assert_eq!(blocks.take(), all[KEPT - 1]);
        }
    }
}
