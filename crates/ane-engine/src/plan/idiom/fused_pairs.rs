//! Pairs of functions fused into one pass, so that what lies between them stays in vector registers.

use crate::plan::{
    chain::{Instr, Reg, Src, is_dead},
    function::{Ew, Round},
    fused_pair::FusedPair,
};

/// How far apart the two instructions may stand.
const REACH: usize = 12;

/// Fuses what can be fused.
pub(super) fn replace(instrs: &mut Vec<Instr>) {
    // What a pair no longer writes may have kept another apart.
    let mut before = usize::MAX;
    while instrs.len() < before {
        before = instrs.len();
        let mut i = 0;
        while i < instrs.len() {
            match partner(instrs, i) {
                Some((at, fused)) => {
                    instrs[at] = fused;
                    instrs.remove(i);
                }
                None => i += 1,
            }
        }
    }
}

/// The only reader of instruction `i`, when both can run as one, and what they become.
fn partner(instrs: &[Instr], i: usize) -> Option<(usize, Instr)> {
    let (first, between, xs) = plain(&instrs[i])?;
    let ahead = instrs.iter().enumerate().skip(i + 1).take(REACH);
    for (at, instr) in ahead {
        if instr.reads(between) {
            let (second, to, ys) = plain(instr)?;
            let ys = &ys[..arity(second)?];
            let place = ys.iter().position(|&y| y == Src::Reg(between))?;
            let others: Vec<Src> = ys
                .iter()
                .enumerate()
                .filter(|&(k, _)| k != place)
                .map(|(_, &y)| y)
                .collect();
            if others.contains(&Src::Reg(between))
                || to != between && !is_dead(&instrs[at + 1..], between)
            {
                return None;
            }
            let other = |k: usize| others.get(k).copied().unwrap_or(xs[0]);
            return FusedPair::of(first, second, place).map(|pair| {
                let xs = [xs[0], xs[1], xs[2], other(0), other(1)];
                (at, Instr::Pair { pair, to, xs })
            });
        }
        // What the first reads must still be there where it moves to.
        let written = instr.writes();
        if written.is_some_and(|r| r == between || xs.contains(&Src::Reg(r))) {
            return None;
        }
    }
    None
}

/// Function, destination and operands of an instruction that rounds to fp16 if its function leaves the grid, and only
/// then.
fn plain(instr: &Instr) -> Option<(Ew, Reg, [Src; 3])> {
    let Instr::Compute { f, round, to, xs } = *instr else {
        return None;
    };
    (round == usual_rounding(f)).then_some((f, to, xs))
}

/// How a function of a pair rounds: to fp16 if it leaves the grid.
fn usual_rounding(f: Ew) -> Round {
    match f {
        Ew::Add | Ew::Sub | Ew::Mul | Ew::Div | Ew::Sqrt => Round::Fp16,
        _ => Round::Keep,
    }
}

/// Operands of a function that can be the second.
fn arity(f: Ew) -> Option<usize> {
    match f {
        Ew::Select => Some(3),
        Ew::Add | Ew::Sub | Ew::Mul | Ew::Div | Ew::Max | Ew::Less => Some(2),
        Ew::Abs | Ew::Relu | Ew::Sqrt => Some(1),
        _ => None,
    }
}
