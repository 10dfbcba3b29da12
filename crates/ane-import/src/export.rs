//! Scripts that take models out of the user's Python; they are told what to do by a file and answer by files.

/// Takes a Keras model out of Python, and trained weights back into it; its head says how it is asked.
pub const KERAS: &str = include_str!("export/keras_exporter.py");
