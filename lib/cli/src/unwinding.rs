//! Programs that abort on a panic do not unwind, so in images they have nothing to unwind with.
//!
//! The standard library comes compiled for both, and calls libunwind. These functions take the place of libunwind's. As
//! the one that walks a stack never calls anybody back, the linker leaves out all that makes a backtrace of it as well:
//! the readers of DWARF, ELF and compressed sections. That is a fifth of a program. Nothing is lost: there are neither symbols
//! nor tables for unwinding that a backtrace could be made from, and a panic's own message stays.

#![expect(unsafe_code, reason = "symbols of libunwind's are defined in its place")]

use std::ffi::{c_int, c_void};

/// libunwind's `_URC_END_OF_STACK`.
const END_OF_STACK: c_int = 5;

// SAFETY: only the standard library calls it, to print a backtrace, which is empty then.
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Backtrace(_callback: *const c_void, _argument: *mut c_void) -> c_int {
    END_OF_STACK
}

macro_rules! never_called {
    ($($name:ident)*) => { $(
        // SAFETY: it is called only while a stack is unwound, and nothing begins to.
        #[unsafe(no_mangle)]
        extern "C" fn $name() -> ! {
            std::process::abort()
        }
    )* };
}

never_called! {
    _Unwind_GetDataRelBase
    _Unwind_GetIPInfo
    _Unwind_GetLanguageSpecificData
    _Unwind_GetRegionStart
    _Unwind_GetTextRelBase
    _Unwind_Resume
    _Unwind_SetGR
    _Unwind_SetIP
}
