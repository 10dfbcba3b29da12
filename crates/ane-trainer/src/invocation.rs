//! What a command line asks for, as far as it can be told before it is parsed: what the parser refuses is said in the way
//! that was asked for as well.

use crate::{
    color::Color,
    output::{self, Manner},
};
use clap::{Command, ValueEnum};
use std::ffi::OsString;

/// The command by name, whether JSON is asked for, and what of colours.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Invocation {
    command: Option<String>,
    json: bool,
    color: Color,
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
        let (mut color, mut before) = (Color::default(), "");
        for word in words {
            json |= word == "--json";
            let value = word.strip_prefix("--color=");
            if let Some(value) = value.or((before == "--color").then_some(word)) {
                // What is none of them is refused by the parser.
                color = Color::from_str(value, false).unwrap_or_default();
            }
            before = word;
            if let Some(command) = at.find_subcommand(word) {
                names.push(command.get_name());
                at = command;
            }
        }
        Self {
            command: (!names.is_empty()).then(|| names.join(" ")),
            json,
            color,
        }
    }

    /// When words are coloured.
    pub(crate) fn color(&self) -> Color {
        self.color
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
        output::settle(manner, self.command(), false);
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
        for (line, color) in [
            ("p train", Color::Auto),
            ("p --color never train", Color::Never),
            ("p train --color=always", Color::Always),
            ("p train --color pink", Color::Auto),
        ] {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            assert_eq!(Invocation::of(&program, &words).color(), color, "{line}");
        }
    }
}
