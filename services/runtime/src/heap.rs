//! The program's memory, with musl.
//!
//! musl's own allocator has the kernel map a few pages for each size of objects, and unmap them as soon as none is in use:
//! while a command line is read, that is fifty calls and forty pages more than here. It also takes twice the time.

#![expect(unsafe_code, reason = "an allocator hands out pointers")]

use std::alloc::{GlobalAlloc, Layout};
use std::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use dlmalloc::Dlmalloc;

use crate::blocks::{self, Blocks};

/// What is at least as large is the kernel's, which has it back at once.
const LARGE: usize = 64 * 1024;

/// What the kernel aligns it to, or more.
const PAGE: usize = 4096;

#[cfg_attr(target_env = "musl", global_allocator)]
#[cfg_attr(not(target_env = "musl"), expect(dead_code, reason = "it is only tested there"))]
static HEAP: Heap = Heap::new();

struct Heap {
    /// All that is neither large nor a block.
    small: Mutex<Dlmalloc>,
    blocks: Mutex<Blocks>,
}

/// Where memory is from. A layout tells, and is the same when the memory is given back.
enum Kind {
    Small,
    Block,
    Large,
}

impl From<Layout> for Kind {
    fn from(layout: Layout) -> Self {
        if layout.size() == blocks::SIZE && layout.align() <= blocks::ALIGNED {
            Self::Block
        } else if layout.size() >= LARGE && layout.align() <= PAGE {
            Self::Large
        } else {
            Self::Small
        }
    }
}

impl Heap {
    const fn new() -> Self {
        Self { small: Mutex::new(Dlmalloc::new()), blocks: Mutex::new(Blocks::new()) }
    }

    fn small(&self) -> MutexGuard<'_, Dlmalloc> {
        self.small.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn blocks(&self) -> MutexGuard<'_, Blocks> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// SAFETY: each kind of memory goes back to where it is from.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match Kind::from(layout) {
            // SAFETY: any size and alignment will do.
            Kind::Small => unsafe { self.small().c_memalign(layout.align(), layout.size()) },
            Kind::Block => self.blocks().take(),
            Kind::Large => map(layout.size()),
        }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: it is from there, and of that size.
        unsafe {
            match Kind::from(layout) {
                Kind::Small => self.small().c_free(memory),
                Kind::Block => self.blocks().give_back(memory),
                Kind::Large => drop(libc::munmap(memory.cast(), layout.size())),
            }
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: what was allocated is as large as that.
        unsafe {
            let memory = self.alloc(layout);
            // The kernel's is full of zeros.
            if !memory.is_null() && !matches!(Kind::from(layout), Kind::Large) {
                memory.write_bytes(0, layout.size());
            }
            memory
        }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: sizes that do not overflow are the caller's duty, and what is copied is as large as the smaller of both.
        unsafe {
            let new = Layout::from_size_align_unchecked(size, layout.align());
            match (Kind::from(layout), Kind::from(new)) {
                // Otherwise it might be aligned to less.
                (Kind::Small, Kind::Small) if layout.align() <= align_of::<usize>() => {
                    return self.small().c_realloc(old, size);
                }
                (Kind::Large, Kind::Large) => return remap(old, layout.size(), size),
                _ => {}
            }
            let memory = self.alloc(new);
            if !memory.is_null() {
                ptr::copy_nonoverlapping(old, memory, size.min(layout.size()));
                self.dealloc(old, layout);
            }
            memory
        }
    }
}

/// New memory, or null where there is none.
pub(crate) fn map(size: usize) -> *mut u8 {
    let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: memory that is new and nobody's.
    or_null(unsafe { libc::mmap(ptr::null_mut(), size, access, kind, -1, 0) })
}

/// The same memory with another size, maybe elsewhere, or null where there is none.
///
/// # Safety
///
/// It must be one of [`map`] with the size `old`.
unsafe fn remap(memory: *mut u8, old: usize, size: usize) -> *mut u8 {
    // SAFETY: as said above.
    or_null(unsafe { libc::mremap(memory.cast(), old, size, libc::MREMAP_MAYMOVE) })
}

