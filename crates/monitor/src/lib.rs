//! What operators see: monitoring documents and events.
