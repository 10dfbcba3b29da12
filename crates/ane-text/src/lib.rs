//! Text as networks read it: tokenizers, corpora, and files of tokens.
//!
//! A [`Corpus`] is documents that are read piece by piece, a [`Tokenizer`] turns their text into ids below
//! [`Tokenizer::vocabulary`] and back, and a [`TokenFile`] holds the ids of many documents and is read by ranges.
//! [`Prepare`] makes a file of tokens to train on, and one to validate on, of a corpus.
//!
//! ```
//! use ane_text::{Corpus, Prepare, Split, TokenizerSpec};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! let corpus = Corpus::of_texts([("greeting".to_owned(), "hello\nworld\n".to_owned())])?;
//! let tokenizer = "char".parse::<TokenizerSpec>()?.tokenizer(&corpus)?;
//! assert_eq!(tokenizer.encode("hello")?, [3, 2, 4, 4, 5]);
//! assert_eq!(tokenizer.decode(&[7, 5, 6])?, "wor");
//!
//! let (train, validation) = (dir.path().join("train.tokens"), dir.path().join("validation.tokens"));
//! let prepared = Prepare {
//!     corpus: &corpus,
//!     tokenizer: &tokenizer,
//!     split: Split::Fraction(0.5),
//!     train: &train,
//!     validation: &validation,
//! }
//! .run(&mut |_| std::ops::ControlFlow::Continue(()))?;
//! let mut ids = [0; 3];
//! prepared.train.read(1, &mut ids)?;
//! assert_eq!(tokenizer.decode(&ids)?, "ell");
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

pub mod corpus;
mod error;
mod prepare;
mod token_file;
pub mod tokenizer;

pub use corpus::{Corpus, Document, Encoding};
pub use error::{ExpectedLength, SplitError, TextError, TokenFileError};
pub use prepare::{Prepare, Prepared, Progress, Split};
pub use token_file::{Element, TokenFile, TokenWriter};
pub use tokenizer::{Decoder, Tokenizer, record::TokenizerRecord, spec::TokenizerSpec};
