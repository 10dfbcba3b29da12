//! A machine of a test's own: programs that are shell scripts, a cache, and a data set of a few
//! bytes.

use std::cell::RefCell;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::data::{
    Content, DataError, DatasetSpec, DebianPackage, Encoding, FetchEvent, FetchOptions, FileSpec,
    Files, Fingerprint, FlatFile, ImageSet, Mirror, Normalisation, NpmPackage, Origin, PipPackage,
    Run, SplitSpec, Wheel, fetch, idx,
};

pub(super) const NAMES: [&str; 4] = [
    "a-images-idx3",
    "a-labels-idx1",
    "b-images-idx3",
    "b-labels-idx1",
];

/// Nobody listens on port 1 of this machine, so that a connection fails at once.
pub(super) const NOWHERE: Origin = Origin::Mirror(Mirror {
    base: "http://127.0.0.1:1/",
    suffix: ".gz",
});
pub(super) const NPM: Origin = Origin::Npm(NpmPackage {
    package: "tiny-data@1.2.3",
    folder: "package/data",
});
pub(super) const PIP: Origin = Origin::Pip(PipPackage {
    requirement: "tiny-hub==0.1",
    wheel: Wheel::Flat {
        member: "tiny/all.gz",
        files: &[
            FlatFile {
                file: NAMES[0],
                encoding: PIXELS,
                runs: &[Run {
                    offset: 1,
                    bytes: 16,
                }],
            },
            FlatFile {
                file: NAMES[1],
                encoding: Encoding::LabelsI64,
                runs: &[Run {
                    offset: 17,
                    bytes: 16,
                }],
            },
            FlatFile {
                file: NAMES[2],
                encoding: PIXELS,
                runs: &[Run {
                    offset: 33,
                    bytes: 8,
                }],
            },
            FlatFile {
                file: NAMES[3],
                encoding: Encoding::LabelsI64,
                runs: &[Run {
                    offset: 41,
                    bytes: 8,
                }],
            },
        ],
    },
});
pub(super) const PIXELS: Encoding = Encoding::PixelsF32 { scale: 256.0 };
pub(super) const DEBIAN: Origin = Origin::Debian(DebianPackage {
    package: "tiny-data",
    folder: "usr/share/tiny",
    suffix: ".gz",
});

/// Two examples of two pixels to train with, one to test with.
pub(super) fn contents() -> [Vec<u8>; 4] {
    [
        [idx::images_header(2, 1, 2), vec![0, 255, 7, 8]].concat(),
        [idx::labels_header(2), vec![1, 0]].concat(),
        [idx::images_header(1, 1, 2), vec![128, 3]].concat(),
        [idx::labels_header(1), vec![1]].concat(),
    ]
}

pub(super) fn spec(origins: &'static [Origin]) -> DatasetSpec {
    spec_of(origins, &contents())
}

pub(super) fn spec_of(origins: &'static [Origin], contents: &[Vec<u8>; 4]) -> DatasetSpec {
    let file = |i: usize| FileSpec {
        name: NAMES[i],
        fingerprint: Fingerprint::of(&contents[i]),
    };
    DatasetSpec {
        name: "tiny",
        title: "Tiny",
        licence: "free for all",
        content: Content::Images(ImageSet {
            class_names: &["zero", "one"],
            example_shape: [1, 1, 2],
            normalisation: Normalisation {
                mean: 0.5,
                std: 0.25,
            },
            train: SplitSpec {
                examples: 2,
                files: Files::Idx([file(0), file(1)]),
            },
            test: SplitSpec {
                examples: 1,
                files: Files::Idx([file(2), file(3)]),
            },
        }),
        origins,
    }
}

/// A machine: its programs, its cache, and a place for fixtures.
pub(super) struct Machine {
    pub(super) root: tempfile::TempDir,
    pub(super) events: RefCell<Vec<FetchEvent>>,
}

