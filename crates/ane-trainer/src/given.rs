//! Which flags a command was given, by what they are for.

use clap::{ArgMatches, Command, parser::ValueSource};

/// The flags that the command line has.
#[derive(Debug, Default)]
pub(crate) struct Given(Vec<(String, String)>);

impl Given {
    /// Those of a subcommand.
    pub(crate) fn to(command: &Command, matches: &ArgMatches) -> Self {
        let is_given = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
        let all = command.get_arguments().filter_map(|arg| {
            let purpose = arg.get_help_heading()?.to_owned();
            let flag = format!("--{}", arg.get_long()?);
            is_given(arg.get_id().as_str()).then_some((purpose, flag))
        });
        Self(all.collect())
    }

    /// Those under a heading of the help.
    pub(crate) fn of(&self, purpose: &str) -> Vec<String> {
        let found = self.0.iter().filter(|(p, _)| p == purpose);
        found.map(|(_, flag)| flag.clone()).collect()
    }
}
