//! Where slots lie, so that those that live at the same time lie apart.
//!
//! The longest slots are placed one by one, each at the lowest address that is free for its whole life, which packs
//! them tightly and takes the square of their number. What is left is short, and gets memory behind them in the order
//! of time from a list of free blocks.

use super::Slot;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
};

/// Slots that are fitted one by one; a training step of a hundred layers has fewer.
const FITTED: usize = 1024;

/// When a slot holds something, in levels, both included.
#[derive(Debug, Clone, Copy)]
pub(super) struct Life {
    pub(super) slot: Slot,
    /// Elements, more than none.
    pub(super) len: usize,
    pub(super) first: usize,
    pub(super) last: usize,
}

/// Address of every life's slot, and where the last one ends.
pub(super) fn place(mut lives: Vec<Life>) -> (Vec<(Slot, usize)>, usize) {
    lives.sort_by_key(|l| (Reverse(l.len), l.slot));
    let rest = lives.split_off(lives.len().min(FITTED));
    let (mut placed, end) = fit(&lives);
    let (others, end) = take_turns(rest, end);
    placed.extend(others);
    (placed, end)
}

/// First fit.
fn fit(lives: &[Life]) -> (Vec<(Slot, usize)>, usize) {
    let mut placed: Vec<(Life, usize)> = Vec::with_capacity(lives.len());
    let mut end = 0;
    for &life in lives {
        let mut rivals: Vec<(usize, usize)> = placed
            .iter()
            .filter(|(p, _)| p.first <= life.last && life.first <= p.last)
            .map(|&(p, at)| (at, at + p.len))
            .collect();
        rivals.sort_unstable();
        let mut at = 0;
        for (start, stop) in rivals {
            if at + life.len <= start {
                break;
            }
            at = at.max(stop);
        }
        placed.push((life, at));
        end = end.max(at + life.len);
    }
    let addresses = placed.iter().map(|(life, at)| (life.slot, *at));
    (addresses.collect(), end)
}

/// Best fit among the blocks that are free when a slot's life begins, from `start` on.
fn take_turns(mut lives: Vec<Life>, start: usize) -> (Vec<(Slot, usize)>, usize) {
    lives.sort_by_key(|l| (l.first, Reverse(l.len), l.slot));
    let mut free = FreeBlocks::default();
    let mut taken: BinaryHeap<Reverse<(usize, usize, usize)>> = BinaryHeap::new();
    let mut placed = Vec::with_capacity(lives.len());
    let mut end = start;
    for life in lives {
        while let Some(&Reverse((last, at, len))) = taken.peek()
            && last < life.first
        {
            taken.pop();
            free.give(at, len);
        }
        let at = free.take(life.len).unwrap_or_else(|| {
            let at = free.take_end(end).unwrap_or(end);
            end = at + life.len;
            at
        });
        taken.push(Reverse((life.last, at, life.len)));
        placed.push((life.slot, at));
    }
    (placed, end)
}

/// Free blocks by address and by length; no two touch.
#[derive(Debug, Default)]
struct FreeBlocks {
    by_address: BTreeMap<usize, usize>,
    by_length: BTreeSet<(usize, usize)>,
}

impl FreeBlocks {
    fn add(&mut self, at: usize, len: usize) {
        self.by_address.insert(at, len);
        self.by_length.insert((len, at));
    }

    fn remove(&mut self, at: usize, len: usize) {
        self.by_address.remove(&at);
        self.by_length.remove(&(len, at));
    }

    /// Makes a block free, one with its neighbours.
    fn give(&mut self, mut at: usize, mut len: usize) {
        if let Some((&before, &length)) = self.by_address.range(..at).next_back()
            && before + length == at
        {
            self.remove(before, length);
            (at, len) = (before, len + length);
        }
        if let Some(&length) = self.by_address.get(&(at + len)) {
            self.remove(at + len, length);
            len += length;
        }
        self.add(at, len);
    }

    /// The start of the smallest block that has `len` elements, less those.
    fn take(&mut self, len: usize) -> Option<usize> {
        let &(length, at) = self.by_length.range((len, 0)..).next()?;
        self.remove(at, length);
        if length > len {
            self.add(at + len, length - len);
        }
        Some(at)
    }

    /// The start of the block that reaches up to `end`, which is taken whole.
    fn take_end(&mut self, end: usize) -> Option<usize> {
        let (&at, &length) = self.by_address.last_key_value()?;
        (at + length == end).then(|| {
            self.remove(at, length);
            at
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lives like those of a training step: most end soon, some only after the turning point.
    fn lives(count: usize) -> Vec<Life> {
        let mut state = 7_u64;
        let mut random = move |below: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) as usize % below
        };
        (0..count)
            .map(|slot| {
                let first = slot / 2;
                let last = match random(3) {
                    0 => (count - first).max(first),
                    _ => first + random(4),
                };
                Life {
                    slot,
                    len: 16 * (1 + random(40)),
                    first,
                    last,
                }
            })
            .collect()
    }

    #[test]
    fn slots_that_live_together_lie_apart() {
        for count in [1, 50, FITTED + 700] {
            let lives = lives(count);
            let (placed, end) = place(lives.clone());
            let mut at = vec![usize::MAX; count];
            for (slot, address) in placed {
                at[slot] = address;
            }
            for (i, a) in lives.iter().enumerate() {
                assert!(at[i] + a.len <= end);
                for b in &lives[..i] {
                    let together = a.first <= b.last && b.first <= a.last;
                    let apart =
                        at[a.slot] + a.len <= at[b.slot] || at[b.slot] + b.len <= at[a.slot];
                    assert!(!together || apart, "{a:?} {b:?}");
                }
            }
        }
    }

    #[test]
    fn memory_is_little_more_than_what_lives_at_once() {
        let lives = lives(3 * FITTED);
        let levels = 0..lives.len() * 2;
        let together = |level: &usize| -> usize {
            let alive = lives
                .iter()
                .filter(|l| l.first <= *level && *level <= l.last);
            alive.map(|l| l.len).sum()
        };
        let least = levels
            .step_by(16)
            .map(|level| together(&level))
            .max()
            .unwrap();
        let (_, end) = place(lives.clone());
        assert!(end <= least + least / 4, "{end} elements for {least}");
    }
}
