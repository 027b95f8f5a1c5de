//! The queue's view against the disk it will become.
