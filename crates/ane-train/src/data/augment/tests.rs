//! What becomes of images, and that it is a function of seed, example and epoch.

use super::*;
use crate::data::description::{Fit, Scaling};
use ane_ir::DType;

/// Images [2, 5, 7] whose pixels say where they are.
#[derive(Debug)]
struct Places;

const SHAPE: [usize; 3] = [2, 5, 7];

impl Dataset for Places {
    fn len(&self) -> usize {
        4
    }

    fn schema(&self) -> Vec<Field> {
        vec![Field::new(IMAGE, DType::Fp16, SHAPE)]
    }

    fn fill(&self, _: &[(u32, u64)], batch: &mut Batch) -> Result<(), FillError> {
        let present = batch.present();
        for row in batch.fp16(IMAGE, 70).chunks_exact_mut(70).take(present) {
            for (i, pixel) in row.iter_mut().enumerate() {
                *pixel = f16::from_f32(i as f32 + 1.0).to_bits();
            }
        }
        Ok(())
    }
}

fn images(augmentation: &str, seed: u64, examples: &[(u32, u64)]) -> Vec<Vec<f32>> {
    let input = Input::Image {
        shape: SHAPE,
        scaling: Scaling::uniform(0.5, 0.25),
        fit: Fit::Exact,
    };
    let augmentation = augmentation.parse().unwrap();
    let data = Augmented::new(Arc::new(Places), &augmentation, &input, seed).unwrap();
    let mut batch = Batch::new(examples.len() + 1, examples.len());
    data.fill(examples, &mut batch).unwrap();
    let rows = batch.fp16(IMAGE, 70).chunks_exact(70);
    let widened = |row: &[u16]| row.iter().map(|&b| f16::from_bits(b).to_f32()).collect();
    let mut rows: Vec<Vec<f32>> = rows.map(widened).collect();
    assert!(
        rows.pop().unwrap().iter().all(|&x| x == 0.0),
        "padding stays zero"
    );
    rows
}

#[test]
fn what_becomes_of_an_example_is_a_function_of_seed_example_and_epoch() {
    let all = "rotate=20,shift=2,flip,noise=0.1,cutout=3";
    let [first, second] = &images(all, 7, &[(0, 0), (1, 0)])[..] else {
        panic!("two examples")
    };
    assert_eq!(
        &images(all, 7, &[(1, 0), (0, 0)]),
        &[second.clone(), first.clone()]
    );
    assert_ne!(first, second);
    for other in [images(all, 8, &[(0, 0)]), images(all, 7, &[(0, 1)])] {
        assert_ne!(&other[0], first);
    }
}

#[test]
fn a_shift_moves_all_channels_alike_and_brings_in_black() {
    let mut seen = std::collections::HashSet::new();
    for epoch in 0..60 {
        let image = images("shift=1", 1, &[(2, epoch)]).remove(0);
        let found = (0..9).find(|at| {
            let (down, right) = (at / 3 - 1, at % 3 - 1);
            (0..70_i32).all(|i| {
                let (c, y, x) = (i / 35, i / 7 % 5 - down, i % 7 - right);
                let is_inside = (0..5).contains(&y) && (0..7).contains(&x);
                let wanted = if is_inside {
                    (c * 35 + y * 7 + x + 1) as f32
                } else {
                    -2.0
                };
                image[i as usize] == wanted
            })
        });
        seen.insert(found.expect("it is moved by a pixel at most"));
    }
    assert_eq!(seen.len(), 9);
}

#[test]
fn a_flip_mirrors_about_half_of_the_images() {
    let mut flipped = 0;
    for epoch in 0..100 {
        let image = images("flip", 1, &[(0, epoch)]).remove(0);
        let mirrored = |i: usize| (i / 7 * 7 + 6 - i % 7 + 1) as f32;
        let same = (0..70).all(|i| image[i] == (i + 1) as f32);
        let other = (0..70).all(|i| image[i] == mirrored(i));
        assert!(same != other);
        flipped += usize::from(other);
    }
    assert!((30..=70).contains(&flipped), "{flipped}");
}

#[test]
fn a_cutout_is_black_and_noise_has_its_deviation() {
    for epoch in 0..20 {
        let image = images("cutout=3", 1, &[(0, epoch)]).remove(0);
        let black = image.iter().filter(|&&x| x == -2.0).count();
        assert!((8..=18).contains(&black), "{black}");
    }
    let all: Vec<(u32, u64)> = (0..200).map(|epoch| (0, epoch)).collect();
    let noisy = images("noise=0.5", 1, &all);
    let off = noisy.iter().map(|image| f64::from(image[0]) - 1.0);
    let variance = off.map(|x| x * x).sum::<f64>() / 200.0;
    assert!((variance.sqrt() - 0.5).abs() < 0.08, "{variance}");
}

#[test]
fn a_crop_draws_a_part_at_the_size_of_the_whole() {
    let mut shares = Vec::new();
    for epoch in 0..40 {
        let image = images("crop=0.5", 1, &[(0, epoch)]).remove(0);
        // What is linear stays so, and rises by the share from pixel to pixel.
        let share = (image[6] - image[0]) / 6.0;
        assert!((0.49..=1.01).contains(&share), "{share}");
        for (i, &pixel) in image.iter().enumerate() {
            let (c, y, x) = (i / 35, i / 7 % 5, i % 7);
            let wanted = image[0] + (35 * c) as f32 + share * (7 * y + x) as f32;
            assert!((pixel - wanted).abs() < 0.1, "{pixel} {wanted}");
            assert!((0.9..=70.1).contains(&pixel), "{pixel}");
        }
        shares.push(share);
    }
    let least = shares.iter().copied().fold(f32::MAX, f32::min);
    let most = shares.iter().copied().fold(f32::MIN, f32::max);
    assert!(least < 0.6 && most > 0.9, "{least} {most}");
    let whole = images("crop=1", 1, &[(0, 0)]).remove(0);
    assert!((0..70).all(|i| whole[i] == (i + 1) as f32));
}

#[test]
fn a_turn_leaves_the_middle_where_it_is() {
    for epoch in 0..10 {
        let image = images("rotate=30", 1, &[(0, epoch)]).remove(0);
        assert!((image[2 * 7 + 3] - 18.0).abs() < 0.1);
        assert!(
            image
                .iter()
                .enumerate()
                .any(|(i, &x)| (x - (i + 1) as f32).abs() > 0.1)
        );
    }
}

#[test]
fn an_augmentation_is_written_as_it_is_read_and_what_is_wrong_is_said() {
    let all: Augmentation = "flip, shift=2".parse().unwrap();
    assert_eq!(all.to_string(), "shift=2,flip");
    assert_eq!(all.mixup(), None);
    let mixed: Augmentation = "mixup=0.2,flip".parse().unwrap();
    assert_eq!(mixed.to_string(), "flip,mixup=0.2");
    assert_eq!(mixed.mixup(), Some(0.2));
    assert_eq!(serde_json::to_string(&all).unwrap(), "\"shift=2,flip\"");
    for (text, part) in [
        (
            "zoom=2",
            "there are rotate=DEGREES, crop=SHARE, shift=PIXELS, flip",
        ),
        ("shift", "`shift` takes PIXELS above 0"),
        ("shift=-1", "above 0"),
        ("flip=2", "takes no number"),
        ("flip,flip", "twice"),
        ("mixup=5", "`mixup` takes ALPHA above 0 and up to 4"),
    ] {
        let error = text.parse::<Augmentation>().unwrap_err();
        assert!(error.contains(part), "{error}");
    }
}
