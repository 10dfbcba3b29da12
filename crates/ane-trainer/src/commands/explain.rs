//! `explain`: what lies behind the code of an error.

use crate::{
    code::{self, Code},
    ended::Ended,
    failure::Failure,
    output::say,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The code, such as E0104; all of them when left out
    code: Option<String>,
}

pub(crate) fn run(args: &Args) -> Result<Ended, Failure> {
    let Some(asked) = &args.code else {
        for (name, title) in Code::titles() {
            say!("{name}  {title}");
        }
        return Ok(Ended::Done);
    };
    let name = asked.trim().to_ascii_uppercase();
    let section = code::section(&name).ok_or_else(|| {
        Failure::usage(
            format!("no error has the code `{asked}`"),
            "`ane-trainer explain` lists them",
        )
    })?;
    say!("{}", section.trim_end());
    Ok(Ended::Done)
}
