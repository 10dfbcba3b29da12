//! `init`: a file of settings to begin with.

use crate::{
    ended::Ended,
    failure::Failure,
    output::say,
    settings::{Key, commented},
};
use ane_train::{checkpoint::replace_file, data::own};
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The file
    #[arg(default_value = "ane-trainer.toml")]
    file: PathBuf,
    /// Data that the run is to learn from: a name or a path
    #[arg(long, value_name = "NAME|PATH", default_value = "mnist")]
    data: String,
    /// The model
    #[arg(long)]
    model: Option<String>,
    /// Replace a file that is there
    #[arg(long)]
    force: bool,
}

pub(crate) fn run(args: &Args, keys: &[Key]) -> Result<Ended, Failure> {
    let file = args.file.display();
    if args.file.exists() && !args.force {
        return Err(Failure::usage(
            format!("`{file}` is there already"),
            "pass --force to replace it, or another name",
        ));
    }
    let data = if own::is_path(&args.data) {
        "data.path"
    } else {
        "data.dataset"
    };
    let mut set = vec![(data, args.data.clone())];
    set.extend(args.model.clone().map(|model| ("model.name", model)));
    replace_file(&args.file, commented(keys, &set).as_bytes())?;
    say!("{file}: edit it, then train with: ane-trainer train --config {file}");
    Ok(Ended::Done)
}
