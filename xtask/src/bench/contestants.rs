//! Who takes part: our two plans, PyTorch as installed, with our backend, with MKL unlocked and in bfloat16, TensorFlow in
//! graph mode, and JAX.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::bench::training::Task;
use crate::{process, python};

/// A program that can be measured.
pub(crate) struct Contestant {
    pub(crate) name: String,
    /// Whether it is this project's.
    pub(crate) is_ours: bool,
    pub(crate) command: Command,
}

/// The programs that contestants run, found or built once.
pub(crate) struct Programs {
    ours: PathBuf,
    torch: Option<Torch>,
    /// What compiles a step, by the module that it is imported as.
    compilers: Vec<(&'static str, Script)>,
    /// Where ours leaves the images for the others.
    images: PathBuf,
}

/// A program in Python.
struct Script {
    python: PathBuf,
    path: PathBuf,
}

/// PyTorch and what it needs.
struct Torch {
    script: Script,
    /// Whether that Python has the package of this project too, and with it the backend.
    has_backend: bool,
    /// The library that unlocks MKL, where that means something.
    unlock: Option<PathBuf>,
}

impl Programs {
    /// Builds our program and looks for PyTorch; says what is missing.
    pub(crate) fn find(root: &Path, python: Option<&Path>) -> Result<Programs> {
        let ours = build(root, "ane-train", "mnist")?;
        let torch = find_torch(root, python)?;
        let compilers = find_compilers(root, python);
        let images = process::target_folder(root).join("peers").join("mnist");
        Ok(Programs {
            ours,
            torch,
            compilers,
            images,
        })
    }

    /// Everyone who takes part with a model.
    pub(crate) fn contestants(&self, model: &str, task: &Task, threads: u32) -> Vec<Contestant> {
        let command = |program: &Path, first: Option<&Path>| {
            let mut command = Command::new(program);
            command.args(first).args(["--model", model]);
            command.args([
                "--batch",
                &task.batch.to_string(),
                "--threads",
                &threads.to_string(),
            ]);
            command
        };
        let mut all = Vec::new();
        for plan in ["split", "fused"] {
            let mut ours = command(&self.ours, None);
            ours.args(["--plan", plan, "--target", &task.target, "--out"]);
            ours.arg(&self.images);
            all.push(Contestant {
                name: format!("ours {plan}"),
                is_ours: true,
                command: ours,
            });
        }
        let peer = |script: &Script| {
            let mut peer = command(&script.python, Some(&script.path));
            for (flag, file) in [
                ("--images", "train-images-idx3-ubyte"),
                ("--labels", "train-labels-idx1-ubyte"),
            ] {
                peer.arg(flag).arg(self.images.join(file));
            }
            peer
        };
        let mut enter = |name: &str, command: Command| {
            all.push(Contestant {
                name: name.to_owned(),
                is_ours: false,
                command,
            });
        };
        if let Some(torch) = &self.torch {
            enter("torch stock", peer(&torch.script));
            if torch.has_backend {
                let mut backend = peer(&torch.script);
                backend.args(["--backend", "ane"]);
                enter("torch backend=ane", backend);
            }
            if let Some(library) = &torch.unlock {
                let mut unlocked = peer(&torch.script);
                unlocked.env("LD_PRELOAD", library);
                enter("torch+mklfix", unlocked);
            }
            // For information: its arithmetic is not that of the others.
            let mut bf16 = peer(&torch.script);
            bf16.args(["--dtype", "bf16"]);
            enter("torch bf16", bf16);
        }
        for (name, script) in &self.compilers {
            enter(name, peer(script));
        }
        all
    }
}

/// Builds a benchmark of a crate in release mode; gives the program.
pub(crate) fn build(root: &Path, package: &str, bench: &str) -> Result<PathBuf> {
    let mut command = process::cargo(
        root,
        &[
            "bench",
            "-p",
            package,
            "--bench",
            bench,
            "--no-run",
            "--message-format=json-render-diagnostics",
        ],
    );
    let line = process::describe(&command);
    println!("$ {line}");
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start `{line}`"))?;
    if !output.status.success() {
        bail!("`{line}` failed ({})", output.status);
    }
    executable(&String::from_utf8_lossy(&output.stdout), bench)
        .with_context(|| format!("`{line}` names no program"))
}

/// The program of a benchmark in cargo's messages, one JSON value per line.
fn executable(messages: &str, bench: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find_map(|message| {
            let target = message.get("target")?;
            let is_bench = target["name"] == bench
                && target["kind"]
                    .as_array()?
                    .iter()
                    .any(|kind| kind == "bench");
            message
                .get("executable")
                .filter(|_| is_bench)?
                .as_str()
                .map(PathBuf::from)
        })
}

fn find_torch(root: &Path, asked_for: Option<&Path>) -> Result<Option<Torch>> {
    let python = match asked_for {
        Some(python) if python::can_import(python, "torch") => python.to_path_buf(),
        Some(python) => bail!("{} cannot import torch", python.display()),
        None => {
            let Some(python) = python::with_module(root, "torch") else {
                let tried: Vec<String> = python::candidates(root)
                    .iter()
                    .map(|path| path.display().to_string())
                    .collect();
                println!(
                    "no PyTorch: none of {} can import torch, so only our own program is measured",
                    tried.join(", ")
                );
                println!(
                    "(name a Python that can with --python or {})",
                    python::VARIABLE
                );
                return Ok(None);
            };
            python
        }
    };
    println!("PyTorch is that of {}", python.display());
    let peers = root.join("xtask").join("peers");
    let unlock = unlock_library(root, &peers.join("mkl_fix.c"));
    let has_backend = python::can_import(&python, "ane_trainer");
    if !has_backend {
        println!("no torch backend=ane: `pip install .` puts it there");
    }
    Ok(Some(Torch {
        script: Script {
            python,
            path: peers.join("torch_train.py"),
        },
        has_backend,
        unlock,
    }))
}

/// Frameworks that compile a step, of the Python that was asked for or of the first that has them; each is a peer where
/// it is found.
fn find_compilers(root: &Path, asked_for: Option<&Path>) -> Vec<(&'static str, Script)> {
    let modules = [
        ("tensorflow", "tensorflow_train.py"),
        ("jax", "jax_train.py"),
    ];
    let find = |(module, script): (&'static str, &str)| {
        let python = match asked_for {
            Some(python) => python::can_import(python, module).then(|| python.to_path_buf()),
            None => python::with_module(root, module),
        };
        if python.is_none() {
            println!("no {module}: no Python was found that can import it");
        }
        let path = root.join("xtask/peers").join(script);
        python.map(|python| (module, Script { python, path }))
    };
    modules.into_iter().filter_map(find).collect()
}

/// Compiles the library that lets MKL use all of an x86 processor; `None` where that makes no sense or does not work.
fn unlock_library(root: &Path, source: &Path) -> Option<PathBuf> {
    if env::consts::ARCH != "x86_64" || env::consts::OS != "linux" {
        return None;
    }
    let compiled = compile(source, &process::target_folder(root).join("peers"));
    compiled
        .map_err(|error| println!("no torch+mklfix: {error:#}"))
        .ok()
}

fn compile(source: &Path, folder: &Path) -> Result<PathBuf> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let library = folder.join("mkl_fix.so");
    let mut command = Command::new(env::var_os("CC").unwrap_or_else(|| "cc".into()));
    process::run(
        command
            .args(["-O2", "-shared", "-fPIC", "-o"])
            .arg(&library)
            .arg(source),
    )?;
    Ok(library)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task() -> Task {
        Task {
            models: Vec::new(),
            batch: 64,
            target: "h16".to_owned(),
        }
    }

