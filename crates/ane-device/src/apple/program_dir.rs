//! One directory per program: `model.mil` and `weights.bin`, as Apple's compilers read them.

use super::{AppleError, options::PROGRAMS};
use ane_mil::Program;
use sha2::{Digest, Sha256};
use std::{
    ffi::OsString,
    fs::{self, File},
    io,
    os::unix::{
        ffi::OsStringExt,
        fs::{DirBuilderExt, MetadataExt},
    },
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

/// The text, as the compilers look for it.
const MODEL: &str = "model.mil";
/// The weight file, as the text calls it.
const WEIGHTS: &str = "weights.bin";
/// Locked for as long as the directory's owner lives.
const LOCK: &str = "lock";
/// Names a directory of the framework's that goes with this one.
const ELSEWHERE: &str = "elsewhere";
/// Marks a directory that its owner has left for someone to look at.
const KEPT: &str = "kept";
/// Kept directories that stay; older ones are swept.
const MOST_KEPT: usize = 20;
/// How often a directory is written again because it was swept before it was locked.
const MOST_SWEPT: usize = 16;

/// What a program is known by: the SHA-256 of its text and weights, in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct ContentHash(String);

impl ContentHash {
    /// The hash of a program for a compiler that is given `options`.
    pub(super) fn of(program: &Program, options: &str) -> Self {
        let mut hash = Sha256::new();
        for part in [
            options.as_bytes(),
            program.text.as_bytes(),
            &program.weights,
        ] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        Self(hash.finalize().iter().map(|b| format!("{b:02x}")).collect())
    }

    /// The hash in hexadecimal.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A program's files. The directory is removed when this is dropped, unless [`ProgramDir::keep`] was called.
#[derive(Debug)]
pub(super) struct ProgramDir {
    path: PathBuf,
    /// Held open, and so locked, for as long as the directory is ours.
    lock: Option<File>,
    /// Whether the files outlive this.
    is_kept: AtomicBool,
}

impl ProgramDir {
    /// Writes the files of `program` into a directory of its own in `root`.
    ///
    /// The directory appears under its name only when it is whole. Names hold the process and a counter besides the hash, because
    /// two processes may run the same program and each removes its own files.
    ///
    /// # Errors
    /// [`AppleError::Directory`] when something cannot be written.
    pub(super) fn create(
        root: &Path,
        hash: &ContentHash,
        program: &Program,
    ) -> Result<Self, AppleError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{:.16}-{}-{number}", hash.as_str(), std::process::id());
        let path = root.join(&name);
        let unfinished = root.join(format!("{name}.new"));
        make_root(root).map_err(failed("create", root))?;
        // Left by an earlier process of the same number.
        let _ = fs::remove_dir_all(&path);
        let _ = fs::remove_dir_all(&unfinished);
        let write = || {
            fs::create_dir(&unfinished)?;
            let lock = File::create(unfinished.join(LOCK))?;
            lock.lock()?;
            fs::write(unfinished.join(MODEL), &program.text)?;
            fs::write(unfinished.join(WEIGHTS), &program.weights)?;
            fs::rename(&unfinished, &path)?;
            Ok(lock)
        };
        let mut written = write();
        // Another process that starts may sweep the directory before it is locked.
        for _ in 0..MOST_SWEPT {
            let is_swept = |e: &io::Error| e.kind() == io::ErrorKind::NotFound;
            if !written.as_ref().is_err_and(is_swept) {
                break;
            }
            let _ = fs::remove_dir_all(&unfinished);
            written = write();
        }
        match written {
            Ok(lock) => Ok(Self {
                path,
                lock: Some(lock),
                is_kept: AtomicBool::new(false),
            }),
            Err(source) => {
                let _ = fs::remove_dir_all(&unfinished);
                Err(failed("write", &path)(source))
            }
        }
    }

    /// The directory.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The text.
    pub(super) fn mil(&self) -> PathBuf {
        self.path.join(MODEL)
    }

    /// Leaves the files where they are when this is dropped, for someone to look at, and says where the text is.
    pub(super) fn keep(&self) -> PathBuf {
        if !self.is_kept.swap(true, Ordering::Relaxed) {
            // The lock goes with this and so after the mark, since a directory without either is swept.
            let _ = fs::write(self.path.join(KEPT), "");
        }
        self.mil()
    }
}

impl Drop for ProgramDir {
    fn drop(&mut self) {
        if self.lock.is_some() && !*self.is_kept.get_mut() {
            // What cannot be removed now is removed by a later `sweep`.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Records, in the directory of a program, that the framework's `directory` goes with it, so that it is found when this
/// process can no longer remove it.
///
/// # Errors
/// When the record cannot be written.
#[cfg(any(objective_c, test))]
pub(super) fn record_elsewhere(own: &Path, directory: &Path) -> io::Result<()> {
    fs::write(
        own.join(ELSEWHERE),
        directory.as_os_str().as_encoded_bytes(),
    )
}

/// Removes the framework's directory that a program of a dead process has left. Only what lies directly in the
/// temporary directory, where the framework puts it, and holds a program is touched.
fn remove_elsewhere(own: &Path) {
    let Ok(record) = fs::read(own.join(ELSEWHERE)) else {
        return;
    };
    let record = PathBuf::from(OsString::from_vec(record));
    let (Some(parent), Some(name)) = (record.parent(), record.file_name()) else {
        return;
    };
    let resolved = |path: &Path| path.canonicalize().ok();
    let is_temporary = resolved(parent).is_some_and(|p| Some(p) == resolved(&std::env::temp_dir()));
    // Put together anew, so that nothing behind the name, such as `..`, leads elsewhere.
    let directory = parent.join(name);
    let is_directory = fs::symlink_metadata(&directory).is_ok_and(|m| m.is_dir());
    if is_temporary && is_directory && directory.join(MODEL).is_file() {
        let _ = fs::remove_dir_all(directory);
    }
}

/// Removes the directories of processes that have ended without doing so, and of those that were kept all but the newest
/// [`MOST_KEPT`]. Many left-overs choke Apple's compiler service (anemll).
pub(super) fn sweep(root: &Path) {
    // Whoever else owns the root could name anything in it.
    let is_own = fs::metadata(root).is_ok_and(|m| m.uid() == rustix::process::geteuid().as_raw());
    let Ok(entries) = fs::read_dir(root) else {
        return;
    };
    if !is_own {
        return;
    }
    let mut kept = Vec::new();
    for entry in entries.flatten() {
        let path = entry.path();
        let Ok(lock) = File::open(path.join(LOCK)) else {
            continue;
        };
        if lock.try_lock().is_err() {
            continue;
        }
        remove_elsewhere(&path);
        // Looked at under the lock: before its owner lets go of that, the mark is there.
        match fs::metadata(path.join(KEPT)).and_then(|mark| mark.modified()) {
            Ok(since) => kept.push((since, path)),
            Err(_) => drop(fs::remove_dir_all(path)),
        }
    }
    kept.sort();
    let surplus = kept.len().saturating_sub(MOST_KEPT);
    for (_, path) in &kept[..surplus] {
        let _ = fs::remove_dir_all(path);
    }
}

/// Makes the directory of directories, for this user alone.
fn make_root(root: &Path) -> io::Result<()> {
    let mut all = fs::DirBuilder::new();
    all.recursive(true).mode(0o700).create(root)
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> AppleError {
    let path = path.to_owned();
    move |source| AppleError::Directory {
        what,
        path,
        source,
        variable: PROGRAMS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(text: &str) -> Program {
        Program {
            text: text.into(),
            weights: vec![1, 2, 3],
            in_place: Vec::new(),
        }
    }

    fn create(root: &Path, text: &str) -> ProgramDir {
        let program = program(text);
        ProgramDir::create(root, &ContentHash::of(&program, ""), &program).unwrap()
    }

    fn names(root: &Path) -> Vec<String> {
        let entries = fs::read_dir(root).unwrap();
        entries
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn directories_hold_the_program_and_go_with_their_owner() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().join("made/when/needed");
        let (a, b) = (create(&root, "program"), create(&root, "program"));
        assert_ne!(a.path(), b.path());
        assert_eq!(fs::read_to_string(a.mil()).unwrap(), "program");
        assert_eq!(fs::read(a.path().join(WEIGHTS)).unwrap(), [1, 2, 3]);
        sweep(&root);
        assert_eq!(names(&root).len(), 2, "the owners live");
        drop((a, b));
        assert_eq!(names(&root), [""; 0]);
    }

    #[test]
    fn kept_directories_stay() {
        let root = tempfile::tempdir().unwrap();
        let a = create(root.path(), "program");
        let mil = a.keep();
        drop(a);
        sweep(root.path());
        assert_eq!(fs::read_to_string(mil).unwrap(), "program");
    }

    #[test]
    fn of_kept_directories_the_newest_stay() {
        let root = tempfile::tempdir().unwrap();
        let start = std::time::SystemTime::UNIX_EPOCH;
        let all: Vec<PathBuf> = (0..MOST_KEPT as u64 + 3)
            .map(|age| {
                let program = create(root.path(), "program");
                program.keep();
                let mark = File::options().write(true).open(program.path().join(KEPT));
                let when = start + std::time::Duration::from_secs(age);
                mark.unwrap().set_modified(when).unwrap();
                program.path().to_owned()
            })
            .collect();
        sweep(root.path());
        let left: Vec<bool> = all.iter().map(|path| path.exists()).collect();
        assert_eq!(left[..3], [false; 3]);
        assert_eq!(left[3..], [true; MOST_KEPT]);
    }

    #[test]
    fn programs_are_written_while_another_process_sweeps() {
        let root = tempfile::tempdir().unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|s| {
            s.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    sweep(root.path());
                }
            });
            let content = program("program");
            let hash = ContentHash::of(&content, "");
            let whole: Vec<bool> = (0..300)
                .map(|_| {
                    let made = ProgramDir::create(root.path(), &hash, &content);
                    made.is_ok_and(|p| p.mil().exists() && p.path().join(WEIGHTS).exists())
                })
                .collect();
            let kept: Vec<bool> = (0..MOST_KEPT)
                .map(|_| {
                    let made = ProgramDir::create(root.path(), &hash, &content);
                    made.is_ok_and(|p| p.keep().exists())
                })
                .collect();
            done.store(true, Ordering::Relaxed);
            assert_eq!(whole, [true; 300]);
            assert_eq!(kept, [true; MOST_KEPT]);
        });
        assert_eq!(names(root.path()).len(), MOST_KEPT);
    }

    #[test]
    fn what_a_dead_process_left_is_swept() {
        let root = tempfile::tempdir().unwrap();
        let mut a = create(root.path(), "program");
        // Closing the file unlocks it, as the end of a process does.
        a.lock = None;
        drop(a);
        assert_eq!(names(root.path()).len(), 1);
        sweep(root.path());
        assert_eq!(names(root.path()), [""; 0]);
    }

    #[test]
    fn what_the_framework_kept_for_a_dead_process_is_swept_too() {
        let root = tempfile::tempdir().unwrap();
        let of_framework = |name: &str, within: &Path| {
            let directory = within.join(name);
            fs::create_dir(&directory).unwrap();
            fs::write(directory.join(MODEL), "program").unwrap();
            directory
        };
        let there = tempfile::tempdir().unwrap();
        let unique = there.path().file_name().unwrap().to_str().unwrap();
        let ours = of_framework(&format!("{unique}-A_B_C"), &std::env::temp_dir());
        let not_ours = of_framework("A_B_C", there.path());
        let dots = of_framework(&format!("{unique}-D"), &std::env::temp_dir());
        let living = create(root.path(), "living");
        record_elsewhere(living.path(), &ours).unwrap();
        sweep(root.path());
        assert!(ours.is_dir());
        drop(living);
        for directory in [&ours, &not_ours, &dots.join("..")] {
            let mut dead = create(root.path(), "dead");
            record_elsewhere(dead.path(), directory).unwrap();
            dead.lock = None;
        }
        sweep(root.path());
        assert!(!ours.exists() && not_ours.is_dir() && dots.is_dir());
        fs::remove_dir_all(dots).unwrap();
    }

    #[test]
    fn a_root_that_cannot_be_written_is_an_error_that_says_what_to_set() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("file");
        fs::write(&file, "").unwrap();
        let program = program("");
        let e = ProgramDir::create(&file, &ContentHash::of(&program, ""), &program).unwrap_err();
        let e = e.to_string();
        assert!(
            e.contains("file`") && e.contains("ANE_TRAINER_PROGRAMS"),
            "{e}"
        );
    }

    #[test]
    fn hashes_tell_text_weights_and_options_apart() {
        let hash = |text: &str, weights: &[u8], options| {
            let program = Program {
                text: text.into(),
                weights: weights.into(),
                in_place: Vec::new(),
            };
            ContentHash::of(&program, options)
        };
        let a = hash("ab", b"c", "h16");
        assert_eq!(a, hash("ab", b"c", "h16"));
        for b in [
            hash("a", b"bc", "h16"),
            hash("ab", b"d", "h16"),
            hash("ab", b"c", "h13"),
        ] {
            assert_ne!(a, b);
        }
        assert_eq!(a.as_str().len(), 64);
    }
}
