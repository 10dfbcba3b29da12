//! The data set of a run, of the catalog or one's own, as it is known before and after its examples are loaded.

use super::{
    Content, DataError, Dataset, DatasetSpec, FetchEvent, FetchOptions, ImageSet, Sampler, catalog,
    corpus,
    description::Description,
    fills_a_batch, load,
    own::{self, Divide, Kind, OwnData},
    sampler,
    text::{self, Text},
    undivided,
};
use crate::{config::RunConfig, fit::Examples};
use std::{path::Path, sync::Arc};

/// The data set of a run: what its examples are and how they are divided. Files of images of the catalog are not needed for
/// that; others are read.
#[derive(Debug)]
pub struct Opened {
    /// What the examples are.
    pub description: Description,
    /// Those that are trained on, by their place in the training set.
    train: Vec<u32>,
    seed: u64,
    /// Batches that are all there is, if that is asked for.
    overfit: Option<usize>,
    from: From,
}

#[derive(Debug)]
enum From {
    Catalog {
        spec: &'static DatasetSpec,
        centred: bool,
        validation: Vec<u32>,
    },
    Own(Box<OwnData>),
    Text(Box<Text>),
}

/// The examples of a run.
#[derive(Debug)]
pub struct Loaded {
    /// The training set.
    pub train: Arc<dyn Dataset>,
    /// Examples that choose the best state.
    pub validation: Option<Examples>,
    /// Examples that the network is judged by.
    pub test: Option<Examples>,
}

impl Loaded {
    /// Leaves a batch of so many examples to choose by, and one to judge by.
    pub fn keep_a_batch(&mut self, batch: usize) {
        for part in self.validation.iter_mut().chain(&mut self.test) {
            part.indices.truncate(batch);
        }
    }
}

/// Whether the examples of a data set, of the catalog or one's own, lie undivided, so that a run divides them.
pub fn is_undivided(dataset: &str) -> bool {
    let known = catalog::find(dataset);
    own::is_path(dataset) || known.is_ok_and(|spec| spec.images().is_none())
}

/// What lies in the files of a data set, of the catalog or one's own; none where there is no such set or no format takes it.
pub fn kind(dataset: &str) -> Option<Kind> {
    if own::is_path(dataset) {
        let path = Path::new(dataset);
        return match text::is_text(path) {
            true => Some(Kind::Text),
            false => Kind::of(path),
        };
    }
    match &catalog::find(dataset).ok()?.content {
        Content::Images(_) => Some(Kind::Images),
        Content::Undivided(set) => Some(set.form.kind()),
        Content::Corpus(_) => Some(Kind::Text),
    }
}

impl Opened {
    /// The data set that a configuration names; a `known` description holds for examples as it is that are read at once. One
    /// of the catalog that is not divided is fetched for that.
    ///
    /// # Errors
    /// When there is none of that name, a file cannot be had or is not what is expected of it, or there are too few examples.
    pub fn of(
        config: &RunConfig,
        known: Option<&Description>,
        options: &FetchOptions,
        report: &dyn Fn(FetchEvent),
    ) -> Result<Self, DataError> {
        let mut opened = match catalog::find(&config.dataset) {
            _ if own::is_path(&config.dataset) && text::is_text(Path::new(&config.dataset)) => {
                let path = Path::new(&config.dataset);
                let name = path.file_stem().and_then(|n| n.to_str()).unwrap_or("text");
                let title = path.file_name().and_then(|n| n.to_str()).unwrap_or(name);
                Self::text(config, path, [name, title], known, options)?
            }
            _ if own::is_path(&config.dataset) => {
                let path = Path::new(&config.dataset);
                let opened = Self::own(config, path, known)?;
                opened.tell_notes(path, report);
                opened
            }
            Err(unknown) => return Err(unknown),
            Ok(spec) => match &spec.content {
                Content::Images(set) => Self::images(config, spec, set)?,
                Content::Undivided(set) => {
                    let path = undivided::prepare(spec, set, options, report)?;
                    let mut config = config.clone();
                    set.form.over(&mut config.data);
                    let mut opened = Self::own(&config, &path, known)?;
                    if known.is_none() {
                        spec.name.clone_into(&mut opened.description.name);
                        spec.title.clone_into(&mut opened.description.title);
                    }
                    opened
                }
                Content::Corpus(set) => {
                    let path = corpus::prepare(spec, set, options, report)?;
                    let called = [spec.name, spec.title];
                    Self::text(config, &path, called, known, options)?
                }
            },
        };
        opened.overfit = config.overfit_batches;
        Ok(opened)
    }

    /// Examples that lie undivided in a file or folder.
    fn own(
        config: &RunConfig,
        path: &Path,
        known: Option<&Description>,
    ) -> Result<Self, DataError> {
        let how = Divide {
            settings: &config.data,
            centred: config.centred,
            validation: (!config.whole).then_some(config.validation),
            seed: config.seed,
        };
        let data = own::open(path, how, known)?;
        Ok(Self {
            description: data.description.clone(),
            train: data.indices.clone(),
            seed: config.seed,
            overfit: None,
            from: From::Own(Box::new(data)),
        })
    }

