//! Instructions that run as one pass, so that what lies between them stays in vector registers.
//!
//! Nothing about the results changes: every function of a pass rounds as it would alone. A pass over a tile that only
//! adds is bound by its loads and stores, so two functions in one cost little more than one.
//!
//! To join two more functions: a line in `joins`. A function that is new there needs its expression in
//! `exec::elementwise`, its rounding in [`usual_rounding`] and `rounded` there, and as a second function its
//! [`arity`].

use super::chain::{Ew, Instr, Reg, Round, Src};
use ane_ir::DType;

/// Lists the joined functions: name = first, second at the operand of the second that the first's result is.
macro_rules! joins {
    ($then:ident) => {
        $then! {
            AbsLess = Abs, Less at 0;
            AbsMax = Abs, Max at 0;
            AddAdd = Add, Add at 0;
            AddAddRight = Add, Add at 1;
            AddDiv = Add, Div at 1;
            AddMul = Add, Mul at 0;
            AddRelu = Add, Relu at 0;
            AddSelect = Add, Select at 1;
            AddSqrt = Add, Sqrt at 0;
            AddSub = Add, Sub at 0;
            GreaterSelect = Greater, Select at 0;
            MaxDiv = Max, Div at 1;
            MaxMax = Max, Max at 0;
            MulAdd = Mul, Add at 0;
            MulAddRight = Mul, Add at 1;
            MulMul = Mul, Mul at 0;
            MulMulRight = Mul, Mul at 1;
            MulSelect = Mul, Select at 2;
            MulSub = Mul, Sub at 0;
            MulSubRight = Mul, Sub at 1;
            SelectAbs = Select, Abs at 0;
            SelectAdd = Select, Add at 1;
            SelectMul = Select, Mul at 0;
            SelectMulRight = Select, Mul at 1;
            SubMul = Sub, Mul at 0;
            SubSub = Sub, Sub at 0;
        }
    };
}
pub(crate) use joins;

