//! What a program shows on a terminal, as SVG: `script` of util-linux gives the terminal, `vt100` understands it.

use std::fmt::Write as _;
use std::fs;
use std::num::NonZeroU16;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use vt100::{Cell, Color, Parser, Screen};

use crate::process;
use crate::unavailable::Unavailable;

/// Leaves the screen that a program has had for itself.
const LEAVE: &[u8] = b"\x1b[?1049l";
/// Width of a character and height of a line, in pixels, and space around them.
const CHARACTER: (f64, f64) = (7.2, 17.0);
const BORDER: f64 = 16.0;
const BACKGROUND: &str = "#1f2328";
const FOREGROUND: &str = "#d1d7e0";
/// The sixteen colours that terminals name.
const COLORS: [&str; 16] = [
    "#484f58", "#ff7b72", "#7ee787", "#e3b341", "#79c0ff", "#d2a8ff", "#56d4dd", "#d1d7e0",
    "#6e7681", "#ffa198", "#7ee787", "#e3b341", "#79c0ff", "#d2a8ff", "#56d4dd", "#ffffff",
];

/// A terminal that is recorded.
pub(super) struct Terminal {
    /// Its columns.
    pub(super) columns: u16,
    /// Its lines; what is empty below is left out.
    pub(super) lines: u16,
}

impl Terminal {
    /// Runs a command of the shell on it and draws what it shows at the end, or at the moment before a program gives back
    /// the whole of it. `shown` is the command that readers see.
    pub(super) fn record(&self, command: &str, shown: Option<&str>, picture: &Path) -> Result<()> {
        let typescript = picture.with_extension("typescript");
        let size = format!("stty cols {} rows {}", self.columns, self.lines);
        // At the end of its input it reads no output any more, and a program that goes on to write waits for ever.
        let (input, open) = std::io::pipe().context("cannot make a pipe")?;
        let mut recorder = Command::new("script");
        recorder
            .args(["--quiet", "--return", "--flush", "--command"])
            .arg(format!("{size} && {command}"))
            .arg(&typescript)
            .env("TERM", "xterm-256color")
            .env_remove("NO_COLOR")
            .stdin(input)
            .stdout(Stdio::null());
        if !process::succeeds(Command::new("script").arg("--version")) {
            let reason = "util-linux's `script` is not there to record a terminal";
            return Err(Unavailable(reason.to_owned()).into());
        }
        process::run(&mut recorder)?;
        drop(open);
        let all = fs::read(&typescript)
            .with_context(|| format!("cannot read {}", typescript.display()))?;
        fs::remove_file(&typescript)
            .with_context(|| format!("cannot remove {}", typescript.display()))?;
        let svg = self.svg(contents(&all), shown)?;
        fs::write(picture, svg).with_context(|| format!("cannot write {}", picture.display()))
    }

    /// The last picture of what was written to it.
    fn svg(&self, bytes: &[u8], shown: Option<&str>) -> Result<String> {
        let (Some(columns), Some(lines)) =
            (NonZeroU16::new(self.columns), NonZeroU16::new(self.lines))
        else {
            bail!("a terminal has at least a column and a line");
        };
        let mut parser = Parser::new(lines, columns, 0);
        parser.process(bytes);
        let screen = parser.screen();
        let rows: Vec<String> = screen.rows(0, self.columns).collect();
        let used = rows.iter().rposition(|row| !row.trim().is_empty());
        let used = used.map_or(0, |last| last + 1);
        let above = usize::from(shown.is_some());
        let width = f64::from(self.columns).mul_add(CHARACTER.0, 2.0 * BORDER);
        let height = ((used + above) as f64).mul_add(CHARACTER.1, 2.0 * BORDER);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
             viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\"><title>ane-trainer in a terminal</title>\n\
             <rect width=\"{width:.0}\" height=\"{height:.0}\" rx=\"6\" fill=\"{BACKGROUND}\"/>\n\
             <g font-family=\"ui-monospace, Menlo, Consolas, DejaVu Sans Mono, monospace\" font-size=\"12\">\n"
        );
        if let Some(command) = shown {
            let prompt = Look {
                ink: COLORS[2],
                ..Look::default()
            };
            text(&mut svg, 0, 0, &format!("$ {command}"), &prompt)?;
        }
        for row in 0..used {
            for (column, run, look) in runs(screen, row as u16, self.columns) {
                text(&mut svg, row + above, column, &run, &look)?;
            }
        }
        svg.push_str("</g>\n</svg>\n");
        Ok(svg)
    }
}

