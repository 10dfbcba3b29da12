//! `data inspect`: what a file or folder of one's own is read as, before anything is trained on it.

use super::super::train::DataArgs;
use crate::{
    ended::Ended,
    failure::Failure,
    output::{self, remark, say},
};
use ane_train::{
    checkpoint::replace_file,
    config::RunConfig,
    data::{
        DataError, Holdout, OwnDataError,
        own::{
            self, DataSettings, Divide, Inspection, Missing, Numbers, Shared,
            raw::{Layout, Raw, RawTargets},
        },
    },
};
use comfy_table::{Table, presets};
use image::{ExtendedColorType, ImageEncoder, RgbImage, codecs::png::PngEncoder};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Columns of a table, or classes, that are shown.
const SHOWN: usize = 40;
/// Pictures of a class, and classes, of a contact sheet.
const SHEET: [usize; 2] = [10, 20];

#[derive(Debug, clap::Args)]
// What is looked at is named by PATH; data sets of the catalog are known.
#[command(
    mut_arg("data", |arg| arg.hide(true)),
    mut_arg("dataset", |arg| arg.hide(true).conflicts_with("path")),
    mut_arg("data_dir", |arg| arg.hide(true)),
    mut_arg("offline", |arg| arg.hide(true))
)]
pub(crate) struct Args {
    /// The file or folder
    #[arg(required_unless_present_any = ["data", "dataset"], conflicts_with = "data")]
    path: Option<PathBuf>,
    #[command(flatten)]
    data: DataArgs,
    /// Write some pictures of every class as one PNG
    #[arg(long, value_name = "FILE")]
    sheet: Option<PathBuf>,
}

impl Args {
    /// The file or folder, by itself or as `train` names it.
    fn path(&self) -> Result<&Path, Failure> {
        let path = self.path.as_deref().or(self.data.path());
        path.ok_or_else(|| {
            Failure::usage(
                "data sets of the catalog are not inspected",
                "name a file or folder; `ane-trainer data list` says what the catalog has",
            )
        })
    }
}

/// A part of a data set: its name, where it is and what is in it.
struct Part {
    name: &'static str,
    path: PathBuf,
    found: Inspection,
}

/// What a file or folder holds, and why it cannot be trained on where that is so.
fn look(path: &Path, settings: &DataSettings) -> Result<(Raw, Option<OwnDataError>), Failure> {
    match own::read(path, settings, None) {
        Ok(raw) => Ok((raw, None)),
        Err(refused) if settings.missing.is_some() => Err(DataError::from(refused).into()),
        Err(refused) => {
            // What is missing is what there is to see; a run would refuse it all the same.
            let filled = DataSettings {
                missing: Some(Missing::Mean),
                ..settings.clone()
            };
            match own::read(path, &filled, None) {
                Ok(raw) => Ok((raw, Some(refused))),
                Err(_) => Err(DataError::from(refused).into()),
            }
        }
    }
}

pub(super) fn run(args: &Args) -> Result<Ended, Failure> {
    let path = args.path()?;
    let mut config = RunConfig {
        dataset: path.display().to_string(),
        validation: Holdout::Share(0.1),
        ..RunConfig::default()
    };
    args.data.settings(&mut config)?;
    args.data.division(&mut config);
    let [train, validation, test] = own::parts(path);
    let train = train.unwrap_or_else(|| path.to_owned());
    let (raw, refused) = look(&train, &config.data)?;
    let found = own::inspect(&train, &raw).map_err(DataError::from)?;
    let mut parts = Vec::new();
    for (name, path) in [("validation", validation), ("test", test)] {
        let Some(path) = path else { continue };
        let (raw, _) = look(&path, &config.data)?;
        let found = own::inspect(&path, &raw).map_err(DataError::from)?;
        parts.push(Part { name, path, found });
    }
    let how = Divide {
        settings: &config.data,
        centred: false,
        validation: (!config.whole).then_some(config.validation),
        seed: config.seed,
    };
    let shared = own::shared(path, how);
    let (division, refused) = match (shared, refused) {
        (_, Some(e)) => (None, Some(format!("{e}; {}", e.help()))),
        (Ok(shared), None) => (Some(shared), None),
        (Err(e), None) => (None, Some(e.to_string())),
    };
    if let Some(file) = &args.sheet {
        replace_file(file, &sheet(&train, &raw)?)?;
    }
    let of_parts: Vec<_> = parts
        .iter()
        .map(|p| json!({"part": p.name, "path": output::path(&p.path), "found": p.found}))
        .collect();
    let report = json!({
        "path": output::path(path),
        "found": found,
        "parts": of_parts,
        "division": division,
        "refused": refused,
        "sheet": args.sheet.as_ref().map(output::path),
    });
    output::result(&report, || {
        tell(&train, &found);
        for part in &parts {
            tell(&part.path, &part.found);
        }
        if let Some(division) = &division {
            tell_division(division);
        }
        if let Some(why) = &refused {
            remark!("note: it cannot be trained on as it is: {why}");
        }
    });
    Ok(Ended::Done)
}

