//! Conversations with a consumer, and a model of it.
