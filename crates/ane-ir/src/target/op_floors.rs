//! Which op runs on which chip, from the table beside this file.

use super::{Chip, Route};
use std::{collections::HashMap, sync::OnceLock};

/// What is known about an op on a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpSupport {
    /// The engine runs it.
    Native,
    /// Reported to run by another route, or decomposed by the system.
    Indirect,
    /// The compiler refuses it.
    Refused,
    /// No source says anything.
    Unknown,
}

/// The table: op, one column per chip generation, one for the e5rt route.
const TABLE: &str = include_str!("op_floors.tsv");

/// The rows of the table by op.
fn rows() -> &'static HashMap<&'static str, Vec<&'static str>> {
    static ROWS: OnceLock<HashMap<&'static str, Vec<&'static str>>> = OnceLock::new();
    ROWS.get_or_init(|| {
        TABLE
            .lines()
            .filter(|l| !l.starts_with('#'))
            .map(|l| l.split('\t').collect::<Vec<_>>())
            .map(|row| (row[0], row))
            .collect()
    })
}

/// What is known about the op called `op` on `chip` through `route`.
///
/// The two sources behind the table contradict each other for `cast` and a few more: chips that run an op natively,
/// and an e5rt sweep on M5 that was refused. On e5rt the sweep decides, because a refusal costs a run and a detour
/// costs a node; the probe that settles it is compiling the op alone on the chip in question.
pub fn op_support(op: &str, chip: Chip, route: Route) -> OpSupport {
    let column = match chip {
        Chip::Software => return OpSupport::Native,
        Chip::H13 => 1,
        Chip::H14 => 2,
        Chip::H15 => 3,
        Chip::H16 | Chip::H17 => 4,
    };
    // `const` is data, not an op that runs; its column in the table speaks of runtime constants.
    if op == "const" {
        return OpSupport::Native;
    }
    let Some(row) = rows().get(op) else {
        return OpSupport::Unknown;
    };
    if route == Route::E5rt && row[5] == "refused" {
        return OpSupport::Refused;
    }
    match row[column] {
        "Y" => OpSupport::Native,
        "~" => OpSupport::Indirect,
        "N" => OpSupport::Refused,
        _ if route == Route::E5rt && row[5] != "-" => OpSupport::Native,
        _ => OpSupport::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Op;

    #[test]
    fn every_op_of_the_set_is_in_the_table() {
        for op in Op::NAMES {
            assert_ne!(
                op_support(op, Chip::H17, Route::Client),
                OpSupport::Unknown,
                "{op}"
            );
        }
    }

    #[test]
    fn rows_are_complete() {
        for line in TABLE.lines().filter(|l| !l.starts_with('#')) {
            assert_eq!(line.split('\t').count(), 6, "{line}");
        }
    }

    #[test]
    fn the_sweep_decides_on_e5rt() {
        assert_eq!(
            op_support("cast", Chip::H17, Route::E5rt),
            OpSupport::Refused
        );
        assert_eq!(
            op_support("cast", Chip::H17, Route::Client),
            OpSupport::Native
        );
        assert_eq!(
            op_support("matmul", Chip::H13, Route::E5rt),
            OpSupport::Native
        );
        assert_eq!(
            op_support("scatter", Chip::H16, Route::Client),
            OpSupport::Refused
        );
    }
}
