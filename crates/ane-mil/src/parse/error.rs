//! What can be wrong with a text, and where.

use crate::blob::BlobError;
use ane_ir::{TensorType, TypeError};
use std::fmt;

/// A place in the text, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// First byte.
    pub offset: usize,
    /// Number of bytes.
    pub len: usize,
}

impl Span {
    /// From the first byte of `self` to the last of `end`.
    pub(super) fn to(self, end: Self) -> Self {
        Self {
            offset: self.offset,
            len: (end.offset + end.len).saturating_sub(self.offset),
        }
    }
}

/// What is wrong; the text's fault in every case but the last, where text and weight file disagree.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseErrorKind {
    /// A character that no token starts with.
    #[error("unexpected character {found:?}")]
    UnexpectedCharacter {
        /// It.
        found: char,
    },
    /// A string without its second quote.
    #[error("string does not end on its line")]
    UnterminatedString,
    /// Another token than the grammar has here.
    #[error("expected {expected}, found {found}")]
    UnexpectedToken {
        /// What may stand here.
        expected: String,
        /// What does.
        found: String,
    },
    /// Something else where a bracket should close.
    #[error(
        "missing `{bracket}` for the bracket opened at line {opened_line}, column {opened_column}: found {found}"
    )]
    MissingBracket {
        /// The closing bracket.
        bracket: char,
        /// Line of the opening one, from 1.
        opened_line: usize,
        /// Column of the opening one, from 1.
        opened_column: usize,
        /// What stands in its place.
        found: String,
    },
    /// Brackets within brackets beyond all sense.
    #[error("more than {limit} brackets within each other")]
    TooDeep {
        /// The most that are read.
        limit: usize,
    },
    /// No such element type.
    #[error("unknown type `{name}`")]
    UnknownType {
        /// As spelled.
        name: String,
        /// The nearest type.
        suggestion: Option<String>,
    },
    /// MIL has it, this program does not.
    #[error("{what} is not supported")]
    Unsupported {
        /// What.
        what: String,
    },
    /// Dimensions that no tensor of ours has.
    #[error("{found} is no tensor type: {rule}")]
    BadShape {
        /// As spelled.
        found: String,
        /// What it breaks.
        rule: &'static str,
    },
    /// No such op.
    #[error("unknown op `{name}`")]
    UnknownOp {
        /// As spelled.
        name: String,
        /// The nearest op.
        suggestion: Option<String>,
    },
    /// Nothing is called so before this place.
    #[error("unknown value `{name}`")]
    UnknownValue {
        /// As spelled.
        name: String,
        /// The nearest name.
        suggestion: Option<String>,
    },
    /// A second thing of one name.
    #[error("`{name}` is defined twice, first in line {first_line}")]
    DuplicateName {
        /// The name.
        name: String,
        /// Where the first is, from 1.
        first_line: usize,
    },
    /// An argument given twice.
    #[error("`{op}` is given `{name}` twice")]
    DuplicateArgument {
        /// MIL name of the op.
        op: String,
        /// Name of the argument.
        name: String,
    },
    /// An argument that the op does not have.
    #[error("`{op}` has no operand or attribute `{name}`")]
    UnknownArgument {
        /// MIL name of the op.
        op: String,
        /// Name of the argument.
        name: String,
        /// The nearest argument.
        suggestion: Option<String>,
    },
    /// A tensor operand is not given.
    #[error("`{op}` needs operand `{name}`")]
    MissingOperand {
        /// MIL name of the op.
        op: String,
        /// Name of the operand.
        name: String,
    },
    /// An attribute without default is not given.
    #[error("`{op}` needs attribute `{name}`")]
    MissingAttribute {
        /// MIL name of the op.
        op: String,
        /// Name of the attribute.
        name: String,
    },
    /// An attribute of a kind or value that the op does not take.
    #[error("attribute `{name}` of `{op}` cannot be {found}")]
    WrongAttribute {
        /// MIL name of the op.
        op: String,
        /// Name of the attribute.
        name: String,
        /// What it is.
        found: String,
    },
    /// A value computed at run time where the program must be fixed.
    #[error("`{name}` is not a constant")]
    NotConstant {
        /// Name of the value.
        name: String,
    },
    /// The declared type is not the one the op yields.
    #[error("`{name}` is declared {declared}, but is {inferred}")]
    WrongType {
        /// Name of the value.
        name: String,
        /// By the text.
        declared: TensorType,
        /// By the op.
        inferred: TensorType,
    },
    /// Not as many results as the op has.
    #[error("`{op}` yields {expected} results, the text names {found}")]
    ResultCount {
        /// MIL name of the op.
        op: String,
        /// By the op.
        expected: usize,
        /// By the text.
        found: usize,
    },
    /// The operands do not fit the op.
    #[error(transparent)]
    Type(TypeError),
    /// A literal that is not of its type.
    #[error("expected {expected}, found {found}")]
    BadLiteral {
        /// What may stand here.
        expected: String,
        /// What does.
        found: String,
    },
    /// A list that does not have the shape of its type.
    #[error("{ty} needs {expected}, found {found}")]
    ElementCount {
        /// By the text.
        ty: TensorType,
        /// What it needs.
        expected: String,
        /// What is there.
        found: String,
    },
    /// An output that no op makes.
    #[error("output `{name}` is an input of the function")]
    OutputIsInput {
        /// Name of the port.
        name: String,
    },
    /// The weight file does not hold what the text says.
    #[error(transparent)]
    Blob(BlobError),
}

