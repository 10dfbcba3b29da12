//! One's own data: files and folders of examples, by format.
//!
//! A format reads what a path holds ([`raw::Raw`]); which examples are trained on is decided next, then what the training
//! examples alone decide, such as the mean of a column (`own/describe.rs`), and with that records become inputs
//! ([`OwnExamples`]). Where a description is known already, of a run that is resumed or judged, it holds as it is.
//!
//! A new format is a file in `own/` and its entry in `ALL`.

mod arrays;
mod cells;
mod csv;
mod describe;
mod error;
mod examples;
mod idx;
mod image_folder;
mod inspection;
mod npy;
pub mod oddity;
mod picture;
pub mod raw;
mod roles;
pub mod rows;
mod safetensors;
mod settings;
mod suspicion;
mod table;
mod table_cache;
#[cfg(test)]
mod tests;

pub use error::{OwnDataError, Problem};
pub use examples::OwnExamples;
pub use inspection::{Inspection, Numbers, Shared, inspect, shared};
pub use settings::{Balanced, ClassWeights, DataSettings, Held, Missing, Normalise, TaskSetting};

use super::{
    Dataset, Holdout, SplitError, catalog,
    description::{Description, Input, Target},
    stratify,
};
use crate::data::fingerprint::Sha256Digest;
use error::Sayer;
use raw::Raw;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// Every format.
const ALL: [&dyn Format; 6] = [
    &csv::Csv,
    &npy::Npy,
    &safetensors::Tensors,
    &idx::Idx,
    &image_folder::ImageFolder,
    &picture::Picture,
];

/// A way in which examples lie in files.
trait Format: Sync {
    /// What it is called, with the ends of its names.
    fn name(&self) -> &'static str;
    /// Whether a path is of this format, by its name and by whether it is a folder.
    fn takes(&self, path: &Path) -> bool;
    /// What lies in it.
    fn kind(&self) -> Kind;
    /// The arrays that a file has by name; none where it has but one, or cannot be read.
    fn names(&self, _path: &Path) -> Vec<String> {
        Vec::new()
    }
    /// What the path holds; `known` says what its examples have to be.
    fn read(
        &self,
        path: &Path,
        settings: &DataSettings,
        known: Option<&Description>,
    ) -> Result<Raw, OwnDataError>;
}

/// What lies in files of examples, as far as a path tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Rows of a table.
    Table,
    /// Arrays of numbers, which may be images.
    Arrays,
    /// Images of one size.
    Images,
    /// Files of pictures.
    Pictures,
    /// Texts, which [`super::text`] reads.
    Text,
}

impl Kind {
    /// What a path of one's own data leads to, by the format that takes it.
    pub fn of(path: &Path) -> Option<Self> {
        let format = ALL.into_iter().find(|f| f.takes(path));
        format.map(Format::kind)
    }

    /// Whether such inputs may be made of it.
    fn holds(self, input: &Input) -> bool {
        match input {
            Input::Table { .. } => self == Self::Table,
            Input::Array { .. } => self == Self::Arrays,
            Input::Image { .. } => self != Self::Table,
            Input::Tokens { .. } => self == Self::Text,
        }
    }
}

/// Share of the examples that a network is judged by at the end, unless somebody says.
const TEST: Holdout = Holdout::Share(0.2);
/// Seed of the division into training and test examples, the same for all runs so that they can be compared.
const TEST_SEED: u64 = 0;
/// Names of folders of training, validation and test examples.
const FOLDERS: [&[&str]; 3] = [
    &["train", "training"],
    &["val", "valid", "validation"],
    &["test", "testing"],
];

/// How examples are divided.
#[derive(Debug, Clone, Copy)]
pub struct Divide<'a> {
    /// How they are read.
    pub settings: &'a DataSettings,
    /// Whether the mean of pixels is taken off.
    pub centred: bool,
    /// Training examples that choose the best state; none to train on all.
    pub validation: Option<Holdout>,
    /// Seed of the choice.
    pub seed: u64,
}

