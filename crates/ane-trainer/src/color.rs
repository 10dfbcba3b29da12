//! Whether words are coloured: errors, and the help of commands.

use clap::ValueEnum;

/// When colours are used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// Where a terminal shows them; NO_COLOR, CLICOLOR and CLICOLOR_FORCE decide otherwise
    #[default]
    Auto,
    /// Also where nobody may see them
    Always,
    /// Not at all
    Never,
}

impl Color {
    /// Whether they are used on a channel that is a terminal, or is none.
    pub(crate) fn on(self, is_terminal: bool) -> bool {
        self.decide(is_terminal, |name| std::env::var(name).unwrap_or_default())
    }

    /// The same by the values of variables, which are empty where they are not set (no-color.org, bixense.com/clicolors).
    fn decide(self, is_terminal: bool, value: impl Fn(&str) -> String) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto if !value("NO_COLOR").is_empty() => false,
            Self::Auto if !matches!(value("CLICOLOR_FORCE").as_str(), "" | "0") => true,
            Self::Auto => is_terminal && value("CLICOLOR") != "0" && value("TERM") != "dumb",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_wins_over_variables_and_those_over_the_terminal() {
        for (choice, is_terminal, variables, wanted) in [
            (Color::Auto, true, "", true),
            (Color::Auto, false, "", false),
            (Color::Auto, true, "TERM=dumb", false),
            (Color::Auto, true, "CLICOLOR=0", false),
            (Color::Auto, true, "NO_COLOR=1", false),
            (Color::Auto, false, "CLICOLOR_FORCE=1", true),
            (Color::Auto, false, "CLICOLOR_FORCE=0", false),
            (Color::Auto, false, "CLICOLOR_FORCE=1 NO_COLOR=1", false),
            (Color::Always, false, "NO_COLOR=1 TERM=dumb", true),
            (Color::Never, true, "CLICOLOR_FORCE=1", false),
        ] {
            let value = |name: &str| {
                let set = variables.split(' ').filter_map(|v| v.split_once('='));
                let mut set = set.filter(|(n, _)| *n == name);
                set.next().map_or(String::new(), |(_, v)| v.to_owned())
            };
            let found = choice.decide(is_terminal, value);
            assert_eq!(found, wanted, "{choice:?} {is_terminal} {variables}");
        }
    }
}
