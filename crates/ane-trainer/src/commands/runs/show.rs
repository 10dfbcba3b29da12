//! `runs show`: what a run is and what it came to.

use super::{find, list::object, shown};
use crate::{ended::Ended, failure::Failure, output::say};
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Its directory, or its name in `runs`
    run: PathBuf,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<Ended, Failure> {
    let run = find(&args.run)?;
    if args.json {
        let mut object = object(&run);
        object["schema"] = 1.into();
        say!("{object}");
        return Ok(Ended::Done);
    }
    let (done, of) = run.epochs();
    say!(
        "{}: {}, {} of {} epochs",
        run.run.root().display(),
        run.state.name(),
        done,
        of
    );
    for (name, value) in &run.config {
        let text = match value {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        say!("  {name}: {text}");
    }
    for (what, map) in [("last epoch", &run.last), ("test", &run.result)] {
        let Some(map) = map else { continue };
        let numbers = map.iter().filter_map(|(name, value)| {
            let plain = name.split_once('_').map_or(name.as_str(), |(_, rest)| rest);
            Some(format!("{name} {}", shown(plain, value.as_f64()?)))
        });
        say!("{what}: {}", numbers.collect::<Vec<_>>().join(", "));
    }
    Ok(Ended::Done)
}
