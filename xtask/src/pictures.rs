//! `pictures`: what people see of a run, as pictures that a reviewer can look at.
//!
//! A run on a terminal, as lines and as a screen, goes into `docs/pictures`. A small run is trained and its page rendered
//! by a Chromium without a screen, where one is found (Debian's package `chromium`); the curves are those that the run
//! leaves itself.

mod terminal;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::process;
use crate::unavailable::Unavailable;
use terminal::Terminal;

/// What is drawn.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Data set of the run.
    #[arg(long, default_value = "fashion-mnist")]
    dataset: String,
    /// Model of the run.
    #[arg(long, default_value = "784-128-10")]
    model: String,
}

/// Names of the browser, as systems have it.
const BROWSERS: &[&str] = &["chromium", "chromium-browser", "google-chrome"];
/// The variable that names another one.
const VARIABLE: &str = "ANE_TRAINER_BROWSER";
/// Width of a window, and widths at which a page has to be readable.
const WIDTHS: [(u32, &str); 2] = [(900, "report.png"), (420, "report-narrow.png")];
/// Height of a window: that of the page, about.
const HEIGHT: u32 = 4200;

pub(crate) fn run(root: &Path, options: &Options) -> Result<()> {
    let folder = process::target_folder(root).join("pictures");
    let run = folder.join("run");
    if run.exists() {
        fs::remove_dir_all(&run).with_context(|| format!("cannot remove {}", run.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let path = run
        .to_str()
        .context("the target folder has a name that is no text")?;
    let program = ["run", "--quiet", "--package", "ane-trainer", "--"];
    let train = [
        "train",
        "--dataset",
        &options.dataset,
        "--model",
        &options.model,
    ];
    let train = [&program[..], &train, &["--epochs", "3", "--out", path]].concat();
    process::run(&mut process::cargo(root, &train))?;
    let report = [&program[..], &["report", path]].concat();
    process::run(&mut process::cargo(root, &report))?;
    println!("{}", run.join("curves.png").display());
    for picture in terminals(root, &folder)? {
        println!("{}", picture.display());
    }
    let Some(browser) = browser() else {
        let reason = format!(
            "no browser renders the page: install Debian's package `chromium`, or let {VARIABLE} name one"
        );
        return Err(Unavailable(reason).into());
    };
    for (width, name) in WIDTHS {
        let picture = folder.join(name);
        render(&browser, &run.join("report.html"), &picture, width)?;
        println!("{}", picture.display());
    }
    Ok(())
}

/// Runs on a terminal, as the documents show them.
fn terminals(root: &Path, scratch: &Path) -> Result<[PathBuf; 2]> {
    let program = process::target_folder(root).join("release/ane-trainer");
    let program = program
        .to_str()
        .context("the target folder has a name that is no text")?;
    process::run(&mut process::cargo(
        root,
        &["build", "--quiet", "--release", "--package", "ane-trainer"],
    ))?;
    let scratch = scratch
        .to_str()
        .context("the target folder has a name that is no text")?;
    let pictures = root.join("docs/pictures");
    let here = |arguments: &str| format!("cd {scratch} && rm -rf runs && {program} {arguments}");
    let lines = pictures.join("train.svg");
    let said = "train --dataset digits --epochs 6 --out runs/digits";
    let tall = Terminal {
        columns: 80,
        lines: 60,
    };
    let command = format!("ane-trainer {said}");
    tall.record(&here(said), Some(&command), &lines)?;
    let screen = pictures.join("tui.svg");
    let shown = "train --dataset fashion-mnist --epochs 4 --tui --out runs/fashion";
    let large = Terminal {
        columns: 100,
        lines: 32,
    };
    large.record(&here(shown), None, &screen)?;
    Ok([lines, screen])
}

fn browser() -> Option<PathBuf> {
    let named = env::var_os(VARIABLE).map(PathBuf::from);
    let known = BROWSERS.iter().map(PathBuf::from);
    let mut all = named.into_iter().chain(known);
    all.find(|browser| process::succeeds(Command::new(browser).arg("--version")))
}

fn render(browser: &Path, page: &Path, picture: &Path, width: u32) -> Result<()> {
    if picture.exists() {
        fs::remove_file(picture).with_context(|| format!("cannot remove {}", picture.display()))?;
    }
    let mut command = Command::new(browser);
    command
        // As root there is no sandbox, and the page is our own.
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
        ])
        .arg(format!("--window-size={width},{HEIGHT}"))
        .arg(format!("--screenshot={}", picture.display()))
        .arg(format!("file://{}", page.display()));
    // It speaks of buses and screens that there are none of; whether it has drawn is seen by the picture.
    process::stdout(&mut command)?;
    if !picture.is_file() {
        bail!(
            "`{}` has rendered no {}",
            browser.display(),
            picture.display()
        );
    }
    Ok(())
}
