//! Data sets of the catalog that nobody has divided: one published file, brought into a form that is read as a file of one's
//! own.

use super::cache::Cache;
use super::catalog::{DatasetSpec, FileSpec};
use super::event::FetchEvent;
use super::fetch::{FetchOptions, fetch};
use super::own::{DataSettings, Kind, TaskSetting};
use super::{DataError, idx};
use std::fmt::Write;
use std::path::PathBuf;

/// A data set of one file.
#[derive(Debug)]
pub struct UndividedSet {
    /// The file.
    pub file: FileSpec,
    /// What it looks like.
    pub form: Form,
}

/// What a file of examples looks like.
#[derive(Debug, Clone, Copy)]
pub enum Form {
    /// A table with names of columns.
    Table {
        /// The column that is learned.
        label: &'static str,
        /// What it holds.
        task: TaskSetting,
    },
    /// scikit-learn's: numbers of examples and columns with the names of the classes in the first line, then rows of numbers,
    /// each with the number of its class at its end.
    ScikitLearn {
        /// The columns, as scikit-learn names them.
        columns: &'static [&'static str],
    },
    /// Rows of the pixels of an image, each with the number of its class at its end.
    Pixels {
        /// Rows of an image.
        rows: usize,
        /// Columns of an image.
        columns: usize,
        /// What white is.
        most: u8,
    },
}

/// The column of classes that a table is given.
const CLASS: &str = "class";

/// Names of what is made of a file; no published one has them.
const TABLE: &str = "examples.csv";
const IMAGES: &str = "examples-images-idx3-ubyte";
const LABELS: &str = "examples-labels-idx1-ubyte";

/// Fetches a set and gives the path of a file that is read as one's own, in the cache.
pub(super) fn prepare(
    spec: &DatasetSpec,
    set: &UndividedSet,
    options: &FetchOptions,
    report: &dyn Fn(FetchEvent),
) -> Result<PathBuf, DataError> {
    let files = fetch(spec, options, report)?.train;
    let content = files.first().map_or(&[][..], |file| &file.content);
    let not_as_said = || DataError::Form {
        file: set.file.name,
    };
    let text = std::str::from_utf8(content).map_err(|_| not_as_said())?;
    let made = set.form.files(text).ok_or_else(not_as_said)?;
    let cache = Cache::open(spec, options.cache_root.as_deref())?;
    let mut first = None;
    for (name, bytes) in made {
        let path = cache.keep(name, &bytes)?;
        first.get_or_insert(path);
    }
    first.ok_or_else(not_as_said)
}

impl Form {
    /// What is said of it where nobody says otherwise.
    pub(super) fn over(&self, settings: &mut DataSettings) {
        let (label, task) = match *self {
            Self::Table { label, task } => (label, Some(task)),
            Self::ScikitLearn { .. } => (CLASS, None),
            Self::Pixels { .. } => return,
        };
        if settings.label.is_none() {
            settings.label = Some(label.to_owned());
            settings.task = settings.task.or(task);
        }
    }

    /// What lies in the file that it is read from.
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Table { .. } | Self::ScikitLearn { .. } => Kind::Table,
            Self::Pixels { .. } => Kind::Images,
        }
    }

    /// The files, by name, that hold the examples in a form that is read; the first is the one to name.
    fn files(&self, text: &str) -> Option<Vec<(&'static str, Vec<u8>)>> {
        match *self {
            Self::Table { .. } => Some(vec![(TABLE, text.into())]),
            Self::ScikitLearn { columns } => {
                let table = with_names(text, columns)?;
                Some(vec![(TABLE, table.into())])
            }
            Self::Pixels {
                rows,
                columns,
                most,
            } => {
                let (images, labels) = images(text, [rows, columns], most)?;
                Some(vec![(IMAGES, images), (LABELS, labels)])
            }
        }
    }
}

/// The table of a text of scikit-learn's, with names for columns and classes.
fn with_names(text: &str, columns: &[&str]) -> Option<String> {
    let mut lines = text.lines();
    let mut head = lines.next()?.split(',');
    let count: usize = head.next()?.parse().ok()?;
    let width: usize = head.next()?.parse().ok()?;
    let classes: Vec<&str> = head.collect();
    if width != columns.len() {
        return None;
    }
    let mut table = columns.join(",");
    let _ = writeln!(table, ",{CLASS}");
    let mut seen = 0;
    for line in lines {
        let (numbers, class) = line.rsplit_once(',')?;
        let class: usize = class.parse().ok()?;
        let _ = writeln!(table, "{numbers},{}", classes.get(class)?);
        seen += 1;
    }
    (seen == count).then_some(table)
}

/// The IDX files of images and labels, whose pixels reach from black to nearly white.
fn images(text: &str, [rows, columns]: [usize; 2], most: u8) -> Option<(Vec<u8>, Vec<u8>)> {
    let brighter = u8::MAX / most.max(1);
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for line in text.lines() {
        let (image, label) = line.rsplit_once(',')?;
        let from = pixels.len();
        for pixel in image.split(',') {
            let pixel: u8 = pixel.parse().ok()?;
            pixels.push((pixel <= most).then_some(pixel * brighter)?);
        }
        if pixels.len() - from != rows * columns {
            return None;
        }
        labels.push(label.parse().ok()?);
    }
    let [count, rows, columns] = [labels.len(), rows, columns].map(|n| u32::try_from(n).ok());
    let images = idx::images_header(count?, rows?, columns?);
    let named = idx::labels_header(count?);
    Some(([images, pixels].concat(), [named, labels].concat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_scikit_learn_is_given_names() {
        let table = with_names("2,2,no,yes\n1.5,2,1\n-3,4,0\n", &["a", "b"]).unwrap();
        assert_eq!(table, "a,b,class\n1.5,2,yes\n-3,4,no\n");
        for broken in [
            "",
            "2,2,no,yes\n1,2,1\n",
            "1,2,no\n1,2,1\n",
            "1,3,no\n1,2,0\n",
        ] {
            assert_eq!(with_names(broken, &["a", "b"]), None, "{broken}");
        }
    }

    #[test]
    fn pixels_become_images() {
        let (found, labels) = images("0,16,4,8,7\n", [2, 2], 16).unwrap();
        assert_eq!(found[16..], [0, 240, 60, 120]);
        assert_eq!(found[..16], idx::images_header(1, 2, 2)[..]);
        assert_eq!(labels[8..], [7]);
        for broken in ["0,17,4,8,7\n", "0,1,2,7\n", "0,1,2,x,7\n"] {
            assert_eq!(images(broken, [2, 2], 16), None, "{broken}");
        }
    }
}
