//! What can go wrong between us and Apple's frameworks.

use ane_ir::Route;
use std::path::{Path, PathBuf};

/// Apple's frameworks, or the stand-ins that take their place, refused or failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppleError {
    /// A framework cannot be opened.
    #[error(
        "cannot open `{}`: {reason}; it is part of macOS, and {variable} names another file to open instead",
        .library.display()
    )]
    LibraryMissing {
        /// The file.
        library: PathBuf,
        /// The dynamic linker's words.
        reason: String,
        /// The environment variable that replaces the path.
        variable: &'static str,
    },
    /// A framework lacks a function that a route calls.
    #[error(
        "`{}` has no function `{symbol}`; this version of macOS has changed it, try another --route",
        .library.display()
    )]
    SymbolMissing {
        /// The function.
        symbol: &'static str,
        /// The file.
        library: PathBuf,
    },
    /// A framework lacks a class that a route uses.
    #[error(
        "`{}` has no class `{class}`; this version of macOS has changed it, try another --route",
        .library.display()
    )]
    ClassMissing {
        /// The class.
        class: &'static str,
        /// The file.
        library: PathBuf,
    },
    /// A class lacks a method that a route calls.
    #[error(
        "class `{class}` has no method `{selector}`; this version of macOS has changed it, try another --route"
    )]
    SelectorMissing {
        /// The class.
        class: &'static str,
        /// The method.
        selector: &'static str,
    },
    /// A method takes or returns other types than it did; calling it could do anything, so nothing is called.
    #[error(
        "method `{selector}` of `{class}` has the encoding `{found}`, expected `{expected}`; this version of macOS has changed it, try another --route"
    )]
    EncodingChanged {
        /// The class.
        class: &'static str,
        /// The method.
        selector: &'static str,
        /// Its encoding when this was written, without digits and qualifiers.
        expected: &'static str,
        /// Its encoding now, likewise.
        found: String,
    },
    /// The compiler refused a program; its files are kept.
    #[error(
        "`{call}` refused `{}`: {reason}; replay it with: {replay}",
        .mil.display()
    )]
    CompileRefused {
        /// The function or method.
        call: &'static str,
        /// Its code, and its own words where it has any.
        reason: String,
        /// The text, with its weights beside it.
        mil: PathBuf,
        /// The command that gives the text to the same compiler again.
        replay: String,
    },
    /// A function returned an error code.
    #[error("`{symbol}` failed with {code}{text} on `{}`; {advice}", .mil.display())]
    Call {
        /// The function.
        symbol: &'static str,
        /// Its code.
        code: i32,
        /// The framework's words with a leading `: `, or nothing.
        text: String,
        /// The program it was about.
        mil: PathBuf,
        /// What to try.
        advice: &'static str,
    },
    /// A method returned an `NSError`.
    #[error("`{call}` failed on `{}`: {domain} {code}: {text}; {advice}", .mil.display())]
    Ns {
        /// The method.
        call: &'static str,
        /// The error's domain.
        domain: String,
        /// The error's code.
        code: i64,
        /// Its description, with those of the errors below it.
        text: String,
        /// The program it was about.
        mil: PathBuf,
        /// What to try.
        advice: &'static str,
        /// Whether there was no place for another program.
        is_full: bool,
    },
    /// A function said that all is well and gave nothing.
    #[error(
        "`{call}` succeeded and returned nothing; this version of macOS has changed it, try another --route"
    )]
    Nothing {
        /// The function or method.
        call: &'static str,
    },
    /// An execution succeeded, and an output still holds what was put there to notice it.
    #[error(
        "port `{port}` of `{}` was not written though the execution reported success; the step must not be used, try another --route",
        .mil.display()
    )]
    OutputNotWritten {
        /// The port.
        port: String,
        /// The program.
        mil: PathBuf,
    },
    /// A buffer comes from elsewhere.
    #[error(
        "the buffer of port `{port}` was not allocated by this device; allocate it with `Device::allocate`"
    )]
    ForeignBuffer {
        /// The port.
        port: String,
    },
    /// A loaded program lacks a port of its text.
    #[error(
        "the loaded program has no port `{port}`, only {found}; this version of macOS has changed it, try --route e5rt"
    )]
    PortMissing {
        /// The port.
        port: String,
        /// Names that the program has, with commas.
        found: String,
    },
    /// A loaded program expects a port to lie otherwise than our buffers do.
    #[error(
        "port `{port}` of the loaded program has {found}, expected {expected}; report it with this message, and try --route e5rt"
    )]
    PortLayout {
        /// The port.
        port: String,
        /// How our buffers lie.
        expected: String,
        /// What the program says.
        found: String,
    },
    /// A surface has other rows than were asked for.
    #[error("IOSurfaceCreate made rows of {found} bytes, asked for {expected}")]
    RowBytes {
        /// Bytes asked for.
        expected: usize,
        /// Bytes there.
        found: usize,
    },
    /// A framework's buffer is smaller than what was asked for.
    #[error("`{call}` made a buffer of {found} bytes, asked for {expected}")]
    SmallBuffer {
        /// The function.
        call: &'static str,
        /// Bytes asked for.
        expected: usize,
        /// Bytes there.
        found: usize,
    },
    /// A surface cannot be locked or unlocked, so that its bytes may not be what the engine wrote.
    #[error(
        "`{call}` failed with {code:#010x}; the step must not be used, report it with this message"
    )]
    Surface {
        /// The function.
        call: &'static str,
        /// Its code.
        code: i32,
    },
    /// A directory of programs cannot be written.
    #[error(
        "cannot {what} `{}`: {source}; {variable} names another directory for programs",
        .path.display()
    )]
    Directory {
        /// What was tried.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
        /// The environment variable that replaces the directory in which it is.
        variable: &'static str,
    },
    /// None of the routes that were tried can be taken.
    #[error("no route to the Neural Engine can be taken: {}", list(.reasons))]
    NoRoute {
        /// Every route that was tried, and why it cannot be taken.
        reasons: Vec<(Route, String)>,
    },
    /// This build or this target cannot take the route.
    #[error("route `{route}` cannot be taken: {reason}")]
    Route {
        /// The route.
        route: Route,
        /// Why not.
        reason: String,
    },
}