fn tell(path: &Path, found: &Inspection) {
    let shape: Vec<String> = found.shape.iter().map(usize::to_string).collect();
    say!(
        "{}: {} examples, each {} {} [{}]",
        path.display(),
        found.examples,
        if found.kind.starts_with(['a', 'i']) {
            "an"
        } else {
            "a"
        },
        found.kind,
        shape.join(", ")
    );
    if found.dropped > 0 {
        say!(
            "{} are left out, as a cell of theirs is empty",
            found.dropped
        );
    }
    if found.repeated > 0 {
        say!("{} are equal to another", found.repeated);
    }
    say!("{}", numbers(&found.columns));
    if let Some(label) = &found.label {
        say!("learned: {label}");
    }
    if let Some(values) = &found.values {
        say!("{}", numbers(values));
    }
    if let Some(classes) = &found.classes {
        for (name, count) in classes.iter().take(SHOWN) {
            say!("  class {name}: {count}");
        }
        if classes.len() > SHOWN {
            say!("  and {} more", classes.len() - SHOWN);
        }
    }
    for note in &found.notes {
        remark!("note: {note}");
    }
}

fn tell_division(shared: &Shared) {
    let count = |part: Option<(usize, usize)>| match part {
        Some((examples, _)) => examples.to_string(),
        None => "none".to_owned(),
    };
    say!(
        "a run would train on {}, validate on {} and test on {}",
        shared.train,
        count(shared.validation),
        count(shared.test)
    );
    for (what, part) in [
        ("validates on", shared.validation),
        ("tests on", shared.test),
    ] {
        if let Some((_, both @ 1..)) = part {
            say!("  {both} that it {what} are equal to one that is trained on");
        }
    }
}

/// A table of columns.
fn numbers(columns: &[Numbers]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["column", "least", "mean", "most", "std", "missing"]);
    for column in columns.iter().take(SHOWN) {
        let number = |x: f64| match column.texts {
            Some(_) => String::new(),
            None if x.is_finite() => format!("{x:.4}"),
            None => "-".to_owned(),
        };
        let least = match column.texts {
            Some(texts) => format!("{texts} texts"),
            None => number(column.least.into()),
        };
        table.add_row([
            column.name.clone(),
            least,
            number(column.mean),
            number(column.most.into()),
            number(column.std),
            column.missing.to_string(),
        ]);
    }
    let mut text = table.trim_fmt();
    if columns.len() > SHOWN {
        text.push_str(&format!("\nand {} more columns", columns.len() - SHOWN));
    }
    text
}

/// Some pictures of every class, a row each, as a PNG.
fn sheet(path: &Path, raw: &Raw) -> Result<Vec<u8>, Failure> {
    let no_pictures = || {
        Failure::usage(
            format!(
                "`{}` holds no pictures, of which --sheet shows some",
                path.display()
            ),
            "leave it out",
        )
    };
    let Layout::Image {
        shape: [channels, rows, columns],
        channels_last,
    } = raw.layout
    else {
        return Err(no_pictures());
    };
    let one = [0];
    let (classes, of): (usize, &[u32]) = match &raw.targets {
        Some(RawTargets::Classes { names, classes }) => (names.len(), classes),
        _ => (1, &one),
    };
    let [across, down] = SHEET;
    let down = classes.min(down);
    let mut all = RgbImage::new((across * (columns + 1)) as u32, (down * (rows + 1)) as u32);
    let mut placed = vec![0; down];
    let mut scratch = Vec::new();
    for i in 0..raw.len() {
        let class = of.get(i).copied().unwrap_or(0) as usize;
        let Some(count) = placed.get_mut(class).filter(|n| **n < across) else {
            continue;
        };
        let pixels = raw.inputs.bytes(i, &mut scratch).map_err(|e| {
            Failure::because(
                format!("cannot read picture {i} of `{}`", path.display()),
                e,
                "check that it is there and that you may read it",
            )
        })?;
        for y in 0..rows {
            for x in 0..columns {
                let value = |channel: usize| match channels_last {
                    true => pixels[(y * columns + x) * channels + channel],
                    false => pixels[(channel * rows + y) * columns + x],
                };
                let colour = [0, 1, 2].map(|c| value(c.min(channels - 1)));
                let at = [*count * (columns + 1) + x, class * (rows + 1) + y];
                all.put_pixel(at[0] as u32, at[1] as u32, image::Rgb(colour));
            }
        }
        *count += 1;
    }
    let mut file = Vec::new();
    let (width, height) = all.dimensions();
    let written =
        PngEncoder::new(&mut file).write_image(&all, width, height, ExtendedColorType::Rgb8);
    written.map_err(|e| {
        Failure::because("cannot make a PNG of the pictures", e, "leave --sheet out")
    })?;
    Ok(file)
}
