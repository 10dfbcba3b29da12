//! The program that takes models out of the user's Python: it is told what to do by a file and answers by files.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Its files; the first is the one that is run, and its head says how it is asked.
const FILES: [(&str, &str); 4] = [
    ("exporter.py", include_str!("export/exporter.py")),
    (
        "keras_exporter.py",
        include_str!("export/keras_exporter.py"),
    ),
    ("model_source.py", include_str!("export/model_source.py")),
    (
        "torch_exporter.py",
        include_str!("export/torch_exporter.py"),
    ),
];

/// Writes the program into a directory, and gives the path of what a Python is to run.
///
/// # Errors
/// When it cannot be written.
pub fn write(directory: &Path) -> io::Result<PathBuf> {
    for (name, text) in FILES {
        fs::write(directory.join(name), text)?;
    }
    Ok(directory.join(FILES[0].0))
}
