//! The allocator of the program, and when it gives memory back.
//!
//! It keeps freed memory for a second, in its arenas for ten, before the system gets it. A server
//! that is busy never lets that time pass: after 200,000 messages half of what it held was free.

#![expect(unsafe_code, reason = "the allocator's options are set through its C interface")]

use std::ffi::{c_int, c_long};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay` of mimalloc 2 and 3.
const PURGE_DELAY: c_int = 15;
/// Milliseconds; what is needed again sooner costs no system call.
const DELAY_MS: c_long = 10;

unsafe extern "C" {
    fn mi_option_set_default(option: c_int, value: c_long);
}

/// Freed memory goes back soon, unless the environment says otherwise (`MIMALLOC_PURGE_DELAY`).
pub(crate) fn give_back_soon() {
    // SAFETY: the symbol is that of the allocator above, which is linked in; it takes any number
    // and stores the value of an option that it knows. No other thread runs yet.
    unsafe { mi_option_set_default(PURGE_DELAY, DELAY_MS) };
}
