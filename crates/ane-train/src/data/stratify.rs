//! Examples that are held out of others, with the share of every class that it has among all.

use super::sampler::shuffle;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Stream of the generator that chooses test examples.
pub(super) const TEST: u64 = (1 << 32) + 1;
/// Stream of the generator that chooses validation examples.
pub(super) const VALIDATION: u64 = (1 << 32) + 2;

/// Those of `examples` that stay and the `count` that are held out, each in order. Where the class of every example of the
/// data set is given, a class loses its share of them, rounded so that the shares add up (largest remainders).
pub(super) fn split(
    examples: Vec<u32>,
    count: usize,
    classes: Option<&[u32]>,
    seed: u64,
    stream: u64,
) -> (Vec<u32>, Vec<u32>) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    let mut groups: Vec<Vec<u32>> = Vec::new();
    match classes {
        None => groups.push(examples),
        Some(classes) => {
            for example in examples {
                let class = classes[example as usize] as usize;
                if groups.len() <= class {
                    groups.resize_with(class + 1, Vec::new);
                }
                groups[class].push(example);
            }
        }
    }
    let all: usize = groups.iter().map(Vec::len).sum();
    let count = count.min(all);
    let share = |group: &Vec<u32>| group.len() as u64 * count as u64;
    let whole = |group: &Vec<u32>| (share(group) / all.max(1) as u64) as usize;
    let mut quotas: Vec<usize> = groups.iter().map(whole).collect();
    let mut by_rest: Vec<usize> = (0..groups.len()).collect();
    by_rest.sort_by_key(|&g| std::cmp::Reverse(share(&groups[g]) % all.max(1) as u64));
    let missing = count - quotas.iter().sum::<usize>();
    for &g in by_rest.iter().take(missing) {
        quotas[g] += 1;
    }
    let (mut rest, mut held) = (Vec::with_capacity(all - count), Vec::with_capacity(count));
    for (mut group, quota) in groups.into_iter().zip(quotas) {
        shuffle(&mut group, &mut rng);
        held.extend_from_slice(&group[..quota]);
        rest.extend_from_slice(&group[quota..]);
    }
    rest.sort_unstable();
    held.sort_unstable();
    (rest, held)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_loses_its_share_and_nothing_is_lost_or_doubled() {
        let classes: Vec<u32> = (0..100)
            .map(|i| u32::from(i % 10 == 0) + 2 * u32::from(i == 99))
            .collect();
        let (rest, held) = split((0..100).collect(), 20, Some(&classes), 3, TEST);
        let mut all: Vec<u32> = rest.iter().chain(&held).copied().collect();
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
        let of = |class| {
            held.iter()
                .filter(|&&e| classes[e as usize] == class)
                .count()
        };
        assert_eq!((of(0), of(1), of(2)), (18, 2, 0));
        assert_ne!(
            held,
            split((0..100).collect(), 20, Some(&classes), 4, TEST).1
        );
        assert_ne!(
            held,
            split((0..100).collect(), 20, Some(&classes), 3, VALIDATION).1
        );
    }

    #[test]
    fn without_classes_so_many_are_held_out_of_those_that_there_are() {
        let (rest, held) = split(vec![5, 7, 9], 1, None, 0, TEST);
        assert_eq!((rest.len(), held.len()), (2, 1));
        assert_eq!(split(vec![5, 7], 9, None, 0, TEST), (vec![], vec![5, 7]));
    }
}
