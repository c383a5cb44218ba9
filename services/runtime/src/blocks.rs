//! Memory for hyper's two buffers of each connection, with musl.
//!
//! musl's allocator gets such a block from the kernel each time, and gives it back as soon as it is free: for a client with
//! one request that takes longer than all else. It also lays them so that each has two pages in use, for the few hundred
//! bytes that it holds. Here they take one, and some are kept when they are free.

#![expect(unsafe_code, reason = "an allocator hands out pointers")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// What hyper begins its buffers with.
const SIZE: usize = 8192;

const PAGE: usize = 4096;

/// Where blocks begin within their first page: each elsewhere than the one before. A processor's cache has places of its
/// own for each part of a page, and of a block only the beginning is in use.
const STEP: usize = 5 * 64;
const STEPS: usize = 11;

/// What a block takes, of which no page is in memory before it is written to.
const MAPPED: usize = SIZE + PAGE;

/// How many free ones are kept: for half as many connections that come and go at once.
const KEPT: usize = 64;

#[global_allocator]
static ALLOCATOR: Blocks = Blocks { free: Mutex::new(Free { blocks: [ptr::null_mut(); KEPT], count: 0 }) };

/// Allocates blocks of [`SIZE`], and leaves all else to the system's allocator.
struct Blocks {
    free: Mutex<Free>,
}

struct Free {
    blocks: [*mut u8; KEPT],
    count: usize,
}

// SAFETY: the pointers are to memory that belongs to nobody else.
unsafe impl Send for Free {}

impl Free {
    fn take(&mut self) -> Option<*mut u8> {
        self.count = self.count.checked_sub(1)?;
        Some(self.blocks[self.count])
    }

    /// Whether there was room for it.
    fn keep(&mut self, block: *mut u8) -> bool {
        let place = self.blocks.get_mut(self.count);
        let has_room = place.is_some();
        if let Some(place) = place {
            *place = block;
            self.count += 1;
        }
        has_room
    }
}

impl Blocks {
    fn is_block(layout: Layout) -> bool {
        layout.size() == SIZE && layout.align() <= 64
    }

    fn block(&self) -> *mut u8 {
        let kept = self.free.lock().unwrap_or_else(PoisonError::into_inner).take();
        kept.unwrap_or_else(map)
    }

    /// # Safety
    ///
    /// It must be one of [`Self::block`], and of no use to anybody any more.
    unsafe fn give_back(&self, block: *mut u8) {
        if !self.free.lock().unwrap_or_else(PoisonError::into_inner).keep(block) {
            // SAFETY: it was mapped with this size, from the beginning of its page. That fails only for what is no mapping.
            unsafe { libc::munmap(block.map_addr(|address| address & !(PAGE - 1)).cast(), MAPPED) };
        }
    }
}

/// A new block, or null where there is no memory.
fn map() -> *mut u8 {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: memory that is new and nobody's.
    let block = unsafe { libc::mmap(ptr::null_mut(), MAPPED, access, kind, -1, 0) };
    if block == libc::MAP_FAILED {
        return ptr::null_mut();
    }
    let step = NEXT.fetch_add(1, Ordering::Relaxed) % STEPS;
    // SAFETY: the last step is less than a page, which is what there is more than a block.
    unsafe { block.cast::<u8>().add(step * STEP) }
}

// SAFETY: a layout tells where its memory is from, and is the same when that is given back. Those who want zeros or
// another size get them by the trait's own methods, which go by way of these two.
unsafe impl GlobalAlloc for Blocks {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: passed on as it is.
        if Self::is_block(layout) { self.block() } else { unsafe { System.alloc(layout) } }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the layout is what it was allocated with.
        unsafe { if Self::is_block(layout) { self.give_back(block) } else { System.dealloc(block, layout) } }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: sizes that do not overflow are the caller's duty, and the rest is passed on.
        unsafe {
            let new = Layout::from_size_align_unchecked(size, layout.align());
            if !Self::is_block(layout) && !Self::is_block(new) {
                return System.realloc(old, layout, size);
            }
            let block = self.alloc(new);
            if !block.is_null() {
                ptr::copy_nonoverlapping(old, block, size.min(layout.size()));
                self.dealloc(old, layout);
            }
            block
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_is_handed_out_again_up_to_a_number() {
        let blocks = Blocks { free: Mutex::new(Free { blocks: [ptr::null_mut(); KEPT], count: 0 }) };
        let layout = Layout::from_size_align(SIZE, 1).unwrap();
        // SAFETY: each block is used as long as it is allocated.
        unsafe {
            let all: Vec<_> = (0..=KEPT).map(|_| blocks.alloc(layout)).collect();
            for block in &all {
                block.write_bytes(7, SIZE);
            }
            for block in &all {
                blocks.dealloc(*block, layout);
            }
            assert_eq!(blocks.free.lock().unwrap().count, KEPT);
            assert_eq!(blocks.alloc(layout), all[KEPT - 1]);
        }
    }

    #[test]
    fn what_grows_or_shrinks_into_a_block_or_out_of_it_keeps_its_bytes() {
        // Through the allocator of this test program.
        let mut bytes = vec![1_u8; 100];
        for capacity in [SIZE, 3 * SIZE, SIZE, 100, 2 * SIZE, SIZE] {
            bytes.shrink_to(capacity);
            bytes.reserve_exact(capacity - bytes.len());
            assert_eq!((bytes.capacity(), &*bytes), (capacity, &[1_u8; 100][..]));
        }
        assert_eq!(vec![0_u8; SIZE], [0_u8; SIZE]);
    }
}