    fn script(path: &str) -> Script {
        Script {
            python: "py".into(),
            path: path.into(),
        }
    }

    #[test]
    fn finds_the_benchmark_among_cargos_messages() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"mnist","kind":["example"]},"executable":"a"}
not json
{"reason":"compiler-artifact","target":{"name":"ane_train","kind":["lib"]},"executable":null}
{"reason":"compiler-artifact","target":{"name":"mnist","kind":["bench"]},"executable":"b/mnist-1"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(
            executable(messages, "mnist"),
            Some(PathBuf::from("b/mnist-1"))
        );
        assert_eq!(executable(messages, "replay"), None);
        assert_eq!(executable("{}", "mnist"), None);
    }

    #[test]
    fn every_contestant_gets_the_same_task() {
        let torch = Torch {
            script: script("t.py"),
            has_backend: true,
            unlock: Some("u.so".into()),
        };
        let programs = Programs {
            ours: "mnist".into(),
            torch: Some(torch),
            compilers: vec![("tensorflow", script("f.py")), ("jax", script("j.py"))],
            images: "i".into(),
        };
        let lines: Vec<String> = programs
            .contestants("784-10", &task(), 3)
            .iter()
            .map(|contestant| process::describe(&contestant.command))
            .collect();
        let task = "--model 784-10 --batch 64 --threads 3";
        let data = "--images i/train-images-idx3-ubyte --labels i/train-labels-idx1-ubyte";
        let expected = [
            format!("mnist {task} --plan split --target h16 --out i"),
            format!("mnist {task} --plan fused --target h16 --out i"),
            format!("py t.py {task} {data}"),
            format!("py t.py {task} {data} --backend ane"),
            format!("LD_PRELOAD=u.so py t.py {task} {data}"),
            format!("py t.py {task} {data} --dtype bf16"),
            format!("py f.py {task} {data}"),
            format!("py j.py {task} {data}"),
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn without_pytorch_ours_are_left() {
        let programs = Programs {
            ours: "mnist".into(),
            torch: None,
            compilers: Vec::new(),
            images: "i".into(),
        };
        assert!(
            programs
                .contestants("784-10", &task(), 3)
                .iter()
                .all(|contestant| contestant.is_ours)
        );
    }
}
