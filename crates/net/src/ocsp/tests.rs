//! Answers of responders, good and bad, and what is kept of them.
