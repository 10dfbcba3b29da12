//! Checkpoints: one file that holds everything a run needs to continue bit for bit, and fp32 weights beside it.
//!
//! Layout: the magic `ANETRAIN`, a format version (u32, little-endian), the length of the body (u64), the body, and the
//! SHA-256 of everything before it. The body is a safetensors file: raw state tensors, and the record as JSON in its
//! metadata. A file is written under a temporary name, flushed to disk and renamed, so that a name always points to a
//! whole checkpoint.

use crate::{
    machine::Machine,
    metric::{Metric, Tally},
    store::{State, StateTensor},
    trainer::{Progress, StepOutcome},
};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
};

const MAGIC: &[u8; 8] = b"ANETRAIN";
/// Version of the format that this program writes, and the newest that it reads.
pub const FORMAT: u32 = 1;
const HEAD: usize = 20;
const DIGEST: usize = 32;

/// What a checkpoint says besides its tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The resolved configuration of the run, as in `config.json`.
    pub config: serde_json::Value,
    /// Counters.
    pub progress: Progress,
    /// The next batch: epoch, and number within it.
    pub position: (u64, usize),
    /// Sums of the epoch so far.
    pub epoch_sums: EpochSums,
    /// Best validation result so far, and the epoch that reached it.
    pub best: Option<(f64, u64)>,
    /// What computed it; older checkpoints do not say.
    #[serde(default)]
    pub machine: Option<Machine>,
}

/// Running sums of an epoch's training metrics.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct EpochSums {
    /// Σ loss · examples over the steps whose loss was finite.
    pub loss: f64,
    /// Of the metrics, by name.
    #[serde(default)]
    pub metrics: BTreeMap<String, Tally>,
    /// Examples.
    pub examples: u64,
    /// Examples of steps whose loss was not finite, among them.
    #[serde(default)]
    pub without_loss: u64,
}

impl EpochSums {
    /// Takes note of a step; `metrics` are those of its tallies.
    pub fn add(&mut self, outcome: &StepOutcome, metrics: &[&'static dyn Metric]) {
        for (metric, more) in metrics.iter().zip(&outcome.tallies) {
            let tally = self.metrics.entry(metric.name().to_owned()).or_default();
            tally.sum += more.sum;
            tally.count += more.count;
        }
        let examples = outcome.examples as u64;
        self.examples += examples;
        if outcome.loss.is_finite() {
            self.loss += f64::from(outcome.loss) * examples as f64;
        } else {
            self.without_loss += examples;
        }
    }

    /// Mean over the examples with a finite loss; none without any.
    pub fn mean_loss(&self) -> Option<f64> {
        let examples = self.examples.saturating_sub(self.without_loss);
        (examples > 0).then(|| self.loss / examples as f64)
    }

    /// Values of `metrics`; NaN of one that nothing was added to.
    pub fn values(&self, metrics: &[&'static dyn Metric]) -> Vec<(&'static str, f64)> {
        let value = |metric: &&'static dyn Metric| {
            let tally = self.metrics.get(metric.name()).copied().unwrap_or_default();
            (metric.name(), metric.value(&tally))
        };
        metrics.iter().map(value).collect()
    }
}

/// A checkpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// Counters and configuration.
    pub record: Record,
    /// State by name, in raw bits.
    pub state: State,
}

/// A checkpoint cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The system refused.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file is not a checkpoint.
    #[error("`{}` is not a checkpoint: it starts with {found:?}, expected {:?}", path.display(), String::from_utf8_lossy(MAGIC))]
    Magic {
        /// The file.
        path: PathBuf,
        /// Its first bytes.
        found: String,
    },
    /// The file was written by a newer program.
    #[error("`{}` has format {found}, this program reads up to {FORMAT}; use the program that wrote it", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// The file is shorter or longer than it says.
    #[error("`{}` is cut off or padded: expected {expected} bytes, found {found}", path.display())]
    Length {
        /// The file.
        path: PathBuf,
        /// What its head says.
        expected: u64,
        /// Its size.
        found: u64,
    },
    /// The bytes are not those that were written.
    #[error("`{}` is damaged: its checksum is {expected}, its content has {found}", path.display())]
    Checksum {
        /// The file.
        path: PathBuf,
        /// What the file says.
        expected: String,
        /// What its content has.
        found: String,
    },
    /// The body has another structure than this format: written by another program.
    #[error("`{}` holds no checkpoint of this program: {reason}", path.display())]
    Body {
        /// The file.
        path: PathBuf,
        /// What is missing.
        reason: String,
    },
}

