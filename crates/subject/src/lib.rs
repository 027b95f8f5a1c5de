//! Subjects: grammar, matching, transforms, interest indexes.

pub mod sublist;
