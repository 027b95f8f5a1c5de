//! Subjects: grammar, matching, transforms, interest indexes.