impl CheckpointError {
    /// What the user can do.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Io { .. } => Some("check that the directory exists, is writable and has space left".into()),
            Self::Magic { .. } | Self::Body { .. } => {
                Some("pass a run directory, or a `.ckpt` file from its `checkpoints` folder".into())
            }
            Self::Format { .. } => None,
            Self::Length { .. } | Self::Checksum { .. } => Some(
                "resume from the other checkpoint of the run (`--resume RUN/checkpoints/best.ckpt` or `last.ckpt`)"
                    .into(),
            ),
        }
    }
}

impl Checkpoint {
    fn encode(&self) -> Result<Vec<u8>, String> {
        let bytes: Vec<(&String, Dtype, Vec<u8>)> = self
            .state
            .iter()
            .map(|(name, t)| match t {
                StateTensor::Fp16(x) => (
                    name,
                    Dtype::F16,
                    x.iter().flat_map(|v| v.to_le_bytes()).collect(),
                ),
                StateTensor::Fp32(x) => (
                    name,
                    Dtype::F32,
                    x.iter().flat_map(|v| v.to_le_bytes()).collect(),
                ),
            })
            .collect();
        let views = bytes
            .iter()
            .map(|(name, dtype, data)| {
                let size = if *dtype == Dtype::F16 { 2 } else { 4 };
                TensorView::new(*dtype, vec![data.len() / size], data).map(|v| (name.as_str(), v))
            })
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| e.to_string())?;
        let record = serde_json::to_string(&self.record).map_err(|e| e.to_string())?;
        let metadata = HashMap::from([("record".to_owned(), record)]);
        let body = safetensors::serialize(views, Some(metadata)).map_err(|e| e.to_string())?;
        let mut file = Vec::with_capacity(HEAD + body.len() + DIGEST);
        file.extend(MAGIC);
        file.extend(FORMAT.to_le_bytes());
        file.extend((body.len() as u64).to_le_bytes());
        file.extend(body);
        let digest = Sha256::digest(&file);
        file.extend(digest);
        Ok(file)
    }

    /// Writes the checkpoint at `path`, replacing what is there only when the new file is whole and on disk.
    ///
    /// # Errors
    /// When the file cannot be written; the old one is intact then.
    pub fn write(&self, path: &Path) -> Result<(), CheckpointError> {
        let bytes = self.encode().map_err(|reason| CheckpointError::Body {
            path: path.to_owned(),
            reason,
        })?;
        replace_file(path, &bytes)
    }

    /// Reads a checkpoint.
    ///
    /// # Errors
    /// When the file is missing, damaged, of another kind or of a newer format.
    pub fn read(path: &Path) -> Result<Self, CheckpointError> {
        let path_buf = || path.to_owned();
        let file = std::fs::read(path).map_err(|source| CheckpointError::Io {
            action: "read",
            path: path_buf(),
            source,
        })?;
        let found = file.len() as u64;
        if file.len() < HEAD || &file[..8] != MAGIC {
            if file.starts_with(MAGIC) || (file.len() < 8 && MAGIC.starts_with(&file)) {
                return Err(CheckpointError::Length {
                    path: path_buf(),
                    expected: (HEAD + DIGEST) as u64,
                    found,
                });
            }
            return Err(CheckpointError::Magic {
                path: path_buf(),
                found: String::from_utf8_lossy(&file[..file.len().min(8)]).into_owned(),
            });
        }
        let version = u32::from_le_bytes([file[8], file[9], file[10], file[11]]);
        if version > FORMAT {
            return Err(CheckpointError::Format {
                path: path_buf(),
                found: version,
            });
        }
        let mut length = [0; 8];
        length.copy_from_slice(&file[12..HEAD]);
        let expected = u64::from_le_bytes(length).saturating_add((HEAD + DIGEST) as u64);
        if expected != found {
            return Err(CheckpointError::Length {
                path: path_buf(),
                expected,
                found,
            });
        }
        let (content, digest) = file.split_at(file.len() - DIGEST);
        let actual = Sha256::digest(content);
        if actual[..] != *digest {
            return Err(CheckpointError::Checksum {
                path: path_buf(),
                expected: hex(digest),
                found: hex(&actual),
            });
        }
        decode(&content[HEAD..]).map_err(|reason| CheckpointError::Body {
            path: path_buf(),
            reason,
        })
    }
}

