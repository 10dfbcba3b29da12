//! Text to train language models with: a file or folder of one's own, or one of the catalog, as windows over its tokens.

use super::{
    Batch, DataError, Dataset, Field, FillError, Holdout, LABEL, SplitError, cache,
    description::{Description, Input, Target},
    own::DataSettings,
};
use crate::models::decoder::TOKENS;
use ane_ir::DType;
use ane_text::{Corpus, Encoding, Prepare, Split, TextError, TokenFile, Tokenizer, TokenizerSpec};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};
use std::{
    fs, io,
    ops::ControlFlow,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

/// Names of files that are read as text.
const EXTENSIONS: [&str; 3] = ["txt", "md", "text"];
/// Tokens of an example, unless somebody says.
pub const CONTEXT: usize = 64;
/// Most tokens of an example.
pub const LONGEST_CONTEXT: usize = 65_536;
/// What keeps the places of windows apart from the other draws of a seed.
const OWN: u64 = 0x7E47;

/// Whether a path is read as text: a file of such a name, or a folder in which every file that is not hidden has one.
pub fn is_text(path: &Path) -> bool {
    let is_named = |path: &Path| {
        let extension = path.extension().and_then(|e| e.to_str());
        extension.is_some_and(|e| EXTENSIONS.contains(&e.to_ascii_lowercase().as_str()))
    };
    if !path.is_dir() {
        return is_named(path);
    }
    let Ok(entries) = fs::read_dir(path) else {
        return false;
    };
    let mut files = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path.file_name().and_then(|n| n.to_str());
            path.is_file() && !name.is_some_and(|n| n.starts_with('.'))
        })
        .peekable();
    files.peek().is_some() && files.all(|path| is_named(&path))
}

/// A text, divided and as tokens.
#[derive(Debug)]
pub struct Text {
    /// What its examples are.
    pub description: Description,
    /// Those that are trained on.
    pub train: Windows,
    /// Those that choose the best state.
    pub validation: Option<Windows>,
}

/// How a text is read.
#[derive(Debug, Clone, Copy)]
pub struct Read<'a> {
    /// Name of the data set, and what it is called in sentences.
    pub called: [&'a str; 2],
    /// Tokenizer and length of an example.
    pub settings: &'a DataSettings,
    /// The part that chooses the best state.
    pub validation: Option<Holdout>,
    /// Seed of the places of windows.
    pub seed: u64,
    /// Root of the cache, where tokens are kept.
    pub cache_root: Option<&'a Path>,
}

