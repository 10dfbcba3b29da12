//! Where a run goes on: the checkpoint that is meant, the directory it belongs to, and one that holds no other run.

use crate::failure::Failure;
use ane_train::{
    checkpoint::{Checkpoint, replace_file},
    run_dir::RunDir,
};
use std::{
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

/// The checkpoint that a path means, and where it is.
pub(crate) fn read_checkpoint(path: &Path) -> Result<(PathBuf, Checkpoint), Failure> {
    let file = if path.is_dir() {
        RunDir::open(path).checkpoint("last")
    } else {
        path.to_owned()
    };
    let checkpoint = Checkpoint::read(&file)?;
    Ok((file, checkpoint))
}

/// The run directory of a checkpoint file.
pub(crate) fn run_of(checkpoint: &Path) -> PathBuf {
    checkpoint
        .parent()
        .and_then(Path::parent)
        .map_or_else(|| PathBuf::from("."), Path::to_owned)
}

/// Refuses a directory in which another run is than the one that goes on, if one does.
pub(crate) fn refuse_another_run(out: &Path, resumed: Option<&Path>) -> Result<(), Failure> {
    let there = RunDir::open(out);
    let Some(trace) = there.trace() else {
        return Ok(());
    };
    let is_own = |path: &Path| same_place(&run_of(path), out);
    if resumed.is_some_and(is_own) {
        return Ok(());
    }
    Err(Failure::usage(
        format!(
            "`{}` holds another run already: there is `{}`",
            out.display(),
            trace.display()
        ),
        format!(
            "pass another --out, or --resume {} to go on with that run",
            out.display()
        ),
    ))
}

/// Whether two paths lead to the same place that exists.
fn same_place(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

/// Brings the earlier part of a run to the directory in which it goes on, when that is another one, and makes the
/// checkpoint from which it goes on its last one.
pub(crate) fn carry_over(checkpoint: &Path, to: &RunDir) -> Result<(), Failure> {
    let from = RunDir::open(&run_of(checkpoint));
    let files = [
        (from.metrics(), to.metrics()),
        (from.checkpoint("best"), to.checkpoint("best")),
        (from.weights("best"), to.weights("best")),
        (checkpoint.to_owned(), to.checkpoint("last")),
    ];
    for (from, to) in files {
        if same_place(&from, &to) {
            continue;
        }
        let failed = |what: &str, path: &Path, e: std::io::Error| {
            Failure::because(
                format!("cannot {what} `{}`", path.display()),
                e,
                "leave --out out to go on in place",
            )
        };
        if from.is_file() {
            let bytes = std::fs::read(&from).map_err(|e| failed("read", &from, e))?;
            replace_file(&to, &bytes)?;
        } else if to.exists() {
            std::fs::remove_file(&to).map_err(|e| failed("remove", &to, e))?;
        }
    }
    Ok(())
}

/// The directory of a run that was given none.
pub(crate) fn default_out(dataset: &str) -> PathBuf {
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_secs());
    PathBuf::from("runs").join(format!("{dataset}-{seconds}"))
}
