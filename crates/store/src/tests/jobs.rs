//! Jobs: what waits where, what may run beside what, and who never waits.