/// Examples by what is done with them.
#[derive(Debug)]
pub struct OwnData {
    /// What they are.
    pub description: Description,
    /// The training set, whose examples weigh what they are said to.
    pub train: OwnExamples,
    /// Those of it that are trained on.
    pub indices: Vec<u32>,
    /// Those that choose the best state.
    pub validation: Option<(Arc<dyn Dataset>, Vec<u32>)>,
    /// Those that the network is judged by.
    pub test: Option<(Arc<dyn Dataset>, Vec<u32>)>,
    /// The column or array that is learned, where it had to be found out.
    pub label: Option<String>,
    /// What looks like a mistake, with what can be done.
    pub notes: Vec<String>,
}

/// Reads `path` and divides its examples.
///
/// # Errors
/// [`OwnDataError`] when a file is not what is expected of it, [`SplitError`] when there are too few examples.
pub fn open(
    path: &Path,
    how: Divide<'_>,
    known: Option<&Description>,
) -> Result<OwnData, super::DataError> {
    divided(path, how, known).map_err(|e| match e {
        super::DataError::Own(e) => csv::with_line(e, how.settings).into(),
        other => other,
    })
}

fn divided(
    path: &Path,
    how: Divide<'_>,
    known: Option<&Description>,
) -> Result<OwnData, super::DataError> {
    let mut settings = how.settings.clone();
    let [train_path, validation_path, test_path] = parts(path);
    let train_path = train_path.unwrap_or_else(|| path.to_owned());
    let held = ALL
        .into_iter()
        .find(|f| f.takes(path))
        .map(|f| f.names(path));
    let [validation_arrays, test_arrays] = arrays::held(&held.unwrap_or_default(), &settings);
    let within = |arrays: Option<[String; 2]>| arrays.map(|a| (path.to_owned(), Some(a)));
    let alone = |file: PathBuf| (file, None);
    let raw = read(&train_path, &settings, known)?;
    // Other files are asked for the same column.
    settings.label = settings.label.or(raw.label.clone());
    let settings = &settings;
    let say = Sayer(&train_path);
    if raw.targets.is_none() {
        return Err(say
            .content("has no column or array of what is learned")
            .advise("pass a file that has it, or `predict` for one that has not")
            .into());
    }
    if let (Some(raw::RawTargets::Classes { names, .. }), None) = (&raw.targets, known)
        && let [only] = &names[..]
    {
        return Err(say
            .whole(Problem::Differs {
                expected: "at least two classes".into(),
                found: format!("`{only}` alone"),
            })
            .advise("name another --label, or pass --task values to learn numbers")
            .into());
    }
    let kept: Vec<u32> = (0..raw.len() as u32)
        .filter(|i| raw.dropped.binary_search(i).is_err())
        .collect();
    let classes = match &raw.targets {
        Some(raw::RawTargets::Classes { classes, .. }) if settings.stratify != Some(false) => {
            Some(&classes[..])
        }
        _ => None,
    };
    let test_file = match (&settings.test, test_path) {
        (Some(Held::File(path)), _) => Some(alone(path.clone())),
        (Some(Held::Some(_)), _) => None,
        (None, found) => found.map(alone).or_else(|| within(test_arrays)),
    };
    let held = match (&settings.test, &test_file) {
        (_, Some(_)) | (Some(Held::Some(Holdout::Count(0))), None) => None,
        (Some(Held::Some(held)), None) => Some(*held),
        (Some(Held::File(_)) | None, None) => Some(TEST),
    };
    let (rest, test) = hold_out(kept, held, classes, (TEST_SEED, stratify::TEST)).map_err(|e| {
        let SplitError::Holdout {
            asked,
            examples,
            held_out,
        } = e
        else {
            return say.content(e.to_string());
        };
        let why = match examples.checked_sub(held_out) {
            None => format!("--test {asked} is more than the {examples} examples"),
            Some(rest) => format!(
                "--test {asked} of {examples} examples leaves {held_out} to judge by and {rest} to train on"
            ),
        };
        say.content(why)
            .advise("pass --test with less, a file of examples, or 0 to judge by none")
    })?;
    let validation_file = settings.validation.clone().or(validation_path);
    let validation_file = validation_file.map(alone);
    let validation_file = validation_file.or_else(|| within(validation_arrays));
    let held = how.validation.filter(|_| validation_file.is_none());
    let (train, validation) = hold_out(rest, held, classes, (how.seed, stratify::VALIDATION))?;
    let fingerprint = fingerprint(&raw, &say)?;
    let mut notes = match known {
        None => suspicion::notes(&raw, &say)?,
        Some(_) => Vec::new(),
    };
    let label = raw.label.clone();
    let mut description = match known {
        Some(known) => known.clone(),
        None => describe::describe(&train_path, &raw, &train, settings, how.centred)?,
    };
    if known.is_none() {
        let name = path.file_stem().unwrap_or(path.as_os_str());
        let name = name.to_string_lossy();
        description.name = name.strip_suffix(".csv").unwrap_or(&name).to_owned();
        description.title.clone_from(&description.name);
    }
    description.fingerprint = Some(fingerprint);
    let all = OwnExamples::new(&train_path, raw, &description)?;
    let mut of_file = |file: Option<(PathBuf, Option<[String; 2]>)>| -> Result<_, OwnDataError> {
        let Some((file, arrays)) = file else {
            return Ok(None);
        };
        let settings = match arrays {
            None => {
                if known.is_none() && is_same(&file, &train_path) {
                    notes.push(
                        "the examples that are trained on are to judge or to choose as well: what is answered of them says nothing of others"
                            .to_owned(),
                    );
                }
                settings.clone()
            }
            Some([input, label]) => DataSettings {
                input: Some(input),
                label: Some(label),
                example_weights: None,
                ..settings.clone()
            },
        };
        let (examples, indices) = labelled(&file, &settings, &description)?;
        let unknown = examples.notes().iter();
        notes.extend(unknown.map(|note| format!("{}: {note}", file.display())));
        Ok(Some((Arc::new(examples) as Arc<dyn Dataset>, indices)))
    };
    let judged = Arc::new(all.weighing(None)) as Arc<dyn Dataset>;
    let of_all = |indices: Vec<u32>| (!indices.is_empty()).then(|| (judged.clone(), indices));
    let validation = match how.validation {
        Some(_) => of_file(validation_file)?.or_else(|| of_all(validation)),
        None => None,
    };
    let test = of_file(test_file)?.or_else(|| of_all(test));
    let weights = weights(&all, &train, &description, settings, &say)?;
    Ok(OwnData {
        train: all.weighing(weights),
        indices: train,
        validation,
        test,
        label,
        notes,
        description,
    })
}

