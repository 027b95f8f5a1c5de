//! Tests of the room, by subject.
