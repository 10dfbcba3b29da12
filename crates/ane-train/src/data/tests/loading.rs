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
        "`a-labels-idx1` has label 2 in example 2: expected less than 2"
    );
}

/// A data set of records with two images of 3 × 1 × 2 in its first file, one in its second, and one to test with.
fn records(contents: &[&[u8]; 3]) -> (DatasetSpec, tempfile::TempDir) {
    let names = ["batch_1.bin", "batch_2.bin", "test.bin"];
    let directory = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    for (name, content) in names.into_iter().zip(contents) {
        std::fs::write(directory.path().join(name), content).unwrap();
        let fingerprint = Fingerprint::of(content);
        files.push(FileSpec { name, fingerprint });
    }
    let test = files.split_off(2);
    let mut spec = spec(&[NPM]);
    let Content::Images(set) = &mut spec.content else {
        unreachable!("it is one of images")
    };
    set.example_shape = [3, 1, 2];
    set.train = SplitSpec {
        examples: 3,
        files: Files::Records(files.leak()),
    };
    set.test = SplitSpec {
        examples: 1,
        files: Files::Records(test.leak()),
    };
    (spec, directory)
}

fn load_records(contents: &[&[u8]; 3]) -> Result<Datasets, DataError> {
    let (spec, directory) = records(contents);
    let options = FetchOptions {
        data_dir: Some(directory.path().to_owned()),
        ..FetchOptions::default()
    };
    load(&spec, &options, &|_| {})
}

const FIRST: &[u8] = &[1, 1, 2, 3, 4, 5, 6, 0, 7, 8, 9, 10, 11, 12];
const SECOND: &[u8] = &[1, 21, 22, 23, 24, 25, 26];

#[test]
fn records_of_several_files_are_one_split() {
    let data = load_records(&[FIRST, SECOND, SECOND]).unwrap();
    assert_eq!(data.train.labels, [1, 0, 1]);
    assert_eq!(data.train.image(1), [7, 8, 9, 10, 11, 12]);
    assert_eq!(data.train.image(2), [21, 22, 23, 24, 25, 26]);
    assert_eq!(data.test.labels, [1]);
}

#[test]
fn records_of_another_size_or_number_are_refused() {
    let error = |contents: &[&[u8]; 3]| load_records(contents).unwrap_err().to_string();
    assert_eq!(
        error(&[FIRST, &SECOND[1..], SECOND]),
        "`batch_2.bin` has 6 bytes: expected a multiple of 7, a label and 3 × 1 × 2 pixels each"
    );
    assert_eq!(
        error(&[FIRST, FIRST, SECOND]),
        "the train files of `tiny` hold 4 examples: expected 3"
    );
}
