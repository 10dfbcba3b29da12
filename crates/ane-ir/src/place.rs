//! Places: where in a model a node comes from.

use std::{fmt, sync::Arc};

/// Where a node comes from: the path of a layer, such as `encoder.layers.0.linear1`, and where known the line of the
/// program that wrote it. A node that differentiation made has the place of the node that it differentiates, marked.
///
/// Copies share the path. Displays as `encoder.layers.0.linear1 (train.py:41)`, of a gradient as `gradient of …`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Place {
    at: Option<Arc<At>>,
    gradient: bool,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct At {
    path: String,
    source: Option<String>,
}

impl Place {
    /// The place of a node about which nothing is known.
    pub const UNKNOWN: Self = Self {
        at: None,
        gradient: false,
    };

    /// The place with this path.
    pub fn new(path: impl Into<String>) -> Self {
        Self::of(path.into(), None)
    }

    fn of(path: String, source: Option<String>) -> Self {
        Self {
            at: (!path.is_empty() || source.is_some()).then(|| Arc::new(At { path, source })),
            gradient: false,
        }
    }

    /// The same path, written in this line of a program: `train.py:41`.
    #[must_use]
    pub fn with_source(&self, source: impl Into<String>) -> Self {
        Self {
            gradient: self.gradient,
            ..Self::of(self.path().to_owned(), Some(source.into()))
        }
    }

    /// The place `segment` within this one: `encoder.layers` and `0` make `encoder.layers.0`.
    #[must_use]
    pub fn child(&self, segment: &str) -> Self {
        self.join(&Self::new(segment))
    }

    /// `inner` inside of this place.
    #[must_use]
    pub fn join(&self, inner: &Self) -> Self {
        let path = match (self.path(), inner.path()) {
            ("", path) | (path, "") => path.to_owned(),
            (outer, inner) => format!("{outer}.{inner}"),
        };
        let source = inner.source().or(self.source()).map(str::to_owned);
        Self {
            gradient: self.gradient || inner.gradient,
            ..Self::of(path, source)
        }
    }

    /// The place of a node that differentiates one at this place.
    #[must_use]
    pub fn gradient(&self) -> Self {
        Self {
            at: self.at.clone(),
            gradient: true,
        }
    }

    /// The path; empty where none is known.
    pub fn path(&self) -> &str {
        self.at.as_ref().map_or("", |at| &at.path)
    }

    /// The line of a program.
    pub fn source(&self) -> Option<&str> {
        self.at.as_ref().and_then(|at| at.source.as_deref())
    }

    /// Whether differentiation made the node.
    pub fn is_gradient(&self) -> bool {
        self.gradient
    }

    /// Whether neither a path nor a line is known.
    pub fn is_unknown(&self) -> bool {
        self.at.is_none()
    }

    /// `, at encoder.layers.0` for the end of a message, and nothing where no place is known.
    pub fn suffix(&self) -> String {
        if self.is_unknown() {
            String::new()
        } else {
            format!(", at {self}")
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.gradient {
            f.write_str("gradient of ")?;
        }
        match (self.path(), self.source()) {
            ("", None) => f.write_str("an unknown place"),
            (path, None) => f.write_str(path),
            ("", Some(source)) => f.write_str(source),
            (path, Some(source)) => write!(f, "{path} ({source})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_read_as_paths_with_their_line() {
        let layer = Place::new("encoder").child("layers").child("0");
        assert_eq!(layer.to_string(), "encoder.layers.0");
        let written = layer.child("linear1").with_source("train.py:41");
        assert_eq!(
            written.to_string(),
            "encoder.layers.0.linear1 (train.py:41)"
        );
        assert_eq!(
            written.gradient().to_string(),
            "gradient of encoder.layers.0.linear1 (train.py:41)"
        );
        assert_eq!(Place::new("").with_source("a.py:1").to_string(), "a.py:1");
    }

    #[test]
    fn an_unknown_place_adds_nothing_to_a_message() {
        assert_eq!(Place::UNKNOWN.suffix(), "");
        assert_eq!(Place::UNKNOWN.gradient().suffix(), "");
        assert_eq!(Place::UNKNOWN.child("a").suffix(), ", at a");
    }

    #[test]
    fn what_is_inlined_is_inside_of_where_it_goes() {
        let inner = Place::new("linear").with_source("net.py:7").gradient();
        let outer = Place::new("blocks.3").with_source("main.py:2");
        assert_eq!(
            outer.join(&inner).to_string(),
            "gradient of blocks.3.linear (net.py:7)"
        );
        assert_eq!(outer.join(&Place::UNKNOWN), outer);
    }
}