/// Whether two paths lead to the same.
fn is_same(a: &Path, b: &Path) -> bool {
    let whole = |path: &Path| path.canonicalize().ok();
    whole(a).is_some_and(|a| Some(a) == whole(b))
}

/// The examples of a file as a run knows them that was trained on others, and which of them are not left out. There may be
/// nothing that says what should be learned of them.
///
/// # Errors
/// When the file is not what is expected of it.
pub fn examples(
    path: &Path,
    settings: &DataSettings,
    known: &Description,
) -> Result<(OwnExamples, Vec<u32>), OwnDataError> {
    let raw = read(path, settings, Some(known))?;
    let kept = (0..raw.len() as u32)
        .filter(|i| raw.dropped.binary_search(i).is_err())
        .collect();
    let examples = OwnExamples::new(path, raw, known).map_err(|e| csv::with_line(e, settings))?;
    Ok((examples.weighing(None), kept))
}

/// The same of a file that says what should be learned of them.
///
/// # Errors
/// As for [`examples`], and when it does not.
pub fn labelled(
    path: &Path,
    settings: &DataSettings,
    known: &Description,
) -> Result<(OwnExamples, Vec<u32>), OwnDataError> {
    let (examples, indices) = examples(path, settings, known)?;
    if examples.schema().len() > 1 {
        return Ok((examples, indices));
    }
    let what = match (&known.input, &settings.label) {
        (Input::Table { .. }, Some(label)) => format!("column `{label}`"),
        (_, Some(label)) => format!("array `{label}`"),
        (_, None) => "column, array or folder of classes".to_owned(),
    };
    Err(Sayer(path)
        .content(format!("has no {what}, which is learned"))
        .advise("pass a file that has it; `predict` needs none"))
}

