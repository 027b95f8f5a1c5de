//! Accounts, sessions, and the dispatch of one message to many outboxes.
