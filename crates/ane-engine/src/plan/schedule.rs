//! Levels and addresses.
//!
//! A unit's level is one more than the highest level it reads from, so units run as early as they can and the tasks of
//! a level keep all threads busy together. A slot lives from the level that writes it to the last that reads it; slots
//! whose lives do not meet share memory.

use super::{Options, PlanData, Port, Slot, build::Built, in_place};
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
    let mut writers: Vec<Option<usize>> = vec![None; slots.len()];
    for (i, unit) in units.iter().enumerate() {
        for &s in &unit.writes {
            writers[s] = Some(i);
        }
    }
    let mut level = vec![None; units.len()];
    for i in 0..units.len() {
        assign(i, &units, &writers, &mut level);
    }
    let level: Vec<usize> = level.into_iter().map(|l| l.expect("assigned")).collect();
    let mut levels = vec![Vec::new(); level.iter().max().map_or(0, |l| l + 1)];
    for (i, &l) in level.iter().enumerate() {
        levels[l].push(i);
    }
    // Large units first: what is left at the end of a level is then small.
    for l in &mut levels {
        l.sort_by_key(|&u| std::cmp::Reverse(units[u].tasks));
    }
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
    for (i, unit) in units.iter().enumerate() {
        for &s in unit.writes.iter().chain(&unit.reads) {
            lives[s].first = lives[s].first.min(level[i]);
            lives[s].last = lives[s].last.max(level[i]);
        }
    }
    for (slot, _) in &constants {
        lives[*slot].first = 0;
        lives[*slot].last = usize::MAX;
    }
    let (offsets, arena) = addresses(lives);
    let port = |&v: &Value| Port {
        name: graph.port(v).to_owned(),
        ty: graph.ty(v).clone(),
    };
    PlanData {
        options,
        inputs: graph.inputs().iter().map(port).collect(),
        outputs: graph.outputs().iter().map(port).collect(),
        in_place: in_place::pairs(graph, &units, &level),
        units,
        levels,
        offsets,
        arena,
        scratch: scratch.next_multiple_of(LINE) + LINE,
        constants,
    }
}

fn assign(
    unit: usize,
    units: &[super::Unit],
    writers: &[Option<usize>],
    level: &mut [Option<usize>],
) {
    // An explicit stack: deep nets would overflow the thread's own.
    let mut open = vec![unit];
    while let Some(&u) = open.last() {
        assert!(
            open.len() <= units.len() * units.len() + 1,
            "units depend on each other in a circle"
        );
        if level[u].is_some() {
            open.pop();
            continue;
        }
        let before: Vec<usize> = units[u].reads.iter().filter_map(|&s| writers[s]).collect();
        let missing: Vec<usize> = before
            .iter()
            .copied()
            .filter(|&b| level[b].is_none())
            .collect();
        if missing.is_empty() {
            level[u] = Some(
                before
                    .iter()
                    .filter_map(|&b| level[b])
                    .map(|l| l + 1)
                    .max()
                    .unwrap_or(0),
            );
            open.pop();
        } else {
            open.extend(missing);
        }
    }
}

struct Life {
    slot: Slot,
    len: usize,
    first: usize,
    last: usize,
}

/// First fit, longest slots first.
fn addresses(mut lives: Vec<Life>) -> (Vec<usize>, usize) {
    let mut offsets = vec![0; lives.len()];
    lives.sort_by_key(|l| (std::cmp::Reverse(l.len), l.slot));
    let mut placed: Vec<(usize, usize, usize, usize)> = Vec::new();
    let mut end = 0;
    for life in lives {
        if life.first == usize::MAX {
            continue;
        }
        let mut rivals: Vec<(usize, usize)> = placed
            .iter()
            .filter(|p| p.2 <= life.last && life.first <= p.3)
            .map(|p| (p.0, p.1))
            .collect();
        rivals.sort_unstable();
        let mut at = 0;
        for (start, stop) in rivals {
            if at + life.len <= start {
                break;
            }
            at = at.max(stop);
        }
        offsets[life.slot] = at;
        placed.push((at, at + life.len, life.first, life.last));
        end = end.max(at + life.len);
    }
    (offsets, end)
}