fn or_null(memory: *mut libc::c_void) -> *mut u8 {
    if memory == libc::MAP_FAILED { ptr::null_mut() } else { memory.cast() }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::thread;

    use super::*;

    /// Sizes around each border between kinds of memory.
    const SIZES: [usize; 11] = [1, 8, 100, 4000, 8191, 8192, 8193, LARGE - 1, LARGE, LARGE + 1, 3 * LARGE];

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).unwrap()
    }

    /// Memory full of one byte, which is looked at before it is given back: nobody else may have written there.
    struct Filled<'a> {
        heap: &'a Heap,
        memory: *mut u8,
        layout: Layout,
        byte: u8,
    }

    impl<'a> Filled<'a> {
        fn new(heap: &'a Heap, layout: Layout, byte: u8) -> Self {
            // SAFETY: no layout here is of nothing, and what was allocated is as large as that.
            let memory = unsafe {
                let memory = heap.alloc(layout);
                memory.write_bytes(byte, layout.size());
                memory
            };
            assert_eq!(memory.addr() % layout.align(), 0, "{layout:?}");
            Self { heap, memory, layout, byte }
        }

        fn resize(&mut self, size: usize) {
            let kept = size.min(self.layout.size());
            // SAFETY: the same.
            unsafe {
                self.memory = self.heap.realloc(self.memory, self.layout, size);
                self.layout = layout(size, self.layout.align());
                self.check(kept);
                self.memory.write_bytes(self.byte, size);
            }
            assert_eq!(self.memory.addr() % self.layout.align(), 0, "{:?}", self.layout);
        }

        fn check(&self, size: usize) {
            // SAFETY: so much was written.
            let bytes = unsafe { std::slice::from_raw_parts(self.memory, size) };
            assert!(bytes.iter().all(|byte| *byte == self.byte), "{:?}", self.layout);
        }
    }

    impl Drop for Filled<'_> {
        fn drop(&mut self) {
            self.check(self.layout.size());
            // SAFETY: nobody uses it any more.
            unsafe { self.heap.dealloc(self.memory, self.layout) };
        }
    }

    #[test]
    fn memory_is_aligned_and_nobody_elses() {
        let heap = Heap::new();
        let layouts =
            SIZES.into_iter().flat_map(|size| [1, 8, 16, 64, 128, 8192].map(|align| layout(size, align)));
        let filled = layouts.zip(0..).map(|(layout, byte)| Filled::new(&heap, layout, byte));
        drop(filled.collect::<Vec<_>>());
    }

    #[test]
    fn what_grows_or_shrinks_keeps_its_bytes_from_any_size_to_any_other() {
        let heap = Heap::new();
        for align in [1, 16, 64, 8192] {
            for from in SIZES {
                for to in SIZES {
                    Filled::new(&heap, layout(from, align), 7).resize(to);
                }
            }
        }
    }

    #[test]
    fn zeros_are_zeros_in_memory_that_was_used_before() {
        let heap = Heap::new();
        for size in SIZES {
            drop(Filled::new(&heap, layout(size, 1), 7));
            // SAFETY: it is not of nothing.
            let memory = unsafe { heap.alloc_zeroed(layout(size, 1)) };
            drop(Filled { heap: &heap, memory, layout: layout(size, 1), byte: 0 });
        }
    }

    #[test]
    fn threads_share_it_and_give_back_what_others_have_taken() {
        let heap = Heap::new();
        let (sender, receiver) = std::sync::mpsc::channel();
        thread::scope(|scope| {
            for byte in 0..4 {
                let (heap, sender) = (&heap, sender.clone());
                scope.spawn(move || {
                    let mut held = VecDeque::new();
                    for turn in 0..5000_usize {
                        let size = SIZES[(turn * 7 + usize::from(byte)) % 8] + turn % 50;
                        held.push_back(Filled::new(heap, layout(size, 8), byte));
                        if let Some(mut oldest) = held.pop_front_if(|_| turn > 20) {
                            oldest.resize(size);
                            if turn % 3 == 0 {
                                // It is checked and given back by the thread that receives it.
                                let Filled { memory, layout, byte, .. } = oldest;
                                std::mem::forget(oldest);
                                sender.send((memory.expose_provenance(), layout, byte)).unwrap();
                            }
                        }
                    }
                });
            }
            drop(sender);
            for (address, layout, byte) in receiver {
                drop(Filled { heap: &heap, memory: ptr::with_exposed_provenance_mut(address), layout, byte });
            }
        });
    }

    #[test]
    fn where_there_is_no_memory_there_is_none() {
        let heap = Heap::new();
        for align in [8, 64] {
            // SAFETY: it is not of nothing.
            assert!(unsafe { heap.alloc(layout(isize::MAX as usize - 100, align)) }.is_null());
        }
    }
}
