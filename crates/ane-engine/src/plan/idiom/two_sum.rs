//! The error of a sum, which arithmetic on pairs of fp16 values computes at every addition.

use crate::plan::{
    chain::{Instr, Src, is_dead},
    function::{Ew, Round},
};

/// Replaces it everywhere.
pub(super) fn replace(instrs: &mut Vec<Instr>) {
    let mut i = 0;
    while i < instrs.len() {
        if let Some(sum_error) = sum_error(&instrs[i..]) {
            instrs.splice(i..i + 5, [sum_error]);
        }
        i += 1;
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
