//! The configuration language, the options and the command line.
