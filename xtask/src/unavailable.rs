//! What a task needs and this machine does not have.

use std::fmt;

/// The reason why a task cannot run here, although nothing is wrong with the tree.
///
/// A stage of `cargo xtask test` that ends with this error counts as skipped, unless it was asked for by name.
#[derive(Debug)]
pub(crate) struct Unavailable(pub(crate) String);

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unavailable {}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn is_told_from_other_errors_whatever_was_added_to_it() {
        let lack = anyhow::Error::from(Unavailable("no network".to_owned()));
        assert!(lack.context("while preparing").is::<Unavailable>());
        assert!(!anyhow!("no network").is::<Unavailable>());
    }
}
