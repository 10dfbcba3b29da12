//! What is in data of one's own, for people: what it is read as, its numbers, its classes, and examples that are there twice.

use super::{
    Divide, OwnDataError,
    error::Sayer,
    raw::{Layout, Raw, RawTargets},
    suspicion,
};
use crate::data::{DataError, fingerprint::Sha256Digest};
use serde::Serialize;
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

/// What is in a file or folder.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Inspection {
    /// Examples there are.
    pub examples: usize,
    /// Those that are left out, since a cell is empty.
    pub dropped: usize,
    /// What an example is: `image`, `array` or `row of a table`.
    pub kind: &'static str,
    /// Its shape; of a row, how many columns are learned from.
    pub shape: Vec<usize>,
    /// Its numbers: of each column of a table, or of all elements.
    pub columns: Vec<Numbers>,
    /// What is learned, where it had to be found out.
    pub label: Option<String>,
    /// Classes and how many examples each has.
    pub classes: Option<Vec<(String, usize)>>,
    /// The numbers that are learned.
    pub values: Option<Vec<Numbers>>,
    /// Examples that are equal to an earlier one, inputs and all.
    pub repeated: usize,
    /// What looks like a mistake, with what can be done.
    pub notes: Vec<String>,
}

/// The numbers of a column.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Numbers {
    /// What they are called.
    pub name: String,
    /// Different texts, where they are texts.
    pub texts: Option<usize>,
    /// How many are missing or no numbers.
    pub missing: usize,
    /// The smallest one.
    pub least: f32,
    /// The largest one.
    pub most: f32,
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation.
    pub std: f64,
}

/// Parts of a data set by how many of their examples are in another part too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shared {
    /// Examples that are trained on.
    pub train: usize,
    /// Those that choose the best state, and those that are trained on as well.
    pub validation: Option<(usize, usize)>,
    /// Those that judge, and those that are trained on as well.
    pub test: Option<(usize, usize)>,
}

impl Numbers {
    fn new(name: &str, texts: Option<usize>) -> Self {
        Self {
            name: name.to_owned(),
            texts,
            missing: 0,
            least: f32::INFINITY,
            most: f32::NEG_INFINITY,
            mean: 0.0,
            std: 0.0,
        }
    }

    /// Takes note of a number; `std` is the sum of squared distances until [`Numbers::close`] (Welford 1962).
    fn add(&mut self, x: f32, count: &mut usize) {
        if !x.is_finite() {
            self.missing += 1;
            return;
        }
        *count += 1;
        self.least = self.least.min(x);
        self.most = self.most.max(x);
        let off = f64::from(x) - self.mean;
        self.mean += off / *count as f64;
        self.std += off * (f64::from(x) - self.mean);
    }

    fn close(&mut self, count: usize) {
        self.std = (self.std / count.max(1) as f64).sqrt();
    }
}

/// Looks at all of what a path holds.
///
/// # Errors
/// When it cannot be read.
pub fn inspect(path: &Path, raw: &Raw) -> Result<Inspection, OwnDataError> {
    let say = Sayer(path);
    let (kind, shape) = match &raw.layout {
        Layout::Image { shape, .. } => ("image", shape.to_vec()),
        Layout::Array(shape) => ("array", shape.clone()),
        Layout::Table(columns) => ("row of a table", vec![columns.len()]),
    };
    let mut columns: Vec<Numbers> = match &raw.layout {
        Layout::Table(columns) => columns
            .iter()
            .map(|c| Numbers::new(&c.name, c.texts.as_ref().map(Vec::len)))
            .collect(),
        Layout::Image { .. } | Layout::Array(_) => vec![Numbers::new("all elements", None)],
    };
    let mut counts = vec![0; columns.len()];
    let (mut scratch, mut record) = (Vec::new(), Vec::new());
    let mut seen: HashMap<[u8; 32], ()> = HashMap::new();
    let mut repeated = 0;
    for i in 0..raw.len() {
        let bytes = raw
            .inputs
            .bytes(i, &mut scratch)
            .map_err(|e| say.whole(e))?;
        let digest = *Sha256Digest::of(bytes).as_bytes();
        repeated += usize::from(seen.insert(digest, ()).is_some());
        let read = raw.inputs.values(i, &mut scratch, &mut record);
        read.map_err(|e| say.whole(e))?;
        match &raw.layout {
            Layout::Table(of) => {
                for ((column, at), count) in columns.iter_mut().zip(of).zip(&mut counts) {
                    column.add(record[at.at], count);
                }
            }
            Layout::Image { .. } | Layout::Array(_) => {
                record
                    .iter()
                    .for_each(|&x| columns[0].add(x, &mut counts[0]));
            }
        }
    }
    for (column, count) in columns.iter_mut().zip(counts) {
        column.close(count);
    }
    let is_kept = |i: usize| raw.dropped.binary_search(&(i as u32)).is_err();
    let (mut classes, mut values) = (None, None);
    match &raw.targets {
        Some(RawTargets::Classes { names, classes: of }) => {
            let mut all: Vec<(String, usize)> = names.iter().map(|n| (n.clone(), 0)).collect();
            for (_, &class) in of.iter().enumerate().filter(|(i, _)| is_kept(*i)) {
                all[class as usize].1 += 1;
            }
            classes = Some(all);
        }
        Some(RawTargets::Values { names, rows }) => {
            let mut all: Vec<Numbers> = names.iter().map(|n| Numbers::new(n, None)).collect();
            for (i, numbers) in all.iter_mut().enumerate() {
                let mut count = 0;
                let of = rows.iter().skip(i).step_by(names.len());
                of.for_each(|&x| numbers.add(x, &mut count));
                numbers.close(count);
            }
            values = Some(all);
        }
        None => {}
    }
    Ok(Inspection {
        examples: raw.len(),
        dropped: raw.dropped.len(),
        kind,
        shape,
        columns,
        label: raw.label.clone(),
        classes,
        values,
        repeated,
        notes: suspicion::notes(raw, &say)?,
    })
}

