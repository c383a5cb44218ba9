//! Stubs in place of libunwind. Programs in images abort on a panic and never unwind.
//!
//! The standard library is compiled to unwind and links libunwind. The stub for backtraces never calls its callback, so the
//! linker also drops the code that prints backtraces: readers of DWARF, ELF and compressed sections, a fifth of a program.
//! Nothing is lost: the programs have no symbols or unwind tables for a backtrace, and a panic still prints its message.

#![expect(unsafe_code, reason = "defines the symbols of libunwind")]

use std::ffi::{c_int, c_void};

/// libunwind's `_URC_END_OF_STACK`.
const END_OF_STACK: c_int = 5;

// SAFETY: only the standard library calls it, to print a backtrace. The backtrace is then empty.
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Backtrace(_callback: *const c_void, _argument: *mut c_void) -> c_int {
    END_OF_STACK
}

macro_rules! never_called {
    ($($name:ident)*) => { $(
        // SAFETY: it is called only during unwinding or by the callback of a backtrace, which never start.
        #[unsafe(no_mangle)]
        extern "C" fn $name() -> ! {
            std::process::abort()
        }
    )* };
}

// All symbols that the standard library refers to. Without LTO, a missing one would link libunwind, which defines the others again.
never_called! {
    _Unwind_FindEnclosingFunction
    _Unwind_GetCFA
    _Unwind_GetDataRelBase
    _Unwind_GetIP
    _Unwind_GetIPInfo
    _Unwind_GetLanguageSpecificData
    _Unwind_GetRegionStart
    _Unwind_GetTextRelBase
    _Unwind_Resume
    _Unwind_SetGR
    _Unwind_SetIP
}
