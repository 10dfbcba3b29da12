//! Top-k accuracy: the share of examples whose class is among the k largest values.

use super::{Better, Metric, Seen, Tally, Wanted, argmax};
use crate::models::Task;

/// Share of examples whose class is among the five largest values, from 0 to 1. A value equal to that of the class
/// counts as larger where it stands before it.
#[derive(Debug, Clone, Copy)]
pub struct Top5;

const K: usize = 5;

impl Metric for Top5 {
    fn name(&self) -> &'static str {
        "top5"
    }

    fn better(&self) -> Better {
        Better::Larger
    }

    fn is_for(&self, task: Task) -> bool {
        task == Task::Classification
    }

    fn add(&self, seen: &Seen<'_>, tally: &mut Tally) {
        for (i, row) in seen.output.chunks_exact(seen.width).enumerate() {
            let class = match seen.target {
                Wanted::Classes(classes) => usize::try_from(classes[i]).ok(),
                Wanted::Rows(rows) => Some(argmax(&rows[i * seen.width..][..seen.width])),
                Wanted::Counted(_) => None,
            };
            let hit = class
                .and_then(|c| Some((c, *row.get(c)?)))
                .is_some_and(|(c, value)| {
                    let ahead = |&(j, &x): &(usize, &f32)| x > value || (x == value && j < c);
                    row.iter().enumerate().filter(ahead).count() < K && !value.is_nan()
                });
            tally.sum += f64::from(u8::from(hit));
            tally.count += 1.0;
        }
    }

    fn show(&self, value: f64) -> String {
        format!("{:.2} %", 100.0 * value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_class_is_sought_among_the_five_largest() {
        let output = [
            [6.0, 5.0, 4.0, 3.0, 2.0, 1.0],
            [6.0, 5.0, 4.0, 3.0, 2.0, 1.0],
            [1.0, 1.0, 1.0, 1.0, 1.0, 1.0],
            [f32::NAN, 5.0, 4.0, 3.0, 2.0, 1.0],
        ];
        let mut tally = Tally::default();
        let seen = Seen {
            output: output.as_flattened(),
            width: 6,
            target: Wanted::Classes(&[4, 5, 4, 0]),
        };
        Top5.add(&seen, &mut tally);
        assert_eq!((tally.sum, tally.count), (2.0, 4.0));
        assert_eq!(Top5.show(Top5.value(&tally)), "50.00 %");
    }
}