/// The same without what should be learned of them, whether it is there or not.
///
/// # Errors
/// As for [`examples`].
pub fn inputs(
    path: &Path,
    settings: &DataSettings,
    known: &Description,
) -> Result<(OwnExamples, Vec<u32>), OwnDataError> {
    let settings = DataSettings {
        inputs_alone: true,
        ..settings.clone()
    };
    examples(path, &settings, known)
}

/// What a path holds, by the format that it is of.
///
/// # Errors
/// When there is no such file, no format takes it, or it is not what its format says.
pub fn read(
    path: &Path,
    settings: &DataSettings,
    known: Option<&Description>,
) -> Result<Raw, OwnDataError> {
    let say = Sayer(path);
    std::fs::metadata(path).map_err(|e| say.whole(e))?;
    let is_wanted = |f: &&dyn Format| known.is_none_or(|known| f.kind().holds(&known.input));
    let format = ALL.into_iter().find(|f| f.takes(path));
    let format = format.filter(is_wanted).ok_or_else(|| {
        let wanted: Vec<&str> = ALL
            .into_iter()
            .filter(is_wanted)
            .map(Format::name)
            .collect();
        let expected = wanted.join(", ");
        let unknown = say.whole(Problem::Unknown { expected });
        match known {
            Some(known) => unknown.advise(format!(
                "the run has learned from {}: pass one of these",
                known.input.kind()
            )),
            None => unknown,
        }
    })?;
    let task = known.map(|d| match &d.target {
        Target::Classes { .. } => TaskSetting::Classes,
        Target::Values { .. } | Target::Tokens { .. } => TaskSetting::Values,
    });
    let mut settings = settings.clone();
    settings.task = task.or(settings.task);
    if let Some(Input::Image {
        shape: [channels, rows, columns],
        fit,
        ..
    }) = known.map(|d| &d.input)
    {
        settings.channels = Some(*channels);
        settings.size = Some([*rows, *columns]);
        settings.fit = Some(*fit);
    }
    let raw = format.read(path, &settings, known);
    let raw = raw.map_err(|e| csv::with_line(e, &settings))?;
    if raw.is_empty() {
        return Err(say
            .content("holds no examples")
            .advise("pass one that does"));
    }
    if u32::try_from(raw.len()).is_err() {
        return Err(say.whole(Problem::TooMany {
            what: "examples".into(),
            most: u32::MAX.into(),
            found: raw.len() as u64,
        }));
    }
    Ok(raw)
}

/// Whether a data set is asked for by a path.
pub fn is_path(dataset: &str) -> bool {
    let path = Path::new(dataset);
    // A folder may be called as a data set of the catalog is.
    catalog::find(dataset).is_err()
        && (dataset.contains(['/', '\\']) || dataset == "." || ALL.iter().any(|f| f.takes(path)))
}

/// The folders of training, validation and test examples in a folder.
pub fn parts(path: &Path) -> [Option<PathBuf>; 3] {
    let found = FOLDERS.map(|names| {
        let folders = names.iter().map(|name| path.join(name));
        folders.into_iter().find(|folder| folder.is_dir())
    });
    // Without training examples such a folder is a class that is called so.
    if found[0].is_some() {
        found
    } else {
        [None, None, None]
    }
}