/// What a program has written, up to where it gives a whole terminal back; what `script` says is left out.
fn contents(typescript: &[u8]) -> &[u8] {
    let begin = typescript
        .iter()
        .position(|&b| b == b'\n')
        .map_or(0, |i| i + 1);
    let body = &typescript[begin..];
    let last = b"\nScript done";
    let end = body.windows(last.len()).rposition(|w| w == last);
    let body = &body[..end.unwrap_or(body.len())];
    match body.windows(LEAVE.len()).position(|w| w == LEAVE) {
        Some(end) => &body[..end],
        None => body,
    }
}

/// How characters look.
#[derive(Clone, PartialEq)]
struct Look {
    ink: &'static str,
    paper: Option<&'static str>,
    bold: bool,
    dim: bool,
}

impl Default for Look {
    fn default() -> Self {
        Self {
            ink: FOREGROUND,
            paper: None,
            bold: false,
            dim: false,
        }
    }
}

impl Look {
    fn of(cell: &Cell) -> Self {
        let ink = color(cell.fgcolor(), FOREGROUND);
        let paper = color(cell.bgcolor(), BACKGROUND);
        let (ink, paper) = match cell.inverse() {
            true => (paper, ink),
            false => (ink, paper),
        };
        Self {
            ink,
            paper: (paper != BACKGROUND).then_some(paper),
            bold: cell.bold(),
            dim: cell.dim(),
        }
    }
}

fn color(color: Color, default: &'static str) -> &'static str {
    match color {
        Color::Idx(index) => COLORS.get(usize::from(index)).copied().unwrap_or(default),
        Color::Default | Color::Rgb(..) => default,
    }
}

/// The characters of a row that look alike and stand together, each run with its column.
fn runs(screen: &Screen, row: u16, columns: u16) -> Vec<(usize, String, Look)> {
    let mut runs: Vec<(usize, String, Look)> = Vec::new();
    for column in 0..columns {
        let Some(cell) = screen.cell(row, column) else {
            continue;
        };
        let (text, look) = match cell.contents() {
            "" => (" ", Look::of(cell)),
            text => (text, Look::of(cell)),
        };
        match runs.last_mut() {
            Some((_, run, last)) if *last == look => run.push_str(text),
            _ => runs.push((usize::from(column), text.to_owned(), look)),
        }
    }
    runs.retain(|(_, run, look)| look.paper.is_some() || !run.trim().is_empty());
    runs
}

fn text(svg: &mut String, row: usize, column: usize, run: &str, look: &Look) -> Result<()> {
    let x = (column as f64).mul_add(CHARACTER.0, BORDER);
    let y = (row as f64).mul_add(CHARACTER.1, BORDER);
    let run = match look.paper {
        Some(_) => run,
        None => run.trim_end(),
    };
    let width = run.chars().count() as f64 * CHARACTER.0;
    if let Some(paper) = look.paper {
        let height = CHARACTER.1;
        writeln!(
            svg,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{paper}\"/>"
        )?;
    }
    let bold = if look.bold {
        " font-weight=\"bold\""
    } else {
        ""
    };
    let dim = if look.dim { " opacity=\"0.6\"" } else { "" };
    // Not every browser keeps more than one space.
    let kept = run.replace(' ', "\u{a0}");
    let escaped = kept.replace('&', "&amp;").replace('<', "&lt;");
    writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{:.1}\" textLength=\"{width:.1}\" fill=\"{}\"{bold}{dim}>{escaped}</text>",
        y + 12.5,
        look.ink
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_picture_of_a_whole_terminal_is_kept() {
        let typescript = b"Script started on today\n\x1b[?1049h\x1b[Hold\x1b[Hnew\x1b[?1049lafter\nScript done on today\n";
        let terminal = Terminal {
            columns: 20,
            lines: 4,
        };
        let svg = terminal.svg(contents(typescript), None).unwrap();
        assert!(svg.contains(">new</text>"), "{svg}");
        assert!(!svg.contains("old") && !svg.contains("after"), "{svg}");
    }

    #[test]
    fn colours_and_characters_of_xml_are_kept() {
        let typescript = b"Script started\n\x1b[32ma<b\x1b[0m \x1b[7mkey\x1b[0m\nScript done\n";
        let terminal = Terminal {
            columns: 20,
            lines: 4,
        };
        let svg = terminal.svg(contents(typescript), Some("say")).unwrap();
        assert!(svg.contains("fill=\"#7ee787\">a&lt;b</text>"), "{svg}");
        assert!(svg.contains(">$\u{a0}say</text>"), "{svg}");
        let key = format!("fill=\"{BACKGROUND}\">key</text>");
        assert!(svg.contains(&key), "{svg}");
    }
}