impl Machine {
    pub(super) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("bin")).unwrap();
        Self {
            root,
            events: RefCell::default(),
        }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Installs `name`, which runs `script`; `$root` is the machine's own directory.
    pub(super) fn install(&self, name: &str, script: &str) {
        let root = self.root.path().display();
        let script = format!("set -eu\nroot='{root}'\n{script}");
        install_program(&self.path("bin").join(name), &script);
    }

    pub(super) fn options(&self) -> FetchOptions {
        FetchOptions {
            cache_root: Some(self.path("cache")),
            search_path: Some(OsString::from(self.path("bin"))),
            ..FetchOptions::default()
        }
    }

    pub(super) fn fetch(&self, spec: &DatasetSpec) -> Result<[Vec<u8>; 4], DataError> {
        self.fetch_with(spec, &self.options())
    }

    pub(super) fn fetch_with(
        &self,
        spec: &DatasetSpec,
        options: &FetchOptions,
    ) -> Result<[Vec<u8>; 4], DataError> {
        let raw = fetch(spec, options, &|event| self.events.borrow_mut().push(event))?;
        let files = raw.train.into_iter().chain(raw.test);
        let contents: Vec<Vec<u8>> = files.map(|file| file.content).collect();
        Ok(contents.try_into().unwrap())
    }

    pub(super) fn commands(&self) -> Vec<String> {
        let events = self.events.borrow();
        let command = |event: &FetchEvent| match event {
            FetchEvent::RunningCommand { command } => Some(command.clone()),
            _ => None,
        };
        events.iter().filter_map(command).collect()
    }

    pub(super) fn cached(&self, i: usize) -> PathBuf {
        self.path("cache/data/tiny").join(NAMES[i])
    }

    /// An npm whose package holds `contents`.
    pub(super) fn install_npm(&self, contents: &[Vec<u8>]) {
        let file = File::create(self.path("fixture.tgz")).unwrap();
        let mut archive = tar::Builder::new(GzEncoder::new(file, Compression::fast()));
        for (name, content) in NAMES.iter().zip(contents) {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            let path = format!("package/data/{name}");
            archive
                .append_data(&mut header, path, content.as_slice())
                .unwrap();
        }
        archive.into_inner().unwrap().finish().unwrap();
        self.install(
            "npm",
            r#"test "$*" = "pack tiny-data@1.2.3"; /bin/cp "$root/fixture.tgz" tiny-data-1.2.3.tgz"#,
        );
    }

    /// A wheel with the values of [`contents`], and the script of a pip that downloads it.
    pub(super) fn wheel(&self) -> &'static str {
        let pixels = |values: &[u8]| -> Vec<u8> {
            values
                .iter()
                .flat_map(|&v| (f32::from(v) / 256.0).to_le_bytes())
                .collect()
        };
        let labels =
            |values: &[i64]| -> Vec<u8> { values.iter().flat_map(|v| v.to_le_bytes()).collect() };
        let stream = [
            b"(".to_vec(),
            pixels(&[0, 255, 7, 8]),
            labels(&[1, 0]),
            pixels(&[128, 3]),
            labels(&[1]),
        ];
        let mut wheel = zip::ZipWriter::new(File::create(self.path("fixture.whl")).unwrap());
        wheel
            .start_file("tiny/all.gz", zip::write::SimpleFileOptions::default())
            .unwrap();
        wheel.write_all(&compressed(&stream.concat())).unwrap();
        wheel.finish().unwrap();
        r#"case "$*" in
            --version) ;;
            "download --no-deps --only-binary=:all: -d "*" tiny-hub==0.1") /bin/cp "$root/fixture.whl" "$5/" ;;
            *) exit 9 ;;
        esac"#
    }
}

pub(super) fn compressed(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

pub(super) fn fill(directory: &Path, suffix: &str, contents: &[Vec<u8>]) {
    fs::create_dir_all(directory).unwrap();
    for (name, content) in NAMES.iter().zip(contents) {
        fs::write(directory.join(format!("{name}{suffix}")), content).unwrap();
    }
}

/// Writes an executable shell script to `path`.
///
/// Another process writes it: had this one the file open for writing, a client that another test
/// starts in that instant would inherit the handle, and the script would be "busy" when it is run.
pub(in crate::data) fn install_program(path: &Path, script: &str) {
    let status = Command::new("/bin/sh")
        .args([
            "-c",
            r#"printf '#!/bin/sh\n%s\n' "$2" > "$1" && /bin/chmod 755 "$1""#,
            "sh",
        ])
        .arg(path)
        .arg(script)
        .status()
        .unwrap();
    assert!(status.success(), "cannot write {}", path.display());
}
