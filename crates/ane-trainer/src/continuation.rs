//! Where a run goes on: the checkpoint that is meant, the directory it belongs to, and one that holds no other run.

use crate::{
    code::Code, failure::Failure, missing_run::missing_run, model_file, output::remark,
    run_name::default_out,
};
use ane_engine::simd::Isa;
use ane_train::{
    checkpoint::{Best, Checkpoint, CheckpointError, replace_file},
    config::RunConfig,
    data::{DataError, Description, catalog},
    fit::Patience,
    models::is_model_file,
    run_dir::RunDir,
};
use std::{
    error::Error,
    io,
    path::{Path, PathBuf},
};

/// A checkpoint from which a run goes on.
#[derive(Debug)]
pub(crate) struct Continuation {
    /// The file.
    pub(crate) file: PathBuf,
    /// What it holds.
    pub(crate) checkpoint: Checkpoint,
    /// The directory of its run; none for a file that lies alone.
    run: Option<PathBuf>,
    /// That directory, where the run goes on in it.
    taken: Option<RunDir>,
}

impl Continuation {
    /// Reads the checkpoint that `path` means, for a run that goes on in `out`. Where that is its own directory, the
    /// directory is taken first, so that nobody else writes what is read here; `looks_only` takes nothing.
    pub(crate) fn open(path: &Path, out: Option<&Path>, looks_only: bool) -> Result<Self, Failure> {
        let run = run_of(path);
        let goes_on_in = |run: &&PathBuf| out.is_none_or(|out| same_place(run, out));
        let taken = match run.as_ref().filter(goes_on_in) {
            Some(run) if !looks_only && run.is_dir() => Some(RunDir::take(run)?),
            _ => None,
        };
        let (file, checkpoint) = read_checkpoint(path)?;
        Ok(Self {
            file,
            checkpoint,
            run,
            taken,
        })
    }

    /// Why there is nothing left to do, where it would go on in place and what came of it has been written.
    pub(crate) fn has_ended(&self, config: &RunConfig) -> Option<String> {
        let record = &self.checkpoint.record;
        self.taken.as_ref().filter(|t| t.result().is_file())?;
        let is_last = |most: &u64| record.progress.step >= *most;
        // What ended it comes first, so that more of that is what is asked for.
        let (done, more) = match (config.max_steps.filter(is_last), config.patience) {
            (Some(steps), _) => (format!("all of its {steps} steps"), "--max-steps"),
            _ if record.position.0 >= config.epochs => {
                (format!("all of its {} epochs", config.epochs), "--epochs")
            }
            (None, Some(epochs)) if self.has_waited(config) => {
                return Some(format!(
                    "the run had ended, with no better validation result in {epochs} epochs, and its files stay as \
                     they are; with more --patience or --epochs it goes on"
                ));
            }
            _ => return None,
        };
        Some(format!(
            "the run had ended: {done} are done, and its files stay as they are; with more {more} it goes on"
        ))
    }

    /// Whether it has waited long enough for a better validation result.
    pub(crate) fn has_waited(&self, config: &RunConfig) -> bool {
        let record = &self.checkpoint.record;
        let (epochs, batch) = record.position;
        let waits = Patience::of(config).filter(|_| batch == 0);
        waits.is_some_and(|p| p.is_over(record.best.as_ref(), epochs))
    }

    /// The best epoch so far, if its checkpoint is in `run`, from where it would be evaluated.
    pub(crate) fn best_in(&self, run: &RunDir) -> Option<Best> {
        let best = self.checkpoint.record.best;
        best.filter(|_| run.checkpoint("best").is_file())
    }

    /// Whether the run can go on with the same bits: from this place in its epochs of so many batches, on this machine.
    pub(crate) fn must_go_on(
        &self,
        config: &RunConfig,
        batches: usize,
        isa: Isa,
        on_any_machine: bool,
    ) -> Result<(), Failure> {
        let record = &self.checkpoint.record;
        let cannot = |why: &dyn std::fmt::Display| {
            format!("cannot continue `{}`: {why}", self.file.display())
        };
        if let Some(why) = record.misplaced(config.epochs, batches) {
            return Err(
                Failure::new(cannot(&why), "resume from another checkpoint of the run")
                    .with_code(Code::CannotResume),
            );
        }
        if let Some(computed) = &record.machine
            && let Err(e) = computed.goes_on_with(isa)
        {
            if !on_any_machine {
                let help = format!("{}, or pass --allow-other-machine", e.help());
                return Err(Failure::new(cannot(&e), help).with_code(Code::CannotResume));
            }
            remark!("note: {e}");
        }
        Ok(())
    }

    /// The failure of a checkpoint whose state is not that of its own configuration.
    pub(crate) fn misfit(&self, differs: impl Error + Send + Sync + 'static) -> Failure {
        Failure::because(
            format!(
                "`{}` does not fit its own configuration",
                self.file.display()
            ),
            differs,
            "resume from another checkpoint of the run",
        )
        .with_code(Code::StateDiffers)
    }

