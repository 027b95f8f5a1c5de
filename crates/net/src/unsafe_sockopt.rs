//! The one socket option that no safe crate offers.
#![cfg_attr(target_os = "linux", expect(unsafe_code, reason = "setsockopt takes a pointer"))]

use std::io;
use std::os::fd::BorrowedFd;

/// Sets how many bytes must lie ready before a socket counts as readable (`SO_RCVLOWAT`). Reads
/// that do not block still return whatever is there.
#[cfg(target_os = "linux")]
pub(crate) fn set_receive_low_water(socket: BorrowedFd<'_>, bytes: u32) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    let value = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    let size = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the descriptor is open for as long as it is borrowed; the pointer is to a local of
    // exactly the size given, which the kernel only reads, and only during the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_RCVLOWAT,
            (&raw const value).cast(),
            size,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Elsewhere a low-water mark does not keep the poller from waking.
#[cfg(not(target_os = "linux"))]
pub(crate) fn set_receive_low_water(_: BorrowedFd<'_>, _: u32) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
