//! `data`: fetch, verify and list data sets.

mod inspect;

use crate::{
    ended::Ended,
    failure::Failure,
    output::{self, detail, remark, say},
};
use ane_train::data::{self, FetchEvent, FetchOptions, FileStatus, catalog};
use clap::Subcommand;
use serde_json::json;
use std::{cell::RefCell, path::PathBuf};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Bring data sets into the cache; all of them without names
    Fetch {
        /// Names, such as mnist
        names: Vec<String>,
        #[command(flatten)]
        source: Source,
    },
    /// Compare files with their checksums
    Verify {
        /// Names, such as mnist
        names: Vec<String>,
        #[command(flatten)]
        source: Source,
    },
    /// List data sets and their licences
    List,
    /// Say what data of your own is read as: shapes, numbers, classes, what is missing or there twice
    Inspect(Box<inspect::Args>),
}

/// Where data sets come from.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Source {
    /// Directory with the raw or gzipped files; nothing else is tried then
    #[arg(long, help_heading = "Data")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Use what is there, never the network
    #[arg(long, help_heading = "Data")]
    pub(crate) offline: bool,
}

impl Source {
    pub(crate) fn options(&self) -> FetchOptions {
        FetchOptions {
            data_dir: self.data_dir.clone(),
            offline: self.offline,
            ..FetchOptions::default()
        }
    }
}

/// Shows what happens on the way, on standard error.
pub(crate) fn report(event: FetchEvent) {
    match event {
        FetchEvent::Verified { .. } | FetchEvent::UsingCache { .. } => detail!("{event}"),
        _ => remark!("{event}"),
    }
}

fn specs(names: &[String]) -> Result<Vec<&'static data::DatasetSpec>, Failure> {
    if names.is_empty() {
        return Ok(catalog::all().to_vec());
    }
    names
        .iter()
        .map(|n| catalog::find(n).map_err(Into::into))
        .collect()
}

pub(crate) fn run(args: &Args) -> Result<Ended, Failure> {
    match &args.command {
        Command::Fetch { names, source } => {
            let mut complete = Vec::new();
            for spec in specs(names)? {
                let lost = RefCell::new(None);
                let files = data::fetch(spec, &source.options(), &|e| {
                    remark!("{e}");
                    if let FetchEvent::CacheNotWritten { path, reason } = e {
                        lost.replace(Some((path, reason)));
                    }
                })?;
                if let Some((path, reason)) = lost.into_inner() {
                    return Err(Failure::new(
                        format!(
                            "{} was fetched and could not be kept: cannot write `{}`: {reason}",
                            spec.name,
                            path.display()
                        ),
                        format!(
                            "let {} name a directory that can be written and has space left",
                            data::CACHE_VARIABLE
                        ),
                    ));
                }
                let all = files.train.iter().chain(&files.test);
                let bytes: usize = all.map(|file| file.content.len()).sum();
                // Said one by one: fetching takes long.
                say!("{}: complete, {} MB", spec.name, bytes / 1_000_000);
                complete.push(json!({"dataset": spec.name, "bytes": bytes}));
            }
            output::result(&json!({"datasets": complete}), || {});
        }
        Command::Verify { names, source } => {
            let (mut whole, mut files) = (true, Vec::new());
            for spec in specs(names)? {
                for file in data::verify(spec, &source.options())? {
                    whole &= file.status == FileStatus::Verified;
                    say!("{:<14} {:<28} {}", spec.name, file.file, file.status);
                    files.push(json!({
                        "dataset": spec.name,
                        "file": file.file,
                        "path": output::path(&file.path),
                        "verified": file.status == FileStatus::Verified,
                        "status": file.status.to_string(),
                    }));
                }
            }
            output::result(&json!({"whole": whole, "files": files}), || {});
            if !whole {
                return Err(Failure::found(
                    "not every file is there and whole",
                    "`ane-trainer data fetch` brings what is missing",
                ));
            }
        }
        Command::Inspect(args) => return inspect::run(args),
        Command::List => {
            let all = catalog::all().iter();
            let all: Vec<_> = all
                .map(|s| json!({"dataset": s.name, "title": s.title, "licence": s.licence}))
                .collect();
            output::result(&json!({"datasets": all}), || {
                for spec in catalog::all() {
                    say!("{:<14} {}", spec.name, spec.title);
                    say!("{:<14} {}", "", spec.licence);
                }
            });
        }
    }
    Ok(Ended::Done)
}