fn hold_out(
    examples: Vec<u32>,
    held: Option<Holdout>,
    classes: Option<&[u32]>,
    (seed, stream): (u64, u64),
) -> Result<(Vec<u32>, Vec<u32>), SplitError> {
    match held {
        None => Ok((examples, Vec::new())),
        Some(held) => {
            let count = held.of(examples.len())?;
            Ok(stratify::split(examples, count, classes, seed, stream))
        }
    }
}

/// What training examples weigh.
fn weights(
    examples: &OwnExamples,
    train: &[u32],
    description: &Description,
    settings: &DataSettings,
    say: &Sayer<'_>,
) -> Result<Option<Vec<f32>>, OwnDataError> {
    let own = examples.weights();
    if let Some((row, w)) = own.and_then(|w| w.iter().enumerate().find(|(_, w)| !is_weight(**w))) {
        return Err(say
            .row(
                row,
                Problem::Differs {
                    expected: "a weight of at least 0".into(),
                    found: w.to_string(),
                },
            )
            .advise("mend it, or leave the weights out"));
    }
    let Some(of_class) = &settings.class_weights else {
        return Ok(own.map(<[f32]>::to_vec));
    };
    let (Some(classes), Some(names)) = (examples.classes(), description.class_names()) else {
        return Err(say
            .content("has no classes that could have weights")
            .advise("leave the weights of classes out"));
    };
    let of_class: Vec<f32> = match of_class {
        ClassWeights::Balanced(_) => {
            let mut counts = vec![0.0_f64; names.len()];
            train
                .iter()
                .for_each(|&i| counts[classes[i as usize] as usize] += 1.0);
            let each = train.len() as f64 / names.len() as f64;
            counts.iter().map(|&n| (each / n.max(1.0)) as f32).collect()
        }
        ClassWeights::Named(named) => {
            if let Some(unknown) = named.keys().find(|n| !names.contains(n)) {
                return Err(say.whole(Problem::Missing {
                    what: "class",
                    asked: unknown.clone(),
                    known: names.to_vec(),
                }));
            }
            if let Some((name, w)) = named.iter().find(|(_, w)| !is_weight(**w)) {
                return Err(say.whole(Problem::Differs {
                    expected: format!("a weight of at least 0 for class `{name}`"),
                    found: w.to_string(),
                }));
            }
            names
                .iter()
                .map(|n| named.get(n).copied().unwrap_or(1.0))
                .collect()
        }
    };
    let weight = |(i, &class): (usize, &i32)| {
        let own = own.map_or(1.0, |w| w[i]);
        own * of_class[class as usize]
    };
    Ok(Some(classes.iter().enumerate().map(weight).collect()))
}

/// Whether something can weigh this.
fn is_weight(x: f32) -> bool {
    x.is_finite() && x >= 0.0
}

/// What tells the content of examples from another's: the digest of their number and of some of them, since a data set may
/// be far larger than what a run that goes on should wait for.
fn fingerprint(raw: &Raw, say: &Sayer<'_>) -> Result<String, OwnDataError> {
    const RECORDS: usize = 4_096;
    let mut content = Vec::new();
    content.extend_from_slice(&(raw.len() as u64).to_le_bytes());
    let mut scratch = Vec::new();
    for i in 0..raw.len().min(RECORDS) {
        // Evenly over all of them, the first and the last among them.
        let at = i * (raw.len() - 1) / (RECORDS.min(raw.len()) - 1).max(1);
        let bytes = raw
            .inputs
            .bytes(at, &mut scratch)
            .map_err(|e| say.whole(e))?;
        content.extend_from_slice(Sha256Digest::of(bytes).as_bytes());
    }
    match &raw.targets {
        Some(raw::RawTargets::Classes { names, classes }) => {
            content.extend(names.iter().flat_map(|n| n.bytes()));
            content.extend(classes.iter().flat_map(|c| c.to_le_bytes()));
        }
        Some(raw::RawTargets::Values { rows, .. }) => {
            content.extend(rows.iter().flat_map(|x| x.to_le_bytes()));
        }
        None => {}
    }
    Ok(Sha256Digest::of(&content).to_string())
}
