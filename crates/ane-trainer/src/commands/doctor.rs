//! `doctor`: what there is to run on, what is missing, and what a chip does that is only assumed.

mod examination;
mod probing;

use super::selftest::Place;
use crate::{
    ended::Ended,
    failure::Failure,
    output::{self, say},
};
use examination::Examination;
use probing::Probing;
use serde::Serialize;
use std::{
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Run the probes on the device and write a report that can be attached to an issue
    #[arg(long)]
    probe: bool,
    /// Where to write the report [default with --probe: ane-trainer-report-CHIP-DATE.json]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    place: Place,
    /// Run one probe in this process and print its answers as JSON
    #[arg(long, hide = true, value_name = "NAME")]
    alone: Option<String>,
}

/// The report, as it is written.
#[derive(Debug, Serialize)]
struct Report {
    /// Changes whenever a field changes its meaning.
    format: u32,
    #[serde(flatten)]
    examination: Examination,
    /// What the probes found, where they were asked for.
    probing: Option<Probing>,
}

pub(crate) fn run(args: &Args) -> Result<Ended, Failure> {
    let (config, settings) = args.place.settle()?;
    if let Some(name) = &args.alone {
        return probing::alone(name, &config.device, &settings);
    }
    let examination = Examination::of(&config, &settings);
    let probing = args
        .probe
        .then(|| Probing::run(&args.place, &config, &settings))
        .transpose()?;
    let report = Report {
        format: 1,
        examination,
        probing,
    };
    let out = match &args.out {
        Some(out) => Some(out.clone()),
        None if args.probe => Some(default_out(settings.target.chip.name())),
        None => None,
    };
    if let Some(out) = &out {
        let mut text = serde_json::to_string_pretty(&report).unwrap_or_default();
        text.push('\n');
        ane_train::checkpoint::replace_file(out, text.as_bytes())?;
    }
    output::result(&report, || print(&report, out.as_deref()));
    Ok(Ended::Done)
}

fn print(report: &Report, out: Option<&Path>) {
    report.examination.print();
    if let Some(probing) = &report.probing {
        probing.print();
    }
    if let Some(out) = out {
        say!(
            "\nwrote {}: attach it to an issue; it names the machine, the system and folders, and nothing of your data",
            out.display()
        );
    }
    say!("{}", report.examination.hardware);
}

/// A file in the current folder, named by the chip and the day.
fn default_out(chip: &str) -> PathBuf {
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_secs());
    let (year, month, day) = date(seconds / 86_400);
    Path::new(".").join(format!(
        "ane-trainer-report-{chip}-{year:04}-{month:02}-{day:02}.json"
    ))
}

/// The date so many days after 1970-01-01, by counting 400-year cycles from 0000-03-01 (Hinnant, chrono-compatible
/// low-level date algorithms).
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (cycle, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let from_march = (5 * day + 2) / 153;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = year + 400 * cycle + u64::from(month <= 2);
    (year, month, day - (153 * from_march + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::date;

    #[test]
    fn days_have_dates() {
        assert_eq!(date(0), (1970, 1, 1));
        assert_eq!(date(11_016), (2000, 2, 29));
        assert_eq!(date(11_017), (2000, 3, 1));
        assert_eq!(date(20_819), (2027, 1, 1));
    }
}