fn decode(body: &[u8]) -> Result<Checkpoint, String> {
    let (_, head) = SafeTensors::read_metadata(body).map_err(|e| e.to_string())?;
    let record = head
        .metadata()
        .as_ref()
        .and_then(|m| m.get("record"))
        .ok_or("no record in its metadata")?;
    let record = serde_json::from_str(record).map_err(|e| e.to_string())?;
    let tensors = SafeTensors::deserialize(body).map_err(|e| e.to_string())?;
    let mut state = State::new();
    for (name, view) in tensors.tensors() {
        let data = view.data();
        let tensor = match view.dtype() {
            Dtype::F16 => StateTensor::Fp16(
                data.as_chunks::<2>()
                    .0
                    .iter()
                    .map(|c| u16::from_le_bytes(*c))
                    .collect(),
            ),
            Dtype::F32 => StateTensor::Fp32(
                data.as_chunks::<4>()
                    .0
                    .iter()
                    .map(|c| f32::from_le_bytes(*c))
                    .collect(),
            ),
            other => return Err(format!("tensor `{name}` is {other:?}")),
        };
        state.insert(name, tensor);
    }
    Ok(Checkpoint { record, state })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// How the names of files begin that are not whole yet.
const UNFINISHED: &str = ".writing-";

/// Removes what writes that were killed have left in `folder`.
///
/// # Errors
/// When the folder cannot be read or a file not removed.
pub(crate) fn remove_unfinished(folder: &Path) -> Result<(), CheckpointError> {
    let io = |action: &'static str, path: &Path| {
        let path = path.to_owned();
        move |source| CheckpointError::Io {
            action,
            path,
            source,
        }
    };
    for entry in std::fs::read_dir(folder).map_err(io("read", folder))? {
        let entry = entry.map_err(io("read", folder))?;
        let name = entry.file_name();
        if name.to_str().is_some_and(|n| n.starts_with(UNFINISHED)) {
            std::fs::remove_file(entry.path()).map_err(io("remove", &entry.path()))?;
        }
    }
    Ok(())
}

/// Replaces the file at `path` by `bytes`, or leaves it as it was.
///
/// # Errors
/// When the bytes cannot be brought to disk.
pub fn replace_file(path: &Path, bytes: &[u8]) -> Result<(), CheckpointError> {
    let io = |action: &'static str, path: &Path| {
        let path = path.to_owned();
        move |source| CheckpointError::Io {
            action,
            path,
            source,
        }
    };
    // A bare name has an empty parent, which is no folder.
    let folder = path.parent().filter(|f| !f.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(UNFINISHED);
    // As any other file of the user's: what the umask leaves of it.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder
        .tempfile_in(folder)
        .map_err(io("write in", folder))?;
    let (first, rest) = bytes.split_at(bytes.len() / 2);
    file.write_all(first).map_err(io("write", path))?;
    crash_point("write");
    file.write_all(rest).map_err(io("write", path))?;
    file.as_file().sync_all().map_err(io("flush", path))?;
    crash_point("rename");
    file.persist(path)
        .map_err(|e| io("rename to", path)(e.error))?;
    // The rename itself must survive a power cut.
    File::open(folder)
        .and_then(|f| f.sync_all())
        .map_err(io("flush", folder))
}

/// Name of the variable that makes the program kill itself at a point of a write, for tests of resuming:
/// `write:3` during the third, `rename:3` between flushing and renaming it.
pub const CRASH_VARIABLE: &str = "ANE_TRAINER_CRASH";

fn crash_point(point: &str) {
    use std::sync::atomic::{AtomicU32, Ordering};
    static PASSED: AtomicU32 = AtomicU32::new(0);
    let Ok(wanted) = std::env::var(CRASH_VARIABLE) else {
        return;
    };
    let Some((at, count)) = wanted.split_once(':') else {
        return;
    };
    if at == point && count.parse() == Ok(PASSED.fetch_add(1, Ordering::Relaxed) + 1) {
        std::process::abort();
    }
}

