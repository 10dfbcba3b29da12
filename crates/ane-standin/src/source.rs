//! A program as its files say it: text, weights, and a fingerprint of both.

use crate::program::{Function, Program};
use ane_engine::{Options, Plan, PlanError};
use ane_ir::{Module, Target};
use ane_mil::{BlobError, BlobSource, DirectoryBlobs, ParseError, Violation, check, parse};
use sha2::{Digest, Sha256};
use std::{
    cell::RefCell,
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The file that is read when a directory is given.
pub const MODEL_FILE: &str = "model.mil";

/// What stands for the directory of the program in the paths of its text.
const MODEL_PATH: &str = "@model_path/";

/// A program could not be read or compiled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProgramError {
    /// A file cannot be read or written.
    #[error("cannot {verb} `{}`", path.display())]
    File {
        /// `read` or `write`.
        verb: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The text is no program, or its weight file does not hold what the text says.
    #[error("`{}` is no program:\n{excerpt}", path.display())]
    Text {
        /// The file.
        path: PathBuf,
        /// The place in the text, with what is wrong there.
        excerpt: String,
        /// What is wrong.
        error: Box<ParseError>,
    },
    /// The target does not take a function.
    #[error("{target} does not take function `{function}`:\n{}", list(violations))]
    Law {
        /// The target.
        target: Target,
        /// The function.
        function: String,
        /// Every rule it breaks, and where.
        violations: Vec<Violation>,
    },
    /// The software engine cannot run a function.
    #[error("function `{function}` cannot be planned: {error}")]
    Plan {
        /// The function.
        function: String,
        /// Why not.
        error: PlanError,
    },
}

fn list(violations: &[Violation]) -> String {
    let all: Vec<String> = violations.iter().map(Violation::to_string).collect();
    all.join("\n")
}

/// A parsed program with the bytes it was parsed from. Later changes of the files do not reach it.
#[derive(Debug, Clone)]
pub struct Source {
    text: String,
    weights: BTreeMap<String, Arc<[u8]>>,
    module: Module,
    digest: String,
}

/// Weight files, remembered as they are read.
struct Remembering {
    from: DirectoryBlobs,
    seen: RefCell<BTreeMap<String, Arc<[u8]>>>,
}

impl BlobSource for Remembering {
    fn load(&self, path: &str) -> Result<Arc<[u8]>, BlobError> {
        let bytes = self.from.load(path)?;
        self.seen
            .borrow_mut()
            .insert(path.to_owned(), bytes.clone());
        Ok(bytes)
    }
}

impl Source {
    /// Reads the text at `path`, or `model.mil` in it when it is a directory, and the weight files that the text names,
    /// which lie beside it.
    ///
    /// # Errors
    /// When a file cannot be read, the text is no program, or text and weights disagree.
    pub fn read(path: &Path) -> Result<Self, ProgramError> {
        let path = if path.is_dir() {
            path.join(MODEL_FILE)
        } else {
            path.to_owned()
        };
        let text = fs::read_to_string(&path).map_err(|source| ProgramError::File {
            verb: "read",
            path: path.clone(),
            source,
        })?;
        let directory = match path.parent() {
            Some(directory) if !directory.as_os_str().is_empty() => directory,
            _ => Path::new("."),
        };
        let blobs = Remembering {
            from: DirectoryBlobs::new(directory),
            seen: RefCell::default(),
        };
        let module = parse(&text, &blobs).map_err(|error| ProgramError::Text {
            path: path.clone(),
            excerpt: error.excerpt(),
            error: Box::new(error),
        })?;
        let weights = blobs.seen.into_inner();
        let digest = digest(&text, &weights);
        Ok(Self {
            text,
            weights,
            module,
            digest,
        })
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Weight files by their path in the text.
    pub fn weights(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.weights.iter().map(|(path, bytes)| (&**path, &**bytes))
    }

    /// SHA-256 of the text and of every weight file it names, in lower-case hexadecimal.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Writes `model.mil` and the weight files into `directory`, which exists.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, directory: &Path) -> Result<(), ProgramError> {
        let write = |path: PathBuf, bytes: &[u8]| {
            let folder = path.parent().unwrap_or(directory);
            fs::create_dir_all(folder)
                .and_then(|()| fs::write(&path, bytes))
                .map_err(|source| ProgramError::File {
                    verb: "write",
                    path: path.clone(),
                    source,
                })
        };
        write(directory.join(MODEL_FILE), self.text.as_bytes())?;
        for (path, bytes) in self.weights() {
            // Reading has refused every path that leads out of the directory.
            write(
                directory.join(path.strip_prefix(MODEL_PATH).unwrap_or(path)),
                bytes,
            )?;
        }
        Ok(())
    }

    /// Holds every function to the law of `target` and compiles it for the software engine.
    ///
    /// # Errors
    /// When a function breaks a rule of the target, or the engine cannot run it.
    pub fn compile(&self, target: &Target, options: Options) -> Result<Program, ProgramError> {
        let functions = self.module.functions.iter().map(|function| {
            let legal =
                check(function.graph.clone(), target).map_err(|violations| ProgramError::Law {
                    target: *target,
                    function: function.name.clone(),
                    violations,
                })?;
            let plan = Plan::compile(legal.graph(), options.clone()).map_err(|error| {
                ProgramError::Plan {
                    function: function.name.clone(),
                    error,
                }
            })?;
            Ok(Function::new(&function.name, plan))
        });
        Ok(Program::new(
            *target,
            &self.digest,
            functions.collect::<Result<_, ProgramError>>()?,
        ))
    }
}

fn digest(text: &str, weights: &BTreeMap<String, Arc<[u8]>>) -> String {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        // Lengths keep one file's end from being taken for the next one's beginning.
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    part(text.as_bytes());
    for (path, bytes) in weights {
        part(path.as_bytes());
        part(bytes);
    }
    hash.finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Environment;
    use ane_ir::{Graph, Literal, TensorType};

    fn written(width: usize, first: f64) -> tempfile::TempDir {
        let mut g = Graph::new();
        let ty = TensorType::fp16([1, width]);
        let x = g.input("x", ty.clone()).unwrap();
        let values: Vec<f64> = (0..width).map(|i| first + i as f64).collect();
        let c = g.constant(Literal::from_f64(ty, &values)).unwrap();
        let y = g.add(x, c).unwrap();
        g.output("y", y).unwrap();
        let program = ane_mil::print(&check(g, &Target::SOFTWARE).unwrap());
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(MODEL_FILE), program.text).unwrap();
        fs::write(directory.path().join("weights.bin"), program.weights).unwrap();
        directory
    }

    #[test]
    fn the_digest_covers_text_and_weights() {
        let read = |d: &tempfile::TempDir| Source::read(d.path()).unwrap();
        let (a, same, weights, text) = (
            written(32, 0.0),
            written(32, 0.0),
            written(32, 1.0),
            written(64, 0.0),
        );
        assert_eq!(read(&a).digest(), read(&same).digest());
        assert_eq!(read(&a).text(), read(&weights).text());
        assert_ne!(read(&a).digest(), read(&weights).digest());
        assert_ne!(read(&a).digest(), read(&text).digest());
    }

    #[test]
    fn a_written_copy_is_the_same_program() {
        let original = Source::read(&written(32, 0.5).path().join(MODEL_FILE)).unwrap();
        let copy = tempfile::tempdir().unwrap();
        original.write(copy.path()).unwrap();
        let copy = Source::read(copy.path()).unwrap();
        assert_eq!(copy.digest(), original.digest());
        assert_eq!(copy.weights().count(), 1);
    }

    #[test]
    fn what_breaks_the_law_is_refused_with_the_reasons() {
        let directory = tempfile::tempdir().unwrap();
        let text = "program(1.3) { func main<ios18>(tensor<fp32, [1, 32]> x) {
            tensor<fp32, [1, 32]> y = abs(x = x); } -> (y); }";
        fs::write(directory.path().join(MODEL_FILE), text).unwrap();
        let source = Source::read(directory.path()).unwrap();
        let environment = Environment::default();
        let compile = |target: &str| {
            let target = target.parse().unwrap();
            source.compile(&target, environment.options(&target))
        };
        let error = compile("h16").unwrap_err().to_string();
        assert!(
            error.contains("h16 does not take function `main`") && error.contains("[io_dtypes]"),
            "{error}"
        );
        assert!(compile("software").is_ok());
    }

    #[test]
    fn missing_and_broken_files_are_errors_with_their_path() {
        let directory = tempfile::tempdir().unwrap();
        let error = Source::read(directory.path()).unwrap_err().to_string();
        assert!(error.contains(MODEL_FILE), "{error}");
        fs::write(directory.path().join(MODEL_FILE), "program(").unwrap();
        let error = Source::read(directory.path()).unwrap_err().to_string();
        assert!(error.contains("is no program"), "{error}");
        let whole = written(32, 0.0);
        fs::remove_file(whole.path().join("weights.bin")).unwrap();
        let error = Source::read(whole.path()).unwrap_err().to_string();
        assert!(error.contains("weights.bin"), "{error}");
    }
}
