//! Bundles come back as they went, and what is damaged is refused.

use super::*;
use crate::{
    checkpoint::{EpochSums, Record},
    data::Values,
    forensics::{Pass, What},
    store::StateTensor,
    trainer::Progress,
};
use std::collections::BTreeMap;

fn bundle() -> Bundle {
    let mut batch = Batch::new(3, 2);
    batch.set("x", Values::Fp16(vec![0x7c00, 0x7e01, 1, 0, 0, 0]));
    batch.set("label", Values::Int32(vec![-1, 7, 0]));
    batch.set("pixels", Values::UInt8(vec![255, 0, 3]));
    batch.weigh(&[0.25, 2.0]);
    batch.position = (4, 17);
    batch.divisor = 1.0 / 3.0;
    let numbers = BatchNumbers {
        loss: f32::NAN.to_bits(),
        largest_gradient: f32::INFINITY.to_bits(),
        largest_activation: Some(1),
        largest_state: None,
        outputs: "ab".into(),
    };
    let finding = Finding {
        step: 123,
        layer: "0".into(),
        op: "linear".into(),
        pass: Pass::Forward,
        what: What::Overflow,
        magnitude: Some(0.1 + 0.2),
        limit: 65_504.0,
        loss_scale: 1024.0,
        parameter: None,
    };
    Bundle {
        checkpoint: Checkpoint {
            record: Record {
                config: serde_json::json!({}),
                progress: Progress {
                    step: 122,
                    updates: 122,
                    ..Progress::default()
                },
                position: (0, 0),
                epoch_sums: EpochSums::default(),
                best: None,
                machine: None,
                data: None,
            },
            state: BTreeMap::from([(
                "weight.0.weight".to_owned(),
                StateTensor::Fp32(vec![1.5, f32::MIN_POSITIVE]),
            )]),
        },
        batches: vec![batch.clone(), batch],
        outcome: Outcome {
            format: Outcome::FORMAT,
            step: 123,
            seed: u64::MAX,
            total_steps: 1000,
            loss_scale: 1024.0,
            loss: f32::NAN.to_bits(),
            overflow: true,
            batches: vec![numbers.clone(), numbers],
            finding: Some(finding),
        },
    }
}

#[test]
fn a_bundle_is_read_back_bit_for_bit_with_its_model() {
    let dir = tempfile::tempdir().unwrap();
    let (bundles, model) = (dir.path().join("bundles"), dir.path().join("model"));
    fs::create_dir_all(model.join("deep")).unwrap();
    fs::write(model.join("deep/file"), "x").unwrap();
    assert_eq!(Bundle::count(&bundles).unwrap(), 0);
    // What a killed write has left is no bundle, and goes.
    let left = bundles.join(".writing-step-000001");
    fs::create_dir_all(&left).unwrap();
    let written = bundle().write_in(&bundles, &model).unwrap();
    assert!(written.ends_with("step-000123"));
    assert!(!left.exists());
    assert_eq!(
        (
            Bundle::count(&bundles).unwrap(),
            Bundle::is_there(&bundles, 123)
        ),
        (1, true)
    );
    assert_eq!(Bundle::read(&written).unwrap(), bundle());
    assert!(written.join("model/deep/file").is_file());
}

#[test]
fn what_cannot_be_written_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let bundles = dir.path().join("bundles");
    // Where the bundle goes there is a folder that is not empty.
    fs::create_dir_all(bundles.join("step-000123/in the way")).unwrap();
    bundle()
        .write_in(&bundles, dir.path().join("none").as_path())
        .unwrap_err();
    let names: Vec<_> = fs::read_dir(&bundles)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(names, ["step-000123"]);
}

#[test]
fn damage_is_an_error_that_names_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let none = dir.path().join("none");
    let written = bundle().write_in(dir.path(), &none).unwrap();
    let whole = fs::read(written.join(BATCH)).unwrap();
    for (file, content) in [
        (OUTCOME, &b"{}"[..]),
        (OUTCOME, &b"[1"[..]),
        (BATCH, &whole[..40]),
        (BATCH, b"none"),
        (STATE, b"ANETRAIN"),
    ] {
        let path = written.join(file);
        let good = fs::read(&path).unwrap();
        fs::write(&path, content).unwrap();
        let said = Bundle::read(&written).unwrap_err().to_string();
        assert!(said.contains(file), "{said}");
        fs::write(&path, good).unwrap();
    }
    let mut other = bundle();
    other.outcome.batches.pop();
    fs::remove_dir_all(&written).unwrap();
    let written = other.write_in(dir.path(), &none).unwrap();
    let said = Bundle::read(&written).unwrap_err().to_string();
    assert!(said.contains("2 batches"), "{said}");
    other.outcome.batches = bundle().outcome.batches;
    other.outcome.format = 9;
    fs::remove_dir_all(&written).unwrap();
    let written = other.write_in(dir.path(), &none).unwrap();
    let error = Bundle::read(&written).unwrap_err();
    assert!(
        matches!(error, CheckpointError::Format { found: 9, .. }),
        "{error}"
    );
}

#[test]
fn batches_that_contradict_themselves_are_refused() {
    let mut batch = Batch::new(2, 1);
    batch.set("x", Values::UInt8(vec![1, 2]));
    let file = batches::encode(&[batch]).unwrap();
    let with = |old: &str, new: &str| {
        let (old, new) = (old.as_bytes(), new.as_bytes());
        let at = file
            .windows(old.len())
            .position(|part| part == old)
            .unwrap();
        let mut file = file.clone();
        file[at..at + old.len()].copy_from_slice(new);
        batches::decode(&file).unwrap_err()
    };
    let said = with("\\\"present\\\":1", "\\\"present\\\":9");
    assert!(said.contains("9 examples"), "{said}");
    let said = with("\"0.x\"", "\"8.x\"");
    assert!(said.contains("`8.x`"), "{said}");
}
