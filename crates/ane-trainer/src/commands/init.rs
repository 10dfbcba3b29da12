//! `init`: a file of settings to begin with.

use crate::{
    ended::Ended,
    failure::Failure,
    output::{self, remark, say},
    settings::{Key, commented},
};
use ane_train::{
    checkpoint::replace_file,
    data::{
        catalog,
        description::Target,
        own::{self, DataSettings, Divide},
    },
};
use std::path::{Path, PathBuf};

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
    let file = output::path(&args.file);
    if args.file.exists() && !args.force {
        return Err(Failure::usage(
            format!("`{file}` is there already"),
            "pass --force to replace it, or another name",
        ));
    }
    let mut set = if own::is_path(&args.data) {
        of_path(&args.data)?
    } else {
        catalog::find(&args.data)?;
        vec![("data.dataset", args.data.clone())]
    };
    set.extend(args.model.clone().map(|model| ("model.name", model)));
    replace_file(&args.file, commented(keys, &set).as_bytes())?;
    output::result(&serde_json::json!({"file": file}), || {
        say!("{file}: edit it, then train with: ane-trainer train --config {file}");
    });
    Ok(Ended::Done)
}

/// The settings of data at a path: what a run would take it for.
fn of_path(path: &str) -> Result<Vec<(&'static str, String)>, Failure> {
    let mut set = vec![("data.path", path.to_owned())];
    let file = Path::new(path);
    let settings = DataSettings::default();
    let how = Divide {
        settings: &settings,
        centred: false,
        validation: None,
        seed: 0,
    };
    match own::open(file, how, None) {
        Ok(data) => {
            set.extend(data.label.map(|label| ("data.label", label)));
            let task = match data.description.target {
                Target::Classes { .. } => "classes",
                Target::Values { .. } | Target::Tokens { .. } => "values",
            };
            set.push(("data.task", task.to_owned()));
        }
        Err(e) if !file.exists() => return Err(e.into()),
        // What is to be said of it can be written into the file.
        Err(e) => {
            let help = e.help().unwrap_or_default();
            remark!("note: it cannot be trained on as it is: {e}; {help}");
        }
    }
    Ok(set)
}
