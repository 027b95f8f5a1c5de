//! Conversations with a consumer, and a model of it.

mod acks;
mod changes;
mod hostile;
mod model;
mod oracle;
mod priority;
mod pulls;
mod pushes;
mod starts;
mod world;
