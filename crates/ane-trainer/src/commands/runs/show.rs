//! `runs show`: what a run is and what it came to.

use super::{
    find,
    flat::{flat, short},
    list::object,
};
use crate::{
    ended::Ended,
    failure::Failure,
    output::{self, say},
};
use ane_train::{metric, run_dir::Summary};
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Its directory, or its name in `runs`
    run: PathBuf,
}

pub(super) fn run(args: &Args) -> Result<Ended, Failure> {
    let run = find(&args.run)?;
    output::result(&object(&run), || tell(&run));
    Ok(Ended::Done)
}

fn tell(run: &Summary) {
    let (done, of) = run.epochs();
    say!(
        "{}: {}, {} of {} epochs",
        run.run.root().display(),
        run.state.name(),
        done,
        of
    );
    if let Some(why) = run.ending.as_ref().and_then(|e| e.message.as_ref()) {
        say!("  because: {why}");
    }
    for (name, text) in flat(&run.config) {
        say!("  {name}: {text}");
    }
    for (what, map) in [("last epoch", &run.last), ("test", &run.result)] {
        let Some(map) = map else { continue };
        say!("{what}:");
        for (name, value) in map {
            let Some(value) = value.as_f64() else {
                continue;
            };
            let plain = name.split_once('_').map_or(name.as_str(), |(_, rest)| rest);
            let value = metric::named(plain).map_or_else(|_| short(value), |m| m.show(value));
            say!("  {name}: {value}");
        }
    }
}