impl ParseErrorKind {
    /// What to do about it, where that is known.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::UnknownType { suggestion, .. }
            | Self::UnknownOp { suggestion, .. }
            | Self::UnknownValue { suggestion, .. }
            | Self::UnknownArgument { suggestion, .. } => {
                suggestion.as_ref().map(|s| format!("did you mean `{s}`?"))
            }
            Self::OutputIsInput { .. } => {
                Some("every output must be the result of an op".to_owned())
            }
            Self::Blob(BlobError::Sentinel { .. }) => Some(
                "`offset` is that of the record, 64 for the first one, not that of its data"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

/// What is wrong and where it is; made where the text is at hand only as an offset.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) kind: Box<ParseErrorKind>,
    pub(super) span: Span,
}

impl Fault {
    pub(super) fn new(kind: ParseErrorKind, span: Span) -> Self {
        Self {
            kind: Box::new(kind),
            span,
        }
    }
}

/// A text that is no program.
#[derive(Debug, Clone, PartialEq)]
pub struct ParseError {
    /// What is wrong.
    pub kind: Box<ParseErrorKind>,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The offending bytes of the text.
    pub span: Span,
    source_line: String,
    /// Characters of the span on its first line.
    marked: usize,
}

/// Longest part of a line that an excerpt shows, in characters: weights inline make lines of megabytes.
const EXCERPT: usize = 160;

impl ParseError {
    pub(super) fn new(text: &str, fault: Fault) -> Self {
        let (line, column) = position(text, fault.span.offset);
        let source_line = text.lines().nth(line - 1).unwrap_or_default().to_owned();
        let Span { offset, len } = fault.span;
        let spanned = text.get(offset..offset + len).unwrap_or_default();
        let marked = spanned.lines().next().map_or(0, |l| l.chars().count());
        Self {
            kind: fault.kind,
            line,
            column,
            span: fault.span,
            source_line,
            marked,
        }
    }

    /// What to do about it, where that is known.
    pub fn help(&self) -> Option<String> {
        self.kind.help()
    }

    /// The message with the offending line and a mark under the place, for terminals.
    pub fn excerpt(&self) -> String {
        let start = (self.column - 1).saturating_sub(EXCERPT / 2);
        let shown: String = self
            .source_line
            .chars()
            .skip(start)
            .take(EXCERPT)
            .map(|c| if c == '\t' { ' ' } else { c })
            .collect();
        let indent = self.column - 1 - start;
        let number = self.line.to_string();
        let gutter = " ".repeat(number.len());
        let left = shown.chars().count().saturating_sub(indent).max(1);
        let mark = " ".repeat(indent) + &"^".repeat(self.marked.clamp(1, left));
        let place = format!("line {}, column {}", self.line, self.column);
        let lines = [
            format!("error: {}", self.kind),
            format!("{gutter}--> {place}"),
            format!("{gutter} |"),
            format!("{number} | {shown}").trim_end().to_owned(),
            format!("{gutter} | {mark}"),
        ];
        let mut text = lines.join("\n");
        if let Some(help) = self.help() {
            text.push_str(&format!("\nhelp: {help}"));
        }
        text
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "line {}, column {}: {}",
            self.line, self.column, self.kind
        )
    }
}

impl std::error::Error for ParseError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &*self.kind {
            ParseErrorKind::Blob(e) => Some(e),
            ParseErrorKind::Type(e) => Some(e),
            _ => None,
        }
    }
}

/// Line and column, both from 1, of a byte of `text`.
pub(super) fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before
        .rsplit('\n')
        .next()
        .map_or(0, |last| last.chars().count())
        + 1;
    (line, column)
}