/// Writes fp32 weights under PyTorch's names.
///
/// # Errors
/// When the file cannot be written; the old one is intact then.
pub fn write_weights(
    path: &Path,
    weights: &[(String, Vec<usize>, Vec<f32>)],
) -> Result<(), CheckpointError> {
    let body_error = |e: safetensors::SafeTensorError| CheckpointError::Body {
        path: path.to_owned(),
        reason: e.to_string(),
    };
    let bytes: Vec<Vec<u8>> = weights
        .iter()
        .map(|(_, _, x)| x.iter().flat_map(|v| v.to_le_bytes()).collect())
        .collect();
    let views = weights
        .iter()
        .zip(&bytes)
        .map(|((name, shape, _), data)| {
            TensorView::new(Dtype::F32, shape.clone(), data).map(|v| (name.as_str(), v))
        })
        .collect::<Result<Vec<_>, _>>()
        .map_err(body_error)?;
    let file = safetensors::serialize(views, None).map_err(body_error)?;
    replace_file(path, &file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint() -> Checkpoint {
        Checkpoint {
            record: Record {
                config: serde_json::json!({"model": "4-2"}),
                progress: Progress::default(),
                position: (1, 2),
                epoch_sums: EpochSums::default(),
                best: Some((0.5, 1)),
                machine: None,
            },
            state: State::from([
                (
                    "weight.0.weight".into(),
                    StateTensor::Fp32(vec![1.5, -0.0, f32::NAN]),
                ),
                (
                    "weight.0.bias.hi".into(),
                    StateTensor::Fp16(vec![1, 0x7C01]),
                ),
            ]),
        }
    }

    #[test]
    fn a_checkpoint_comes_back_bit_for_bit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("last.ckpt");
        checkpoint().write(&path).unwrap();
        let back = Checkpoint::read(&path).unwrap();
        assert_eq!(back.record, checkpoint().record);
        assert_eq!(back.encode().unwrap(), checkpoint().encode().unwrap());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_checkpoint_from_before_the_machine_was_recorded_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("last.ckpt");
        let mut record = serde_json::to_value(checkpoint().record).unwrap();
        record.as_object_mut().unwrap().remove("machine").unwrap();
        assert_eq!(
            serde_json::from_value::<Record>(record).unwrap(),
            checkpoint().record
        );
        let machine = Some(Machine::this(ane_engine::simd::Isa::Portable));
        let mut newer = checkpoint();
        newer.record.machine = machine.clone();
        newer.write(&path).unwrap();
        assert_eq!(Checkpoint::read(&path).unwrap().record.machine, machine);
    }

    #[test]
    fn files_have_the_permissions_that_the_user_asks_for() {
        let dir = tempfile::tempdir().unwrap();
        let (ours, plain) = (dir.path().join("ours"), dir.path().join("plain"));
        replace_file(&ours, b"x").unwrap();
        std::fs::write(&plain, b"x").unwrap();
        let permissions = |path: &Path| std::fs::metadata(path).unwrap().permissions();
        assert_eq!(permissions(&ours), permissions(&plain));
    }

    #[test]
    fn examples_count_whatever_their_loss_is() {
        let step = |loss: f32| StepOutcome {
            loss,
            examples: 4,
            tallies: vec![Tally {
                sum: 2.0,
                count: 4.0,
            }],
            overflow: false,
            lr: 0.1,
            loss_scale: 1.0,
            grad_norm: None,
        };
        let mut sums = EpochSums::default();
        let metrics: [&'static dyn Metric; 1] = [&crate::metric::Accuracy];
        sums.add(&step(f32::NAN), &metrics);
        assert_eq!(sums.mean_loss(), None);
        sums.add(&step(1.5), &metrics);
        assert_eq!(sums.mean_loss(), Some(1.5));
        assert_eq!(sums.examples, 8);
        assert_eq!(sums.values(&metrics), [("accuracy", 0.5)]);
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("last.ckpt");
        let whole = checkpoint().encode().unwrap();
        for i in 0..whole.len() {
            let mut bad = whole.clone();
            bad[i] ^= 1 << (i % 8);
            std::fs::write(&path, &bad).unwrap();
            assert!(Checkpoint::read(&path).is_err(), "byte {i}");
        }
        for len in 0..whole.len() {
            std::fs::write(&path, &whole[..len]).unwrap();
            assert!(Checkpoint::read(&path).is_err(), "length {len}");
        }
    }

    #[test]
    fn errors_say_what_is_wrong() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.ckpt");
        std::fs::write(&path, b"PK\x03\x04 something else that is long enough").unwrap();
        assert!(matches!(
            Checkpoint::read(&path),
            Err(CheckpointError::Magic { .. })
        ));
        let mut newer = checkpoint().encode().unwrap();
        newer[8] = 2;
        std::fs::write(&path, newer).unwrap();
        assert!(matches!(
            Checkpoint::read(&path),
            Err(CheckpointError::Format { found: 2, .. })
        ));
        assert!(matches!(
            Checkpoint::read(&dir.path().join("none")),
            Err(CheckpointError::Io { .. })
        ));
    }
}
