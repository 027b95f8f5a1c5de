//! One whole server without its sockets.