/// Divides a data set as a run does, and looks for examples that are trained on and judged by too.
///
/// # Errors
/// When it cannot be read or divided.
pub fn shared(path: &Path, how: Divide<'_>) -> Result<Shared, DataError> {
    let data = super::open(path, how, None)?;
    let digests = |examples: &dyn crate::data::Dataset, indices: &[u32]| {
        let mut batch = crate::data::Batch::default();
        let mut all = Vec::with_capacity(indices.len());
        for &i in indices {
            batch.restart(1, 1);
            examples.fill(&[(i, 0)], &mut batch)?;
            let bytes: Vec<u8> = match batch.get(crate::data::IMAGE) {
                Some(crate::data::Values::Fp16(x)) => {
                    x.iter().flat_map(|v| v.to_le_bytes()).collect()
                }
                _ => Vec::new(),
            };
            all.push(*Sha256Digest::of(&bytes).as_bytes());
        }
        Ok::<_, crate::data::FillError>(all)
    };
    let lost = |e: crate::data::FillError| DataError::Unreadable {
        path: PathBuf::from(path),
        source: e.source,
    };
    let trained: std::collections::HashSet<[u8; 32]> = digests(&data.train, &data.indices)
        .map_err(lost)?
        .into_iter()
        .collect();
    let of = |part: &Option<(std::sync::Arc<dyn crate::data::Dataset>, Vec<u32>)>| {
        let Some((examples, indices)) = part else {
            return Ok(None);
        };
        let all = digests(&**examples, indices).map_err(lost)?;
        Ok::<_, DataError>(Some((
            all.len(),
            all.iter().filter(|d| trained.contains(*d)).count(),
        )))
    };
    Ok(Shared {
        train: data.indices.len(),
        validation: of(&data.validation)?,
        test: of(&data.test)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{
        Holdout,
        own::{DataSettings, read},
    };

    #[test]
    fn numbers_classes_and_what_is_there_twice_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.csv");
        let mut text = String::from("a,b,label\n1,red,x\n3,blue,y\n1,red,x\n,blue,y\n");
        (0..40).for_each(|i| text.push_str(&format!("{i}.5,red,{}\n", ["x", "y"][i % 2])));
        // Twenty times the same, so that some are trained on and judged by.
        (0..20).for_each(|_| text.push_str("7,blue,x\n"));
        std::fs::write(&path, text).unwrap();
        let settings = DataSettings {
            missing: Some(super::super::Missing::Drop),
            ..DataSettings::default()
        };
        let found = inspect(&path, &read(&path, &settings, None).unwrap()).unwrap();
        assert_eq!((found.examples, found.dropped, found.repeated), (64, 1, 20));
        assert_eq!(found.label.as_deref(), Some("label"));
        assert_eq!(
            found.classes,
            Some(vec![("x".into(), 42), ("y".into(), 21)])
        );
        let [a, b] = &found.columns[..] else {
            panic!("{found:?}")
        };
        assert_eq!((a.missing, a.least, a.most, a.texts), (1, 0.5, 39.5, None));
        assert_eq!((b.texts, b.missing), (Some(2), 0));
        let how = Divide {
            settings: &settings,
            centred: false,
            validation: Some(Holdout::Share(0.2)),
            seed: 0,
        };
        let shared = shared(&path, how).unwrap();
        let (test, both) = shared.test.unwrap();
        assert_eq!(
            (shared.train + test + shared.validation.unwrap().0, test),
            (63, 13)
        );
        assert!(both > 0, "{shared:?}");
    }
}
