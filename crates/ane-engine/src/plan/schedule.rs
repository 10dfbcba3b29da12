//! Levels, and the memory of what they leave for each other.
//!
//! A unit's level is one more than the highest level it reads from, so units run as early as they can and the tasks of
//! a level keep all threads busy together. What only prepares an operand runs as late as it can instead, so that it
//! takes no memory before. A slot lives from the level that writes it to the last that reads it; slots whose lives do
//! not meet share memory.

use super::{
    Address, KeptPack, Level, Options, PlanData, Port, Region, Unit,
    addresses::{Life, place},
    build::Built,
    in_place,
};
use crate::arena::SharedBuffer;
use ane_ir::{Graph, Value};

/// Slots start on cache lines: 16 f32.
const LINE: usize = 16;

pub(super) fn schedule(graph: &Graph, built: Built, options: Options) -> PlanData {
    let Built {
        units,
        slots,
        constants,
        scratch,
    } = built;
    let level = levels(&units, slots.len());
    let mut addresses = vec![
        Address {
            region: Region::Arena,
            at: 0
        };
        slots.len()
    ];

    let mut end = 0;
    for (slot, elements) in &constants {
        addresses[*slot] = Address {
            region: Region::Constants,
            at: end,
        };
        end += elements.len().next_multiple_of(LINE);
    }
    let constant = SharedBuffer::new(end * 4);
    constant.write_f32(|all| {
        for (slot, elements) in &constants {
            let at = addresses[*slot].at;
            all[at..at + elements.len()].copy_from_slice(elements);
        }
    });

    let mut lives: Vec<Life> = slots
        .iter()
        .enumerate()
        .map(|(slot, &len)| Life {
            slot,
            len: len.next_multiple_of(LINE),
            first: usize::MAX,
            last: 0,
        })
        .collect();
    for (unit, &level) in units.iter().zip(&level) {
        for &s in unit.writes.iter().chain(&unit.reads) {
            lives[s].first = lives[s].first.min(level);
            lives[s].last = lives[s].last.max(level);
        }
    }
    lives.retain(|l| l.len > 0 && l.first <= l.last && addresses[l.slot].region == Region::Arena);
    let (placed, arena) = place(lives);
    for (slot, at) in placed {
        addresses[slot].at = at;
    }

    let kept = units.iter().enumerate().filter_map(|(unit, u)| {
        let mut end = 0;
        let mut slots_of = Vec::new();
        for &slot in &u.writes {
            slots_of.push((slot, end));
            end += slots[slot].next_multiple_of(LINE);
        }
        Some(KeptPack {
            unit,
            port: u.only_of_port?,
            slots: slots_of,
            elements: end,
        })
    });
    let port = |&v: &Value| Port {
        name: graph.port(v).to_owned(),
        ty: graph.ty(v).clone(),
    };
    PlanData {
        options,
        inputs: graph.inputs().iter().map(port).collect(),
        outputs: graph.outputs().iter().map(port).collect(),
        in_place: in_place::pairs(graph, &units, &level),
        kept: kept.collect(),
        levels: by_level(&units, &level),
        units,
        addresses,
        arena,
        scratch: scratch.next_multiple_of(LINE) + LINE,
        constants: constant,
    }
}

/// The level of every unit.
///
/// # Panics
/// When units depend on each other in a circle: grouping makes none.
fn levels(units: &[Unit], slots: usize) -> Vec<usize> {
    let mut writer: Vec<Option<usize>> = vec![None; slots];
    for (i, unit) in units.iter().enumerate() {
        for &s in &unit.writes {
            writer[s] = Some(i);
        }
    }
    let mut readers: Vec<Vec<usize>> = vec![Vec::new(); units.len()];
    let mut waits_for = vec![0; units.len()];
    for (i, unit) in units.iter().enumerate() {
        for w in unit.reads.iter().filter_map(|&s| writer[s]) {
            readers[w].push(i);
            waits_for[i] += 1;
        }
    }
    let mut ready: Vec<usize> = (0..units.len()).filter(|&u| waits_for[u] == 0).collect();
    let mut level = vec![0; units.len()];
    let mut settled = 0;
    while let Some(u) = ready.pop() {
        settled += 1;
        for &r in &readers[u] {
            level[r] = level[r].max(level[u] + 1);
            waits_for[r] -= 1;
            if waits_for[r] == 0 {
                ready.push(r);
            }
        }
    }
    assert_eq!(
        settled,
        units.len(),
        "units depend on each other in a circle"
    );
    for (i, unit) in units.iter().enumerate() {
        if unit.late {
            let first_use = readers[i].iter().map(|&r| level[r]).min();
            level[i] = first_use.map_or(level[i], |l| l - 1);
        }
    }
    level
}

/// Units by level. Large ones come first: what is left at the end of a level is then small.
fn by_level(units: &[Unit], level: &[usize]) -> Vec<Level> {
    let mut levels = vec![Level::default(); level.iter().max().map_or(0, |l| l + 1)];
    for (i, &l) in level.iter().enumerate() {
        levels[l].units.push(i);
    }
    for l in &mut levels {
        l.units.sort_by_key(|&u| std::cmp::Reverse(units[u].tasks));
        let mut end = 0;
        for &u in &l.units {
            end += units[u].tasks;
            l.ends.push(end);
        }
    }
    levels
}