    /// Brings the earlier part of the run to the directory in which it goes on, when that is another one, and makes the
    /// checkpoint from which it goes on its last one.
    pub(crate) fn carry_over(&self, to: &RunDir) -> Result<(), Failure> {
        let own = self.run.as_deref().map(RunDir::open);
        let earlier = |file: &dyn Fn(&RunDir) -> PathBuf| (own.as_ref().map(file), file(to));
        let files = [
            earlier(&RunDir::metrics),
            earlier(&RunDir::steps),
            earlier(&RunDir::timing),
            earlier(&RunDir::findings),
            earlier(&RunDir::commands),
            earlier(&|run| run.checkpoint("best")),
            earlier(&|run| run.weights("best")),
            (Some(self.file.clone()), to.checkpoint("last")),
        ];
        for (from, to) in files {
            bring(from.as_deref(), &to)?;
        }
        Ok(())
    }
}

/// Makes the file `to` what `from` is, or removes it where there is no such file.
fn bring(from: Option<&Path>, to: &Path) -> Result<(), Failure> {
    let failed = |what: &str, path: &Path, e: io::Error| {
        Failure::because(
            format!("cannot {what} `{}`", path.display()),
            e,
            "leave --out out to go on in place",
        )
    };
    match from.filter(|from| from.is_file()) {
        Some(from) if same_place(from, to) => {}
        Some(from) => {
            let limit = ane_device::available_memory().unwrap_or(u64::MAX);
            let bytes = ane_files::read(from, limit).map_err(|e| failed("read", from, e.into()))?;
            replace_file(to, &bytes)?;
        }
        None if to.exists() => {
            std::fs::remove_file(to).map_err(|e| failed("remove", to, e))?;
        }
        None => {}
    }
    Ok(())
}

/// The checkpoint that a path means, and where it is.
pub(crate) fn read_checkpoint(path: &Path) -> Result<(PathBuf, Checkpoint), Failure> {
    let file = if path.is_dir() {
        last_of(&RunDir::open(path))?
    } else if path.extension().is_none_or(|end| end != "ckpt") && !path.exists() {
        return Err(missing_run(path));
    } else {
        path.to_owned()
    };
    let checkpoint = Checkpoint::read(&file).map_err(|e| {
        let is_damaged = matches!(
            e,
            CheckpointError::Length { .. } | CheckpointError::Checksum { .. }
        );
        let others = ["last", "best"].map(|name| file.with_file_name(format!("{name}.ckpt")));
        let other = others.into_iter().find(|o| *o != file && o.is_file());
        match other.filter(|_| is_damaged) {
            Some(other) => Failure::from(e).advised(format!("try {}", other.display())),
            None => e.into(),
        }
    })?;
    Ok((file, checkpoint))
}

/// The checkpoint that a run is judged by, `best` where there is one, or the one that a path means, and where it is.
pub(crate) fn judged_by(path: &Path) -> Result<(PathBuf, Checkpoint), Failure> {
    let best = RunDir::open(path).checkpoint("best");
    read_checkpoint(if best.is_file() { &best } else { path })
}

/// The last checkpoint of a run, which may have none.
fn last_of(run: &RunDir) -> Result<PathBuf, Failure> {
    let (last, best) = (run.checkpoint("last"), run.checkpoint("best"));
    let root = run.root().display();
    if last.exists() {
        return Ok(last);
    }
    if best.exists() {
        return Err(Failure::new(
            format!("`{root}` has lost its last checkpoint, there is only the best"),
            format!("pass {} to take that one", best.display()),
        )
        .with_code(Code::NotSoFar));
    }
    if run.config().exists() {
        let how = match run.ending().exists() {
            true => "train` with another --out".to_owned(),
            false => format!("train --out {root}`"),
        };
        return Err(Failure::new(
            format!(
                "`{root}` has no checkpoint yet: its run ended before the first one was written"
            ),
            format!(
                "start it again with `ane-trainer {how} and the arguments it had, which are in {}; \
                 with --checkpoint-every it does not wait for the end of an epoch",
                run.config().display()
            ),
        )
        .with_code(Code::NotSoFar));
    }
    Err(missing_run(run.root()))
}

/// The configuration of the run that wrote a checkpoint.
pub(crate) fn stored_config(file: &Path, checkpoint: &Checkpoint) -> Result<RunConfig, Failure> {
    config_in(run_of(file).as_deref(), file, checkpoint)
}