fn list(reasons: &[(Route, String)]) -> String {
    let all: Vec<String> = reasons
        .iter()
        .map(|(r, why)| format!("{r}: {why}"))
        .collect();
    all.join("; ")
}

/// The text as one word of a shell.
fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:@%,".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

impl AppleError {
    /// A refusal of the text at `mil`, which came by `route`, by a compiler that was told to compile for `chip`.
    ///
    /// Where it was told no chip the command names none either: a chip that is named is told to the compiler.
    pub(super) fn refused(
        call: &'static str,
        reason: String,
        mil: &Path,
        route: Route,
        chip: Option<&str>,
    ) -> Self {
        let mut replay = format!(
            "ane-trainer inspect {} --device {} --route {route}",
            shell_word(&mil.to_string_lossy()),
            super::ENTRY.name
        );
        if let Some(chip) = chip {
            replay.push_str(&format!(" --target {chip}"));
        }
        Self::CompileRefused {
            call,
            reason,
            mil: mil.to_owned(),
            replay,
        }
    }

    /// Whether the engine or its compiler failed, so that another attempt in a fresh process may succeed.
    pub fn is_fault(&self) -> bool {
        match self {
            Self::LibraryMissing { .. }
            | Self::SymbolMissing { .. }
            | Self::ClassMissing { .. }
            | Self::SelectorMissing { .. }
            | Self::EncodingChanged { .. }
            | Self::ForeignBuffer { .. }
            | Self::Directory { .. }
            | Self::NoRoute { .. }
            | Self::PortLayout { .. }
            | Self::PortMissing { .. }
            | Self::Route { .. }
            | Self::RowBytes { .. } => false,
            Self::CompileRefused { .. }
            | Self::Call { .. }
            | Self::Ns { .. }
            | Self::Nothing { .. }
            | Self::OutputNotWritten { .. }
            | Self::SmallBuffer { .. }
            | Self::Surface { .. } => true,
        }
    }

    /// Whether there was no place for another program.
    pub(super) fn is_full(&self) -> bool {
        matches!(self, Self::Ns { is_full: true, .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_that_replays_a_refusal_can_be_given_to_a_shell() {
        let said = |mil: &str, chip| {
            let e = AppleError::refused("f", "why".into(), Path::new(mil), Route::Client, chip);
            let said = e.to_string();
            let (_, command) = said.split_once("replay it with: ").unwrap();
            command.to_owned()
        };
        assert_eq!(
            said("/there/model.mil", Some("h16")),
            "ane-trainer inspect /there/model.mil --device apple --route client --target h16"
        );
        assert_eq!(
            said("/it's here/model.mil", None),
            r"ane-trainer inspect '/it'\''s here/model.mil' --device apple --route client"
        );
    }
}
