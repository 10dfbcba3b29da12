//! `curves`: losses and metrics of runs as a picture.

use crate::{
    ended::Ended,
    failure::Failure,
    missing_run::missing_run,
    output::{self, remark, say},
};
use ane_report::{
    curves::{Curves, CurvesError},
    figure, picture,
};
use ane_train::{checkpoint::replace_file, run_dir::RunDir};
use serde_json::json;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Run directories; several are drawn in one picture
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// The picture, .svg or .png [default: curves.svg and curves.png in the run directory]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Show losses on a logarithmic scale
    #[arg(long)]
    log: bool,
}

/// What a picture is written as.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Svg,
    Png,
}

pub(crate) fn run(args: &Args) -> Result<Ended, Failure> {
    let files = files(args)?;
    if args.runs.len() > figure::MOST_RUNS {
        return Err(Failure::usage(
            format!(
                "{} runs were named, and a picture shows {} at most",
                args.runs.len(),
                figure::MOST_RUNS
            ),
            "name fewer, and make several pictures",
        ));
    }
    let curves: Vec<Curves> = args
        .runs
        .iter()
        .map(|run| read(run))
        .collect::<Result<_, _>>()?;
    let svg = figure::svg(&curves, args.log);
    for (file, kind) in &files {
        write(&svg, file, *kind)?;
    }
    let files: Vec<String> = files.iter().map(|(file, _)| output::path(file)).collect();
    output::result(&json!({"files": files}), || {
        files.iter().for_each(|file| say!("{file}"));
    });
    Ok(Ended::Done)
}

/// What is to be written.
fn files(args: &Args) -> Result<Vec<(PathBuf, Kind)>, Failure> {
    let Some(output) = &args.output else {
        return match &args.runs[..] {
            [run] => Ok(own_files(run).to_vec()),
            _ => Err(Failure::usage(
                "the curves of several runs belong to none of their directories",
                "pass --output FILE.png or --output FILE.svg",
            )),
        };
    };
    let ending = output.extension().and_then(|e| e.to_str());
    let kind = match ending.map(str::to_ascii_lowercase).as_deref() {
        Some("svg") => Kind::Svg,
        Some("png") => Kind::Png,
        _ => {
            return Err(Failure::usage(
                format!(
                    "`{}` names no kind of picture: expected a name that ends in .svg or .png",
                    output.display()
                ),
                "pass --output FILE.png or --output FILE.svg",
            ));
        }
    };
    Ok(vec![(output.clone(), kind)])
}

fn own_files(run: &Path) -> [(PathBuf, Kind); 2] {
    [
        (run.join("curves.svg"), Kind::Svg),
        (run.join("curves.png"), Kind::Png),
    ]
}

fn read(run: &Path) -> Result<Curves, Failure> {
    if !run.is_dir() {
        return Err(missing_run(run));
    }
    Curves::read(&RunDir::open(run)).map_err(|e| match e {
        CurvesError::File(e) => e.into(),
        nothing => Failure::with_help(
            nothing,
            "wait until its first epoch has ended, or pass another run",
        ),
    })
}

fn write(svg: &str, file: &Path, kind: Kind) -> Result<(), Failure> {
    let bytes = match kind {
        Kind::Svg => svg.as_bytes().to_vec(),
        Kind::Png => picture::png(svg)
            .map_err(|e| Failure::with_help(e, "pass --output FILE.svg for the picture as SVG"))?,
    };
    Ok(replace_file(file, &bytes)?)
}

/// Leaves the curves of a run in its directory. A run has not failed where that cannot be done.
pub(crate) fn leave(run: &RunDir) {
    let root = run.root();
    let written = read(root).and_then(|curves| {
        let svg = figure::svg(&[curves], false);
        let mut files = own_files(root).into_iter();
        files.try_for_each(|(file, kind)| write(&svg, &file, kind))
    });
    if let Err(e) = written {
        remark!("note: the run has no curves: {e}");
    }
}
