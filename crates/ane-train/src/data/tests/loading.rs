//! From raw files to examples and labels.

use super::machine::*;
use crate::data::*;

#[test]
fn loading_gives_examples_and_labels() {
    let machine = Machine::new();
    machine.install_npm(&contents());
    let data = load(&spec(&[NPM]), &machine.options(), &|_| {}).unwrap();
    assert_eq!((data.train.len(), data.test.len()), (2, 1));
    assert_eq!((data.train.classes, data.train.example_len), (2, 2));
    assert_eq!((data.train.mean, data.train.std), (0.5, 0.25));
    assert_eq!(data.train.image(1), [7, 8]);
    assert_eq!(data.train.labels, [1, 0]);
    assert_eq!(data.train.class_counts(), [1, 1]);
    assert_eq!(data.test.images, [128, 3]);
}

#[test]
fn loading_refuses_files_that_do_not_pair_up_or_have_another_shape() {
    let load_error = |change: &dyn Fn(&mut [Vec<u8>; 4])| {
        let machine = Machine::new();
        let mut contents = contents();
        change(&mut contents);
        machine.install_npm(&contents);
        let spec = spec_of(&[NPM], &contents);
        load(&spec, &machine.options(), &|_| {})
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        load_error(&|files| files[1] = [idx::labels_header(1), vec![1]].concat()),
        "`a-images-idx3` has 2 images but `a-labels-idx1` has 1 labels"
    );
    assert_eq!(
        load_error(&|files| files[2] = [idx::images_header(1, 2, 1), vec![1, 2]].concat()),
        "`b-images-idx3` holds [1, 2, 1] (examples, rows, columns): expected [1, 1, 2]"
    );
    assert_eq!(
        load_error(&|files| files[1][9] = 2),
        "`a-labels-idx1` has label 2 at index 1: expected less than 2"
    );
}