macro_rules! define {
    ($($name:ident = $first:ident, $second:ident at $place:literal;)*) => {
        /// Two functions in one pass. Operands: those of the first, then the others of the second.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Join {
            $($name,)*
        }

        impl Join {
            fn of(first: Ew, second: Ew, place: usize) -> Option<Self> {
                match (first, second, place) {
                    $((Ew::$first, Ew::$second, $place) => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}
joins!(define);

/// How far apart joined instructions may stand.
const REACH: usize = 12;

/// Joins what can be joined.
pub(super) fn join(instrs: &mut Vec<Instr>) {
    let mut i = 0;
    while i < instrs.len() {
        if let Some(sum_error) = sum_error(&instrs[i..]) {
            instrs.splice(i..i + 5, [sum_error]);
        }
        i += 1;
    }
    let mut i = 0;
    while i < instrs.len() {
        if let Some(delivery) = delivery(&instrs[i..]) {
            instrs.splice(i..i + 3, [delivery]);
        }
        i += 1;
    }
    // What a pair no longer writes may have kept another apart.
    let mut before = usize::MAX;
    while instrs.len() < before {
        before = instrs.len();
        let mut i = 0;
        while i < instrs.len() {
            match partner(instrs, i) {
                Some((at, joined)) => {
                    instrs[at] = joined;
                    instrs.remove(i);
                }
                None => i += 1,
            }
        }
    }
}

/// The error of a sum as TwoSum computes it (Knuth, The Art of Computer Programming 2, §4.2.2), if the next five
/// instructions are its last.
fn sum_error(instrs: &[Instr]) -> Option<Instr> {
    let (window, after) = instrs.split_at_checked(5)?;
    let half = |i: usize, function: Ew| match window[i] {
        Instr::Compute {
            f,
            round: Round::Fp16,
            to,
            xs: [x, y, _],
        } if f == function => Some((to, x, y)),
        _ => None,
    };
    let (low_seen, sum, high) = half(0, Ew::Sub)?;
    let (high_seen, sum_again, low_seen_again) = half(1, Ew::Sub)?;
    let (high_error, high_again, high_seen_again) = half(2, Ew::Sub)?;
    let (low_error, low, low_seen_last) = half(3, Ew::Sub)?;
    let (to, high_error_again, low_error_again) = half(4, Ew::Add)?;
    let is_two_sum = sum == sum_again
        && high == high_again
        && Src::Reg(low_seen) == low_seen_again
        && Src::Reg(low_seen) == low_seen_last
        && Src::Reg(high_seen) == high_seen_again
        && Src::Reg(high_error) == high_error_again
        && Src::Reg(low_error) == low_error_again;
    // A register that is written anew within the window stands for another value from there on.
    let own = [low_seen, high_seen, high_error, low_error];
    let survives =
        |x: Src, from: usize, to: usize| !own[from..to].iter().any(|&r| Src::Reg(r) == x);
    let whole = survives(sum, 0, 1)
        && survives(high, 0, 2)
        && survives(low, 0, 3)
        && survives(Src::Reg(low_seen), 1, 3)
        && survives(Src::Reg(high_error), 3, 4);
    let unread = own.iter().all(|&r| r == to || is_dead(after, r));
    (is_two_sum && whole && unread).then_some(Instr::Compute {
        f: Ew::SumError,
        round: Round::Fp16,
        to,
        xs: [high, low, sum],
    })
}

/// What rounds, exports and folds, in place of the three instructions that do it.
fn delivery(instrs: &[Instr]) -> Option<Instr> {
    let (window, after) = instrs.split_at_checked(3)?;
    let [
        Instr::Compute {
            f,
            round: Round::Fp16,
            to,
            xs: [from, ..],
        },
        Instr::Export {
            from: exported,
            port,
            dtype: DType::Fp16,
        },
        Instr::LargestMagnitude {
            from: folded,
            partial,
        },
    ] = window
    else {
        return None;
    };
    let limit = match f {
        Ew::Copy => f32::INFINITY,
        Ew::Cliff(limit) => *limit,
        _ => return None,
    };
    let rounded = Src::Reg(*to);
    let whole = !matches!(from, Src::Uniform(_));
    (whole && *exported == rounded && *folded == rounded && is_dead(after, *to)).then_some(
        Instr::Deliver {
            from: *from,
            limit,
            port: *port,
            partial: *partial,
        },
    )
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
            return Join::of(first, second, place).map(|join| {
                let xs = [xs[0], xs[1], xs[2], other(0), other(1)];
                (at, Instr::Joined { join, to, xs })
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

/// How a joined function rounds: to fp16 if it leaves the grid.
fn usual_rounding(f: Ew) -> Round {
    match f {
        Ew::Add | Ew::Sub | Ew::Mul | Ew::Div | Ew::Sqrt => Round::Fp16,
        _ => Round::Keep,
    }
}

/// Operands of a function that joins as the second.
fn arity(f: Ew) -> Option<usize> {
    match f {
        Ew::Select => Some(3),
        Ew::Add | Ew::Sub | Ew::Mul | Ew::Div | Ew::Max | Ew::Less => Some(2),
        Ew::Abs | Ew::Relu | Ew::Sqrt => Some(1),
        _ => None,
    }
}

/// Whether nothing reads `reg` before it is written again.
fn is_dead(after: &[Instr], reg: Reg) -> bool {
    let next = after
        .iter()
        .find(|i| i.reads(reg) || i.writes() == Some(reg));
    next.is_none_or(|i| !i.reads(reg))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, Plan, plan::Work};
    use ane_ir::{Graph, Numerics, TensorType, Value};

    /// The instructions of a graph over three tensors `x` and a scalar that makes one chain.
    fn chain_of(build: impl FnOnce(&mut Graph, [Value; 3], Value) -> Value) -> Vec<Instr> {
        let mut g = Graph::new();
        let x = ["a", "b", "c"].map(|name| g.input(name, TensorType::fp16([64])).unwrap());
        let scalar = g.input("scalar", TensorType::fp16([1])).unwrap();
        let y = build(&mut g, x, scalar);
        g.output("y", y).unwrap();
        let plan = Plan::compile(&g, Options::new(Numerics::ieee())).unwrap();
        let [unit] = &plan.0.units[..] else {
            panic!("{} units", plan.0.units.len())
        };
        let Work::Chain { chain, .. } = &unit.work else {
            panic!("not a chain")
        };
        chain.instrs.clone()
    }

    fn passes(instrs: &[Instr]) -> Vec<&Instr> {
        let is_pass = |i: &&Instr| matches!(i, Instr::Compute { .. } | Instr::Joined { .. });
        instrs.iter().filter(is_pass).collect()
    }

    #[test]
    fn neighbours_run_as_one() {
        let instrs = chain_of(|g, [a, b, c], scalar| {
            let gap = g.sub(a, b).unwrap();
            let gain = g.mul(gap, scalar).unwrap();
            g.add(c, gain).unwrap()
        });
        let [
            Instr::Joined { join, xs, .. },
            Instr::Compute { f: Ew::Add, .. },
        ] = passes(&instrs)[..]
        else {
            panic!("{instrs:?}")
        };
        assert_eq!(*join, Join::SubMul);
        assert!(matches!(xs[3], Src::Uniform(0)), "{xs:?}");
    }

    #[test]
    fn what_others_read_too_is_kept() {
        let instrs = chain_of(|g, [a, b, _], scalar| {
            let product = g.mul(a, b).unwrap();
            let sum = g.add(product, scalar).unwrap();
            g.real_div(sum, product).unwrap()
        });
        let first = passes(&instrs)[0];
        assert!(
            matches!(first, Instr::Compute { f: Ew::Mul, .. }),
            "{instrs:?}"
        );
    }

    #[test]
    fn a_gradient_is_delivered_in_one_pass() {
        let mut g = Graph::new();
        let x = g.input("x", TensorType::fp16([8, 100])).unwrap();
        let y = g.input("y", TensorType::fp16([8, 70])).unwrap();
        let gradient = g.matmul(x, y, true, false).unwrap();
        let magnitude = g.abs(gradient).unwrap();
        let largest = g.reduce_max(magnitude, &[0, 1], true).unwrap();
        g.output("gradient", gradient).unwrap();
        g.output("largest", largest).unwrap();
        let plan = Plan::compile(&g, Options::new(Numerics::ieee())).unwrap();
        let chain_of_product = plan.0.units.iter().find_map(|unit| match &unit.work {
            Work::Matmul(work) => Some((&work.chain.instrs[..], work.crossed)),
            _ => None,
        });
        let Some((
            [
                Instr::Deliver {
                    from: Src::Head, ..
                },
            ],
            true,
        )) = chain_of_product
        else {
            panic!("{chain_of_product:?}")
        };
    }

    #[test]
    fn two_sum_is_one_sum_and_one_error() {
        let two_sum = |swapped: bool| {
            chain_of(move |g, [a, b, _], scalar| {
                let [a, b] = [a, b].map(|x| g.mul(x, scalar).unwrap());
                let sum = g.add(a, b).unwrap();
                let low_seen = g.sub(sum, a).unwrap();
                let high_seen = g.sub(sum, low_seen).unwrap();
                let high = if swapped { b } else { a };
                let high_error = g.sub(high, high_seen).unwrap();
                let low_error = g.sub(b, low_seen).unwrap();
                let error = g.add(high_error, low_error).unwrap();
                let large = g.scalar(DType::Fp16, 2048.0).unwrap();
                let scaled = g.real_div(error, large).unwrap();
                g.add(sum, scaled).unwrap()
            })
        };
        let errors = |instrs: &[Instr]| {
            let is_error = |i: &&Instr| {
                matches!(
                    i,
                    Instr::Compute {
                        f: Ew::SumError,
                        ..
                    }
                )
            };
            instrs.iter().filter(is_error).count()
        };
        assert_eq!(errors(&two_sum(false)), 1);
        // Operands in another order compute something else.
        assert_eq!(errors(&two_sum(true)), 0);
    }
}