impl Read<'_> {
    /// The text at a path; of a run that goes on it is `known` what its examples are.
    ///
    /// # Errors
    /// When it is no text, its tokenizer cannot be had or lacks an id for it, or there are too few tokens.
    pub fn open(self, path: &Path, known: Option<&Description>) -> Result<Text, DataError> {
        let corpus = Corpus::open(path, Encoding::Utf8)?;
        let (tokenizer, context) = match known.map(|d| &d.input) {
            Some(Input::Tokens { context, tokenizer }) => (tokenizer.tokenizer()?, *context),
            _ => {
                let spec = self.settings.tokenizer.as_deref().unwrap_or("char");
                let tokenizer = spec.parse::<TokenizerSpec>()?.tokenizer(&corpus)?;
                (tokenizer, self.settings.context.unwrap_or(CONTEXT))
            }
        };
        let split = self.split(&corpus)?;
        let folder = self.folder(path, &corpus, &tokenizer)?;
        let [train, validation] = ["train", "validation"].map(|name| {
            let wanted = split != Split::None || name == "train";
            (folder.join(format!("{name}.tokens")), wanted)
        });
        let open = |(path, wanted): &(PathBuf, bool)| match wanted {
            true => TokenFile::open(path, Some(&tokenizer)).map(Some),
            false => Ok(None),
        };
        let (trained, validated) = match (open(&train), open(&validation)) {
            (Ok(Some(train)), Ok(validation)) => (train, validation),
            // Not there yet, or damaged.
            _ => {
                fs::create_dir_all(&folder).map_err(|source| DataError::NotKept {
                    path: folder.clone(),
                    source,
                })?;
                let made = Prepare {
                    corpus: &corpus,
                    tokenizer: &tokenizer,
                    split,
                    train: &train.0,
                    validation: &validation.0,
                }
                .run(&mut |_| ControlFlow::Continue(()))?;
                (made.train, made.validation)
            }
        };
        let description = Description {
            name: self.called[0].to_owned(),
            title: self.called[1].to_owned(),
            input: Input::Tokens {
                context,
                tokenizer: tokenizer.record(),
            },
            target: Target::Tokens {
                count: tokenizer.vocabulary(),
            },
            fingerprint: Some(trained.sha256()),
        };
        Ok(Text {
            description,
            train: Windows::shifted(trained, context, self.seed)?,
            validation: validated
                .map(|file| Windows::in_order(file, context))
                .transpose()?,
        })
    }

    /// All of the text at a path in order, to judge a run by of which it is `known` what its examples are.
    ///
    /// # Errors
    /// As [`Read::open`].
    pub fn whole(self, path: &Path, known: &Description) -> Result<Windows, DataError> {
        let whole = Self {
            validation: None,
            ..self
        };
        let Text { train, .. } = whole.open(path, Some(known))?;
        Ok(Windows::in_order(train.file, train.context)?)
    }

    fn split(&self, corpus: &Corpus) -> Result<Split, DataError> {
        Ok(match self.validation {
            None => Split::None,
            Some(Holdout::Share(share)) => Split::Fraction(share),
            Some(asked @ Holdout::Count(held_out)) => {
                let documents = corpus.documents();
                let examples = documents.len();
                if !(1..examples).contains(&held_out) {
                    return Err(SplitError::Holdout {
                        asked,
                        examples,
                        held_out,
                    }
                    .into());
                }
                let last = documents[examples - held_out..].iter();
                Split::Documents(last.map(|d| d.name().to_owned()).collect())
            }
        })
    }

    /// Where the tokens of a text are kept. It is another one for every state of the files, so tokens are never older.
    fn folder(
        &self,
        path: &Path,
        corpus: &Corpus,
        tokenizer: &Tokenizer,
    ) -> Result<PathBuf, DataError> {
        let root = match self.cache_root {
            Some(root) => root.to_owned(),
            None => cache::default_root()?,
        };
        let whole = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let mut state = Sha256::new();
        let mut add = |part: String| {
            state.update((part.len() as u64).to_le_bytes());
            state.update(part);
        };
        add(whole.display().to_string());
        for document in corpus.documents() {
            let file = match path.is_dir() {
                true => path.join(document.name()),
                false => path.to_owned(),
            };
            let time = fs::metadata(file).and_then(|m| m.modified()).ok();
            let time = time.and_then(|t| t.duration_since(UNIX_EPOCH).ok());
            let nanoseconds = time.map_or(0, |t| t.as_nanos());
            add(format!(
                "{} {} {nanoseconds}",
                document.name(),
                document.bytes()
            ));
        }
        add(tokenizer.fingerprint().to_owned());
        add(format!(
            "{:?} {}",
            self.validation,
            env!("CARGO_PKG_VERSION")
        ));
        let digest = state.finalize();
        let name: String = digest.iter().take(16).map(|b| format!("{b:02x}")).collect();
        Ok(root.join("tokens").join(name))
    }
}

/// Examples of a text: windows of its tokens, each with the tokens that follow.
///
/// Window i of an epoch begins at token i · context + shift; the shift is drawn anew for every epoch from 0 to context − 1, so
/// that a model sees a token at every position. Without shifts windows lie in order, for evaluation.
#[derive(Debug)]
pub struct Windows {
    file: TokenFile,
    context: usize,
    count: usize,
    seed: Option<u64>,
}

impl Windows {
    /// With shifts of this seed.
    ///
    /// # Errors
    /// When the text has fewer than two contexts of tokens.
    pub fn shifted(file: TokenFile, context: usize, seed: u64) -> Result<Self, SplitError> {
        Self::new(file, context, Some(seed))
    }

    /// In order, from the first token on.
    ///
    /// # Errors
    /// When the text has no more tokens than a context.
    pub fn in_order(file: TokenFile, context: usize) -> Result<Self, SplitError> {
        Self::new(file, context, None)
    }

    fn new(file: TokenFile, context: usize, seed: Option<u64>) -> Result<Self, SplitError> {
        // The last shift, and the token that is predicted last.
        let beyond = seed.map_or(1, |_| context);
        let tokens = usize::try_from(file.tokens()).unwrap_or(usize::MAX);
        let count = tokens.saturating_sub(beyond) / context.max(1);
        if count == 0 || u32::try_from(count).is_err() {
            return Err(SplitError::Tokens { tokens, context });
        }
        Ok(Self {
            file,
            context,
            count,
            seed,
        })
    }

    /// The first token of an example.
    pub fn start(&self, (example, epoch): (u32, u64)) -> u64 {
        let context = self.context as u64;
        let shift = self.seed.map_or(0, |seed| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed ^ OWN);
            rng.set_stream(epoch);
            (u64::from(rng.next_u32()) * context) >> 32
        });
        u64::from(example) * context + shift
    }
}