    /// A text in a file or folder.
    fn text(
        config: &RunConfig,
        path: &Path,
        called: [&str; 2],
        known: Option<&Description>,
        options: &FetchOptions,
    ) -> Result<Self, DataError> {
        let how = text::Read {
            called,
            settings: &config.data,
            validation: (!config.whole).then_some(config.validation),
            seed: config.seed,
            cache_root: options.cache_root.as_deref(),
        };
        let text = how.open(path, known)?;
        Ok(Self {
            description: text.description.clone(),
            train: (0..text.train.len() as u32).collect(),
            seed: config.seed,
            overfit: None,
            from: From::Text(Box::new(text)),
        })
    }

    /// Says what looks like a mistake in data of one's own.
    fn tell_notes(&self, path: &Path, report: &dyn Fn(FetchEvent)) {
        let From::Own(data) = &self.from else { return };
        for note in &data.notes {
            report(FetchEvent::Suspicious {
                path: path.to_owned(),
                note: note.clone(),
            });
        }
    }

    /// Images of the catalog, whose files are not needed yet.
    fn images(
        config: &RunConfig,
        spec: &'static DatasetSpec,
        set: &ImageSet,
    ) -> Result<Self, DataError> {
        let validation = (!config.whole).then_some(config.validation);
        let examples = set.train.examples;
        let held_out = validation.map_or(Ok(0), |v| v.of(examples))?;
        let (train, validation) = sampler::split(examples, held_out, config.seed);
        let description = spec.description(config.centred);
        Ok(Self {
            description: description.ok_or(DataError::NotDivided { dataset: spec.name })?,
            train,
            seed: config.seed,
            overfit: None,
            from: From::Catalog {
                spec,
                centred: config.centred,
                validation,
            },
        })
    }

    /// Examples that are trained on.
    pub fn train_len(&self) -> usize {
        self.train.len()
    }

    /// What was found to be learned in a file of one's own, where nobody has said it.
    pub fn label(&self) -> Option<&str> {
        match &self.from {
            From::Catalog { .. } | From::Text(_) => None,
            From::Own(data) => data.label.as_deref(),
        }
    }

    /// The order of the examples that are trained on.
    ///
    /// # Errors
    /// When they fill no batch.
    pub fn sampler(&self, batch: usize) -> Result<Sampler, DataError> {
        fills_a_batch(self.train.len(), batch)?;
        let most = self.overfit.map_or(usize::MAX, |n| n.saturating_mul(batch));
        let trained = &self.train[..most.min(self.train.len())];
        Ok(Sampler::new(trained.to_vec(), batch, self.seed))
    }

    /// The examples, for batches of so many; those of the catalog are fetched.
    ///
    /// # Errors
    /// When no source has them, or they are not what the catalog says.
    pub fn load(
        self,
        batch: usize,
        options: &FetchOptions,
        report: &dyn Fn(FetchEvent),
    ) -> Result<Loaded, DataError> {
        let overfit = match self.overfit {
            Some(_) => Some(self.sampler(batch)?.into_examples()),
            None => None,
        };
        let mut loaded = self.load_whole(options, report)?;
        if let Some(indices) = overfit {
            let all = Examples {
                data: loaded.train.clone(),
                indices,
            };
            (loaded.validation, loaded.test) = (Some(all.clone()), Some(all));
        }
        Ok(loaded)
    }

    fn load_whole(
        self,
        options: &FetchOptions,
        report: &dyn Fn(FetchEvent),
    ) -> Result<Loaded, DataError> {
        let (spec, centred, validation) = match self.from {
            From::Own(data) => {
                let examples = |(data, indices)| Examples { data, indices };
                return Ok(Loaded {
                    train: Arc::new(data.train),
                    validation: data.validation.map(examples),
                    test: data.test.map(examples),
                });
            }
            From::Text(text) => {
                let validation = text.validation.map(|v| Examples::all(Arc::new(v)));
                return Ok(Loaded {
                    train: Arc::new(text.train),
                    validation,
                    test: None,
                });
            }
            From::Catalog {
                spec,
                centred,
                validation,
            } => (spec, centred, validation),
        };
        let found = load(spec, options, report)?;
        let [train, test] = [found.train, found.test].map(|images| {
            let seen = if centred {
                images
            } else {
                images.not_centred()
            };
            Arc::new(seen) as Arc<dyn Dataset>
        });
        Ok(Loaded {
            validation: (!validation.is_empty()).then(|| Examples {
                data: train.clone(),
                indices: validation,
            }),
            test: Some(Examples::all(test)),
            train,
        })
    }
}
