//! `explain`: what lies behind the code of an error.

use crate::{
    code::{self, Code},
    ended::Ended,
    failure::Failure,
    output::{self, say},
};
use serde::Serialize;
use serde_json::json;

/// A code and what lies behind it.
#[derive(Serialize)]
struct Explained {
    code: &'static str,
    title: &'static str,
    text: &'static str,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The code, such as E0104; all of them when left out
    code: Option<String>,
}

pub(crate) fn run(args: &Args) -> Result<Ended, Failure> {
    let all = Code::titles().filter_map(|(code, title)| {
        Some(Explained {
            code,
            title,
            text: code::section(code)?.trim_end(),
        })
    });
    let Some(asked) = &args.code else {
        let all: Vec<Explained> = all.collect();
        output::result(&json!({"errors": all}), || {
            for Explained { code, title, .. } in &all {
                say!("{code}  {title}");
            }
        });
        return Ok(Ended::Done);
    };
    let name = asked.trim().to_ascii_uppercase();
    let found = { all }.find(|explained| explained.code == name);
    let found = found.ok_or_else(|| {
        Failure::usage(
            format!("no error has the code `{asked}`"),
            "`ane-trainer explain` lists them",
        )
    })?;
    output::result(&json!({"errors": [&found]}), || say!("{}", found.text));
    Ok(Ended::Done)
}