impl Dataset for Windows {
    fn len(&self) -> usize {
        self.count
    }

    fn schema(&self) -> Vec<Field> {
        [TOKENS, LABEL]
            .map(|name| Field::new(name, DType::Int32, [self.context]))
            .into()
    }

    fn fill(&self, examples: &[(u32, u64)], batch: &mut Batch) -> Result<(), FillError> {
        let mut window = vec![0; self.context + 1];
        for (row, &example) in examples.iter().enumerate() {
            let read = self.file.read(self.start(example), &mut window);
            read.map_err(|e: TextError| FillError {
                example: example.0,
                path: self.file.path().to_owned(),
                source: io::Error::other(e),
            })?;
            let at = row * self.context..(row + 1) * self.context;
            for (name, from) in [(TOKENS, &window[..self.context]), (LABEL, &window[1..])] {
                let rows = &mut batch.int32(name, self.context)[at.clone()];
                for (to, &id) in rows.iter_mut().zip(from) {
                    // A file of tokens holds no id beyond its vocabulary, and a vocabulary is far below 2³¹.
                    *to = i32::try_from(id).unwrap_or(i32::MAX);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Values;

    fn file(dir: &Path, tokens: u32) -> TokenFile {
        let tokenizer = Tokenizer::byte();
        let mut writer = ane_text::TokenWriter::create(&dir.join("x.tokens"), &tokenizer).unwrap();
        writer.begin_document();
        let ids: Vec<u32> = (0..tokens).map(|i| i % 251).collect();
        writer.push(&ids).unwrap();
        writer.finish().unwrap()
    }

    fn read(windows: &Windows, example: (u32, u64)) -> (Vec<i32>, Vec<i32>) {
        let mut batch = Batch::new(2, 1);
        windows.fill(&[example], &mut batch).unwrap();
        let of = |name: &str| match batch.get(name) {
            Some(Values::Int32(x)) => x[..windows.context].to_vec(),
            other => panic!("{other:?}"),
        };
        (of(TOKENS), of(LABEL))
    }

    #[test]
    fn windows_hold_tokens_and_those_that_follow_and_begin_elsewhere_in_every_epoch() {
        let dir = tempfile::tempdir().unwrap();
        let in_order = Windows::in_order(file(dir.path(), 100), 8).unwrap();
        // 99 tokens have one that follows.
        assert_eq!(in_order.len(), 12);
        let (tokens, targets) = read(&in_order, (11, 5));
        assert_eq!(tokens, (88..96).collect::<Vec<_>>());
        assert_eq!(targets, (89..97).collect::<Vec<_>>());
        let shifted = Windows::shifted(file(dir.path(), 100), 8, 3).unwrap();
        assert_eq!(shifted.len(), 11);
        let starts = |epoch| -> Vec<u64> { (0..11).map(|i| shifted.start((i, epoch))).collect() };
        let mut seen = std::collections::BTreeSet::new();
        for epoch in 0..60 {
            let of_epoch = starts(epoch);
            let shift = of_epoch[0];
            assert!(shift < 8 && of_epoch.iter().zip(0..).all(|(s, i)| *s == 8 * i + shift));
            // The last window with what follows it is still there.
            assert!(of_epoch[10] + 8 < 100);
            read(&shifted, (10, epoch));
            seen.insert(shift);
        }
        assert_eq!(seen.len(), 8, "{seen:?}");
        assert_eq!(starts(7), starts(7));
    }

    #[test]
    fn a_text_of_too_few_tokens_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let error = Windows::shifted(file(dir.path(), 15), 8, 0).unwrap_err();
        assert_eq!(
            error.to_string(),
            "15 tokens make no example of 8 and what follows them"
        );
        assert_eq!(
            Windows::shifted(file(dir.path(), 16), 8, 0).unwrap().len(),
            1
        );
        assert_eq!(Windows::in_order(file(dir.path(), 9), 8).unwrap().len(), 1);
    }

    #[test]
    fn what_is_a_text_is_told_by_names() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path();
        assert!(is_text(Path::new("a.TXT")) && !is_text(Path::new("a.csv")));
        assert!(!is_text(path), "an empty folder");
        fs::write(path.join("a.txt"), "a").unwrap();
        fs::write(path.join(".hidden"), "b").unwrap();
        assert!(is_text(path));
        fs::write(path.join("b.png"), "c").unwrap();
        assert!(!is_text(path));
    }
}
