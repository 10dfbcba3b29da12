//! Files that are read again before they take their name.

use crate::ExportError;
use ane_train::checkpoint::replace_file;
use std::{fs, path::Path};

/// Makes `path` a file of `bytes`, after `check` has found nothing wrong with what comes back from the disk.
///
/// # Errors
/// When it cannot be written, or comes back otherwise; what had the name stays as it is then.
pub(crate) fn replace(
    path: &Path,
    bytes: &[u8],
    check: impl FnOnce(&[u8]) -> Result<(), String>,
) -> Result<(), ExportError> {
    let io = |action| {
        move |source| ExportError::Io {
            action,
            path: path.to_owned(),
            source,
        }
    };
    let folder = path.parent().filter(|f| !f.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let beside = tempfile::Builder::new()
        .prefix(".ane-trainer-")
        .tempdir_in(folder)
        .map_err(io("write in the folder of"))?;
    let unfinished = beside.path().join("file");
    replace_file(&unfinished, bytes).map_err(|e| io("write")(std::io::Error::other(e)))?;
    let back = fs::read(&unfinished).map_err(io("read again"))?;
    let differs = |difference| ExportError::ReadBack {
        file: path.display().to_string(),
        difference,
    };
    check(&back).map_err(differs)?;
    fs::rename(&unfinished, path).map_err(io("rename to"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_comes_back_otherwise_does_not_take_the_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.onnx");
        fs::write(&path, "old").unwrap();
        let error = replace(&path, b"new", |_| Err("it is empty".to_owned())).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("model.onnx") && text.contains("it is empty"),
            "{text}"
        );
        assert_eq!(fs::read(&path).unwrap(), b"old");
        replace(&path, b"new", |back| {
            assert_eq!(back, b"new");
            Ok(())
        })
        .unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
