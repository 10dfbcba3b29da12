//! The order of a program's symbols.
//!
//! A request says which surface belongs to which symbol by the symbol's index. The real compiler's order is alphabetical
//! in most reports and something else in others, and nothing promises it. Here inputs are in byte order of their names,
//! outputs in reverse order of declaration: whoever binds by position, by declared order or by the alphabet is wrong for
//! some program, and whoever reads `modelAttributes` never is. Procedures follow each other in the order of the text.

use crate::geometry::Geometry;
use ane_engine::Port;
use ane_standin::Function;

/// What the framework appends to the names of outputs.
const OUTPUT_SUFFIX: &str = "@output";

/// A tensor that a request binds.
#[derive(Debug, Clone)]
pub(crate) struct Symbol {
    /// As `modelAttributes` spells it.
    pub(crate) name: String,
    /// The number that requests use, unique among the inputs, or the outputs, of the whole program.
    pub(crate) index: u64,
    /// Its place among the function's ports.
    pub(crate) port: usize,
    pub(crate) geometry: Geometry,
}

/// The symbols of one function, by index.
#[derive(Debug, Clone)]
pub(crate) struct Symbols {
    pub(crate) inputs: Vec<Symbol>,
    pub(crate) outputs: Vec<Symbol>,
}

impl Symbols {
    /// The symbols of every function.
    pub(crate) fn of(functions: &[Function]) -> Vec<Self> {
        let (mut inputs, mut outputs) = (0, 0);
        let of_one = |function: &Function| {
            let mut in_order: Vec<usize> = (0..function.inputs().len()).collect();
            in_order.sort_by_key(|&port| &function.inputs()[port].name);
            let reversed = (0..function.outputs().len()).rev();
            Self {
                inputs: number(function.inputs(), in_order, &mut inputs, ""),
                outputs: number(function.outputs(), reversed, &mut outputs, OUTPUT_SUFFIX),
            }
        };
        functions.iter().map(of_one).collect()
    }
}

fn number(
    ports: &[Port],
    order: impl IntoIterator<Item = usize>,
    next: &mut u64,
    suffix: &str,
) -> Vec<Symbol> {
    let symbol = |port: usize| {
        let index = *next;
        *next += 1;
        Symbol {
            name: format!("{}{suffix}", ports[port].name),
            index,
            port,
            geometry: Geometry::of(&ports[port].ty),
        }
    };
    order.into_iter().map(symbol).collect()
}
