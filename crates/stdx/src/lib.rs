//! What could have been in std: time, the logging facade, Go-shaped text. No NATS word inside.

pub mod decimal;
pub mod go_text;
pub mod log;
pub mod os_text;
pub mod rate_limit;
pub mod time;