/// The configuration in a checkpoint, whose model, where it was written elsewhere, lies in `directory`.
pub(crate) fn config_in(
    directory: Option<&Path>,
    file: &Path,
    checkpoint: &Checkpoint,
) -> Result<RunConfig, Failure> {
    let config = checkpoint.record.config.clone();
    let mut config: RunConfig = serde_json::from_value(config).map_err(|e| {
        Failure::new(
            format!(
                "`{}` holds a configuration that this program does not know: {e}",
                file.display()
            ),
            "use the program that wrote it",
        )
    })?;
    config.check().map_err(|e| {
        Failure::because(
            format!("`{}` holds a configuration that no run has", file.display()),
            e,
            "resume from another checkpoint of the run",
        )
    })?;
    if is_model_file(&config.model) {
        config.imported = Some(model_file::of_run(&config, directory)?);
    }
    Ok(config)
}

/// What the examples of the run are that wrote a checkpoint.
pub(crate) fn description(
    config: &RunConfig,
    checkpoint: &Checkpoint,
) -> Result<Description, Failure> {
    match &checkpoint.record.data {
        Some(data) => Ok(data.clone()),
        None => {
            let spec = catalog::find(&config.dataset)?;
            let described = spec.description(config.centred);
            Ok(described.ok_or(DataError::NotDivided { dataset: spec.name })?)
        }
    }
}

/// Refuses examples that a run divides anew where they are not those that it has learned from: what it is judged by may be
/// among what it has seen.
pub(crate) fn must_be_those_of(
    known: &Description,
    found: &Description,
    file: &Path,
) -> Result<(), Failure> {
    if known.fingerprint == found.fingerprint {
        return Ok(());
    }
    Err(Failure::new(
        format!(
            "`{}` holds other examples than those that `{}` has learned from",
            found.title,
            file.display()
        ),
        "bring the data back as it was, name examples that it has not seen by --data, or start a new run",
    )
    .with_code(Code::OwnData))
}

/// The directory of the run that a path means: itself, or the one in whose `checkpoints` a file lies.
pub(crate) fn run_of(path: &Path) -> Option<PathBuf> {
    if path.is_dir() {
        return Some(path.to_owned());
    }
    let folder = path.canonicalize().ok()?.parent()?.to_owned();
    let run = RunDir::open(folder.parent()?);
    if !folder.ends_with("checkpoints") || !run.config().is_file() {
        return None;
    }
    // As the user writes it, where that names it.
    let written = path.parent().and_then(Path::parent);
    let written = written.filter(|p| same_place(p, run.root()));
    Some(written.unwrap_or(run.root()).to_owned())
}

/// The directory of a run that begins, or goes on, and that nobody else has: `out`, its own, one beside a checkpoint that
/// lies alone, or a new one.
pub(crate) fn run_dir(
    out: Option<&Path>,
    going_on: Option<&mut Continuation>,
    dataset: &str,
) -> Result<RunDir, Failure> {
    match (out, going_on) {
        (out, Some(c)) => match (c.taken.take(), out) {
            (Some(own), _) => Ok(own.prepare()?),
            (None, Some(out)) => create(out, Some(c)),
            (None, None) => Ok(RunDir::create_new(&c.file.with_extension(""))?),
        },
        (Some(out), None) => create(out, None),
        (None, None) => Ok(RunDir::create_new(&default_out(dataset))?),
    }
}

/// Makes or takes `out`, in which another run may have begun meanwhile.
fn create(out: &Path, going_on: Option<&Continuation>) -> Result<RunDir, Failure> {
    let run = RunDir::create(out)?;
    refuse_another_run(out, going_on)?;
    Ok(run)
}

/// Refuses a directory that is somebody's, or in which another run is than the one that goes on, if one does.
pub(crate) fn refuse_another_run(
    out: &Path,
    going_on: Option<&Continuation>,
) -> Result<(), Failure> {
    let there = RunDir::open(out);
    let Some(trace) = there.trace() else {
        if let Some(found) = there.foreign()? {
            return Err(Failure::usage(
                format!(
                    "`{}` is not empty and holds no run: there is `{}`",
                    out.display(),
                    found.display()
                ),
                "pass as --out a folder that is new or empty",
            ));
        }
        return Ok(());
    };
    let own = going_on.and_then(|c| c.run.as_deref());
    if own.is_some_and(|own| same_place(own, out)) {
        return Ok(());
    }
    Err(Failure::usage(
        format!(
            "`{}` holds another run already: there is `{}`",
            out.display(),
            trace.display()
        ),
        match [there.checkpoint("last"), there.config()].map(|file| file.exists()) {
            [true, _] => format!(
                "pass another --out, or --resume {} to go on with that run",
                out.display()
            ),
            [_, true] => format!(
                "pass another --out, or remove that run by `ane-trainer runs rm {}`",
                out.display()
            ),
            _ => "pass another --out".to_owned(),
        },
    ))
}

/// Whether two paths lead to the same place that exists.
fn same_place(a: &Path, b: &Path) -> bool {
    let resolved = |p: &Path| match p.as_os_str().is_empty() {
        true => Path::new(".").canonicalize(),
        false => p.canonicalize(),
    };
    matches!((resolved(a), resolved(b)), (Ok(a), Ok(b)) if a == b)
}
