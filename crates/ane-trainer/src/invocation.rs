//! What a command line asks for, as far as it can be told before it is parsed: what the parser refuses is said in the way
//! that was asked for as well.

use crate::output::{self, Manner};
use clap::Command;
use std::ffi::OsString;

/// The command by name, and whether JSON is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Invocation {
    command: Option<String>,
    json: bool,
}

impl Invocation {
    /// That of these arguments, the program's name first.
    pub(crate) fn of(program: &Command, arguments: &[OsString]) -> Self {
        let words = arguments
            .iter()
            .skip(1)
            .map_while(|word| match word.to_str() {
                Some("--") => None,
                word => Some(word.unwrap_or_default()),
            });
        let (mut at, mut names, mut json) = (program, Vec::new(), false);
        for word in words {
            json |= word == "--json";
            if let Some(command) = at.find_subcommand(word) {
                names.push(command.get_name());
                at = command;
            }
        }
        Self {
            command: (!names.is_empty()).then(|| names.join(" ")),
            json,
        }
    }

    /// The command, such as `runs list`.
    pub(crate) fn command(&self) -> Option<&str> {
        self.command.as_deref()
    }

    /// Settles how failures are said until the arguments are understood.
    pub(crate) fn settle_failures(&self) {
        let manner = match self.json {
            true => Manner::Object,
            false => Manner::Lines,
        };
        output::settle(manner, self.command());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_and_json_are_seen_wherever_they_stand() {
        let program = Command::new("p")
            .subcommand(Command::new("train"))
            .subcommand(Command::new("runs").subcommand(Command::new("list")));
        for (line, command, json) in [
            ("p", None, false),
            ("p --json train", Some("train"), true),
            ("p train --out runs --json", Some("train"), true),
            ("p runs list train", Some("runs list"), false),
            ("p runs --json fly", Some("runs"), true),
            ("p train -- --json", Some("train"), false),
        ] {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let found = Invocation::of(&program, &words);
            assert_eq!((found.command(), found.json), (command, json), "{line}");
        }
    }
}
