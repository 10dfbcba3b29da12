//! Checkpoints: one file that holds everything a run needs to continue bit for bit, and fp32 weights beside it.
//!
//! Layout: the magic `ANETRAIN`, a format version (u32, little-endian), the length of the body (u64), the body, and the
//! SHA-256 of everything before it. The body is a safetensors file: raw state tensors, and the record as JSON in its
//! metadata. A file is written under a temporary name, flushed to disk and renamed, so that a name always points to a
//! whole checkpoint.

mod record;
mod weights;

pub use record::{Best, EpochSums, Record};
pub use weights::{read_weights, write_weights};

use crate::store::{State, StateTensor};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use sha2::{Digest, Sha256};
use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

const MAGIC: &[u8; 8] = b"ANETRAIN";
/// Version of the format that this program writes, and the newest that it reads.
pub const FORMAT: u32 = 1;
const HEAD: usize = 20;
const DIGEST: usize = 32;

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
    /// The file was written by another program: a newer one, or none of ours.
    #[error("`{}` has format {found}, this program reads format 1 to {FORMAT}; use the program that wrote it", path.display())]
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
    /// The file is longer than what can be held in memory.
    #[error("`{}` has {found} bytes, and {limit} can be read: its content and what is made of it have to fit into memory", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        found: u64,
        /// The most that can be read.
        limit: u64,
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
    /// Another process trains in the run directory.
    #[error("`{}` is in use: {} trains there", run.display(), holder.map_or("another process".to_owned(), |id| format!("process {id}")))]
    Busy {
        /// The run directory.
        run: PathBuf,
        /// Number of the process, where it is known.
        holder: Option<u32>,
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
    /// Turns an error of the system into one that says what was tried, such as `read`, and on which path.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }

    /// What the user can do.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Io { .. } => Some("check that the directory exists, is writable and has space left".into()),
            Self::Magic { .. } | Self::Body { .. } => {
                Some("pass a run directory, or a `.ckpt` file from its `checkpoints` folder".into())
            }
            Self::Format { .. } => None,
            Self::TooLarge { .. } => Some("free memory, or check that it is the file you mean".into()),
            Self::Busy { .. } => Some("wait until it has ended, or pass another --out".into()),
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
        let io = |source| CheckpointError::Io {
            action: "read",
            path: path_buf(),
            source,
        };
        let (mut opened, found) = ane_files::open(path).map_err(|e| io(e.into()))?;
        // What the head says decides whether anything more is read.
        let mut file = Vec::new();
        let mut head = Read::by_ref(&mut opened).take(HEAD as u64);
        head.read_to_end(&mut file).map_err(io)?;
        check_head(path, &file, found)?;
        // The content is held as it is, and a second time as tensors.
        let limit = ane_device::available_memory().unwrap_or(u64::MAX) / 2;
        if found > limit {
            let path = path_buf();
            return Err(CheckpointError::TooLarge { path, found, limit });
        }
        let mut rest = opened.take(found - HEAD as u64);
        rest.read_to_end(&mut file).map_err(io)?;
        if file.len() as u64 != found {
            return Err(CheckpointError::Length {
                path: path_buf(),
                expected: found,
                found: file.len() as u64,
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

/// Whether a file of `found` bytes that begins so is a whole checkpoint of a format that is read.
fn check_head(path: &Path, head: &[u8], found: u64) -> Result<(), CheckpointError> {
    let path = || path.to_owned();
    if head.len() < HEAD || &head[..8] != MAGIC {
        if head.starts_with(MAGIC) || (head.len() < 8 && MAGIC.starts_with(head)) {
            return Err(CheckpointError::Length {
                path: path(),
                expected: (HEAD + DIGEST) as u64,
                found,
            });
        }
        return Err(CheckpointError::Magic {
            path: path(),
            found: String::from_utf8_lossy(&head[..head.len().min(8)]).into_owned(),
        });
    }
    let version = u32::from_le_bytes([head[8], head[9], head[10], head[11]]);
    if !(1..=FORMAT).contains(&version) {
        return Err(CheckpointError::Format {
            path: path(),
            found: version,
        });
    }
    let mut length = [0; 8];
    length.copy_from_slice(&head[12..HEAD]);
    let expected = u64::from_le_bytes(length).saturating_add((HEAD + DIGEST) as u64);
    if expected != found {
        return Err(CheckpointError::Length {
            path: path(),
            expected,
            found,
        });
    }
    Ok(())
}

fn decode(body: &[u8]) -> Result<Checkpoint, String> {
    let (_, head) = SafeTensors::read_metadata(body).map_err(|e| e.to_string())?;
    let record = head
        .metadata()
        .as_ref()
        .and_then(|m| m.get("record"))
        .ok_or("no record in its metadata")?;
    let record: Record = serde_json::from_str(record).map_err(|e| e.to_string())?;
    if let Some(reason) = record.implausible() {
        return Err(reason);
    }
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
pub(crate) const UNFINISHED: &str = ".writing-";

/// Removes what writes that were killed have left in `folder`.
///
/// # Errors
/// When the folder cannot be read or a file not removed.
pub(crate) fn remove_unfinished(folder: &Path) -> Result<(), CheckpointError> {
    let io = CheckpointError::io;
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
    let io = CheckpointError::io;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        machine::Machine,
        metric::{Metric, Tally},
        trainer::{Progress, StepOutcome},
    };

    fn checkpoint() -> Checkpoint {
        Checkpoint {
            record: Record {
                config: serde_json::json!({"model": "4-2"}),
                progress: Progress::default(),
                position: (1, 2),
                epoch_sums: EpochSums::default(),
                best: Some(Best {
                    value: 0.5,
                    loss: 0.25,
                    epoch: 1,
                }),
                machine: None,
                data: None,
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
    fn a_record_that_no_run_can_have_written_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("last.ckpt");
        let mut bad = checkpoint();
        bad.record.progress.updates = 1;
        bad.write(&path).unwrap();
        let error = Checkpoint::read(&path).unwrap_err();
        assert!(matches!(error, CheckpointError::Body { .. }), "{error}");
        assert!(error.to_string().contains("1 updates"), "{error}");
    }

    #[test]
    fn a_file_of_terabytes_is_refused_by_its_head() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sparse.ckpt");
        let size: u64 = 1 << 42;
        let mut head = checkpoint().encode().unwrap();
        head.truncate(12);
        head.extend((size - (HEAD + DIGEST) as u64).to_le_bytes());
        std::fs::write(&path, head).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        file.set_len(size).unwrap();
        let error = Checkpoint::read(&path).unwrap_err();
        assert!(matches!(error, CheckpointError::TooLarge { found, .. } if found == size));
        assert!(error.to_string().contains("4398046511104 bytes"), "{error}");
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
        for format in [0, 2] {
            let mut other = checkpoint().encode().unwrap();
            other[8] = format;
            std::fs::write(&path, other).unwrap();
            let error = Checkpoint::read(&path).unwrap_err();
            assert!(
                matches!(error, CheckpointError::Format { found, .. } if found == u32::from(format))
            );
        }
        assert!(matches!(
            Checkpoint::read(&dir.path().join("none")),
            Err(CheckpointError::Io { .. })
        ));
    }
}
