//! Apple's law, one file per constraint.
//!
//! A rule says what it forbids, what happens otherwise, for which targets, and who saw that. Sources contradict each
//! other; the file of the rule says so and names the probe that settles it. Numbers come from [`ane_ir::Target`].

use ane_ir::{Chip, Graph, Target, TensorType, Value};
use std::fmt;

mod axis_limits;
mod bare_movement;
mod blob_count;
mod dead_values;
mod io_dtypes;
mod names;
mod narrow_rows;
mod op_support;
mod rank;
mod required_parameters;
mod scaled_reduction;
mod surface_count;
mod wide_rows;

/// Every rule, alphabetical.
pub const RULES: &[Rule] = &[
    axis_limits::RULE,
    bare_movement::RULE,
    blob_count::RULE,
    dead_values::RULE,
    io_dtypes::RULE,
    names::RULE,
    narrow_rows::RULE,
    op_support::RULE,
    rank::RULE,
    required_parameters::RULE,
    scaled_reduction::RULE,
    surface_count::RULE,
    wide_rows::RULE,
];

/// Who saw a constraint at work. Nothing of it was measured by this project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evidence {
    /// Project and, where known, file.
    pub source: &'static str,
    /// Chips on which it was seen; empty when the source does not say.
    pub chips: &'static [Chip],
    /// Operating system, as far as the source says.
    pub os: &'static str,
    /// When, as far as the source says.
    pub date: &'static str,
    /// What to compile or run on a chip to settle it.
    pub probe: &'static str,
}

/// A constraint of Apple's compiler, driver or silicon.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Name of its file, which messages show.
    pub id: &'static str,
    /// In a few words.
    pub title: &'static str,
    /// What a graph must not have.
    pub forbids: &'static str,
    /// What happens to a graph that has it.
    pub otherwise: &'static str,
    /// What to do instead, and the pass that does it where there is one.
    pub fix: &'static str,
    /// Who saw it.
    pub evidence: &'static [Evidence],
    /// Whether it holds for a target.
    pub applies: fn(&Target) -> bool,
    /// Every place where a graph breaks it.
    pub check: fn(&Graph, &Target) -> Vec<Violation>,
}

/// One place where a graph breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// [`Rule::id`], or `verify` for a broken invariant of the IR.
    pub rule: &'static str,
    /// Name of the value, where one is to blame.
    pub value: Option<String>,
    /// Its type.
    pub ty: Option<TensorType>,
    /// What, where, expected and found.
    pub message: String,
    /// What to do instead.
    pub help: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}]\nhelp: {}", self.message, self.rule, self.help)
    }
}

impl Rule {
    /// A violation by `value`; the message reads on from its name and type, and ends with its place.
    fn by_value(&self, graph: &Graph, value: Value, what: &str) -> Violation {
        let name = name_of(graph, value);
        let place = graph.place_of(value).suffix();
        Violation {
            rule: self.id,
            message: format!("`{name}` ({}) {what}{place}", graph.ty(value)),
            value: Some(name),
            ty: Some(graph.ty(value).clone()),
            help: self.fix.to_owned(),
        }
    }

    /// A violation by the program as a whole.
    fn by_program(&self, message: String) -> Violation {
        Violation {
            rule: self.id,
            value: None,
            ty: None,
            message,
            help: self.fix.to_owned(),
        }
    }
}

/// The name of a value, or its number when it has none.
fn name_of(graph: &Graph, value: Value) -> String {
    graph
        .name(value)
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// Inputs and outputs.
fn ports(graph: &Graph) -> impl Iterator<Item = Value> + '_ {
    graph.inputs().iter().chain(graph.outputs()).copied()
}

#[cfg(test)]
mod tests;
