//! Configurations that are wrong, hostile, or ask for what is not implemented: errors, and no panics.

use super::{cases, options};
use ane_import::keras::{KerasError, Options, import};
use serde_json::{Value as Json, json};

fn refused(config: &Json) -> String {
    refused_with(config, &options())
}

fn refused_with(config: &Json, options: &Options) -> String {
    import(config.to_string().as_bytes(), options)
        .unwrap_err()
        .to_string()
}

fn layer(class: &str, mut config: Json) -> Json {
    config["name"] = json!("it");
    json!({"module": "keras.layers", "class_name": class, "config": config})
}

/// A layer after an input of this shape.
fn model(shape: &Json, layer: &Json) -> Json {
    let input = json!({"module": "keras.layers", "class_name": "InputLayer",
        "config": {"batch_shape": shape, "dtype": "float32", "name": "x"}});
    json!({"module": "keras", "class_name": "Sequential",
        "config": {"name": "m", "layers": [input, layer]}})
}

fn refused_layer(shape: Json, class: &str, config: Json) -> String {
    refused(&model(&shape, &layer(class, config)))
}

#[test]
fn what_is_not_implemented_is_named_with_its_place() {
    for (class, config, says) in [
        ("LSTM", json!({"units": 3}), "LSTM layer `it`"),
        ("Lambda", json!({}), "keras.ops"),
        (
            "Dense",
            json!({"units": 3, "kernel_regularizer": {"class_name": "L2"}}),
            "weight decay",
        ),
        (
            "Dense",
            json!({"units": 3, "kernel_constraint": {"class_name": "MaxNorm"}}),
            "kernel_constraint",
        ),
        (
            "Dense",
            json!({"units": 3, "activation": "sparsemax"}),
            "sparsemax",
        ),
        (
            "Dense",
            json!({"units": 3, "activation": {"class_name": "function", "module": "builtins",
            "config": "mine"}}),
            "mine",
        ),
        (
            "Dense",
            json!({"units": 3, "dtype": {"class_name": "DTypePolicy",
            "config": {"name": "int8_from_float32"}}}),
            "int8_from_float32",
        ),
        ("Dense", json!({"units": 3, "lora_rank": 2}), "lora_rank"),
        (
            "Dropout",
            json!({"rate": 0.5, "noise_shape": [1, 4]}),
            "noise_shape",
        ),
        ("BatchNormalization", json!({"renorm": true}), "renorm"),
        (
            "Embedding",
            json!({"input_dim": 3, "output_dim": 2, "mask_zero": true}),
            "mask_zero",
        ),
    ] {
        let found = refused_layer(json!([null, 4]), class, config);
        assert!(found.contains(says) && found.contains("`it`"), "{found}");
    }
    let own = json!({"module": "my_code", "class_name": "Dense", "config": {"name": "it", "units": 3},
        "registered_name": "p>Dense"});
    let found = refused(&model(&json!([null, 4]), &own));
    assert!(
        found.contains("`my_code`") && found.contains("class of one's own"),
        "{found}"
    );
    let subclassed = json!({"module": "builtins", "class_name": "Net", "config": {}});
    assert!(refused(&subclassed).contains("functional API"));
}

#[test]
fn settings_of_wrong_types_and_sizes_are_named() {
    for (shape, class, config, says) in [
        (json!([null, 4]), "Dense", json!({}), "no `units`"),
        (json!([null, 4]), "Dense", json!({"units": "3"}), "`units`"),
        (json!([null, 4]), "Dense", json!({"units": -3}), "`units`"),
        (
            json!([null, 4]),
            "Dense",
            json!({"units": 1e300}),
            "`units`",
        ),
        (
            json!([null, 4]),
            "Dense",
            json!({"units": 16_777_216_u64 * 2}),
            "`units`",
        ),
        (
            json!([null, 16_777_216]),
            "Dense",
            json!({"units": 16_777_216}),
            "size of",
        ),
        (json!([null]), "Dense", json!({"units": 3}), "features"),
        (
            json!([null, 4]),
            "Dense",
            json!({"units": 3, "use_bias": "yes"}),
            "`use_bias`",
        ),
        (
            json!([null, 4]),
            "Dense",
            json!({"units": 3, "activation": {"a": 1}}),
            "`activation`",
        ),
        (
            json!([null, 4, 4, 1]),
            "Conv2D",
            json!({"filters": 2, "kernel_size": [3, 3, 3]}),
            "`kernel_size`",
        ),
        (
            json!([null, 4, 4, 1]),
            "Conv2D",
            json!({"filters": 2, "kernel_size": 0}),
            "`kernel_size`",
        ),
        (
            json!([null, 4, 4, 1]),
            "Conv2D",
            json!({"filters": 2, "kernel_size": 7}),
            "at least 7",
        ),
        (
            json!([null, 4, 4, 1]),
            "Conv2D",
            json!({"filters": 2, "kernel_size": 3, "padding": "full"}),
            "`padding`",
        ),
        (
            json!([null, 4, 4, 1]),
            "Conv2D",
            json!({"filters": 2, "kernel_size": 16_777_216, "dilation_rate": 16_777_216}),
            "a window",
        ),
        (
            json!([null, 4, 4, 3]),
            "Conv2D",
            json!({"filters": 2, "kernel_size": 3, "groups": 2}),
            "groups",
        ),
        (
            json!([null, 4, 4]),
            "Conv2D",
            json!({"filters": 2, "kernel_size": 3}),
            "4 axes",
        ),
        (
            json!([null, 4, 4, 1]),
            "UpSampling2D",
            json!({"size": 16_777_216}),
            "size of",
        ),
        (
            json!([null, 4, 4, 1]),
            "ZeroPadding2D",
            json!({"padding": 16_777_216}),
            "size of",
        ),
        (
            json!([null, 4, 4, 1]),
            "Cropping2D",
            json!({"cropping": 2}),
            "more than 4",
        ),
        (
            json!([null, 4]),
            "Reshape",
            json!({"target_shape": [3]}),
            "`target_shape`",
        ),
        (
            json!([null, 4]),
            "Reshape",
            json!({"target_shape": [-1, -1]}),
            "`target_shape`",
        ),
        (
            json!([null, 4]),
            "Reshape",
            json!({"target_shape": [16_777_216, 16_777_216, -1]}),
            "size of",
        ),
        (json!([null, 4]), "Permute", json!({"dims": [2]}), "`dims`"),
        (json!([null, 4]), "Dropout", json!({"rate": 1.0}), "`rate`"),
        (
            json!([null, 4]),
            "LayerNormalization",
            json!({"axis": 5}),
            "`axis`",
        ),
        (
            json!([null, 4]),
            "LayerNormalization",
            json!({"axis": 0}),
            "`axis`",
        ),
        (
            json!([null, 4]),
            "GroupNormalization",
            json!({"groups": 3}),
            "groups",
        ),
        (json!([null, 4]), "Softmax", json!({"axis": 9}), "`axis`"),
        (
            json!([null, null]),
            "Dense",
            json!({"units": 3}),
            "unknown length",
        ),
        (json!([7, 4]), "Dense", json!({"units": 3}), "`batch_shape`"),
        (
            json!([null, 0]),
            "Dense",
            json!({"units": 3}),
            "`batch_shape`",
        ),
        (json!("x"), "Dense", json!({"units": 3}), "`batch_shape`"),
        (
            json!([null, 4]),
            "MultiHeadAttention",
            json!({"num_heads": 2, "key_dim": 2}),
            "a query and a value",
        ),
        (json!([null, 4]), "Add", json!({}), ""),
    ] {
        let config = model(&shape, &layer(class, config));
        match import(config.to_string().as_bytes(), &options()) {
            Err(error) => assert!(error.to_string().contains(says), "{class}: {error}"),
            Ok(_) => assert!(says.is_empty(), "{class} is taken: {says}"),
        }
    }
}

#[test]
fn graphs_that_are_none_are_refused() {
    let tensor = |name: &str, call: usize| {
        json!({"class_name": "__keras_tensor__", "config": {"shape": [null, 4], "dtype": "float32",
            "keras_history": [name, call, 0]}})
    };
    let relu = |name: &str, of: Json| {
        json!({"module": "keras.layers", "class_name": "ReLU", "name": name, "config": {"name": name},
            "inbound_nodes": [{"args": [of], "kwargs": {}}]})
    };
    let functional = |layers: Vec<Json>, output: Json| {
        let mut all = vec![
            json!({"module": "keras.layers", "class_name": "InputLayer", "name": "x",
            "config": {"batch_shape": [null, 4], "dtype": "float32", "name": "x"}, "inbound_nodes": []}),
        ];
        all.extend(layers);
        json!({"module": "keras.src.models.functional", "class_name": "Functional", "config": {"name": "m",
            "layers": all, "input_layers": [["x", 0, 0]], "output_layers": [output]}})
    };
    let a = relu("a", tensor("x", 0));
    let good = functional(vec![a.clone()], json!(["a", 0, 0]));
    import(good.to_string().as_bytes(), &options()).unwrap();
    for (layers, output, says) in [
        (
            vec![relu("a", tensor("b", 0)), relu("b", tensor("a", 0))],
            json!(["b", 0, 0]),
            "waits for its own output",
        ),
        (
            vec![relu("a", tensor("a", 0))],
            json!(["a", 0, 0]),
            "waits for its own output",
        ),
        (
            vec![relu("a", tensor("nobody", 0))],
            json!(["a", 0, 0]),
            "`nobody`",
        ),
        (
            vec![relu("a", tensor("x", 3))],
            json!(["a", 0, 0]),
            "`x`, call 3",
        ),
        (vec![a.clone()], json!(["a", 1, 0]), "`a`, call 1"),
        (vec![a.clone()], json!(["a", 0, 9]), "output 9"),
        (
            vec![a.clone(), a.clone()],
            json!(["a", 0, 0]),
            "two layers are called",
        ),
        (vec![a.clone()], json!(["a"]), "`keras_history`"),
        (
            vec![a.clone()],
            json!({"y": [[[["a", 0, 0, 0]]]]}),
            "`keras_history`",
        ),
        (vec![relu("a", json!(7))], json!(["a", 0, 0]), "one tensor"),
    ] {
        let found = refused(&functional(layers, output));
        assert!(found.contains(says), "{found}");
    }
    // Lists in the place of `args` and `kwargs` are how Keras 2 wrote calls.
    let mut old = good;
    old["config"]["layers"][1]["inbound_nodes"] = json!([[["x", 0, 0, {}]]]);
    assert!(refused(&old).contains("Keras 3"));
}

/// A model in a model in a model, each calling the next twice, would be a graph of a million layers.
#[test]
fn a_model_that_unfolds_without_end_is_refused() {
    let tensor = |name: &str, call: usize| json!({"class_name": "__keras_tensor__", "config": {"keras_history": [name, call, 0]}});
    let input = json!({"module": "keras.layers", "class_name": "InputLayer", "name": "x",
        "config": {"batch_shape": [null, 4], "dtype": "float32", "name": "x"}, "inbound_nodes": []});
    let mut inner = json!({"module": "keras.layers", "class_name": "ReLU", "name": "f", "config": {"name": "f"}});
    for _ in 0..18 {
        inner["inbound_nodes"] = json!([{"args": [tensor("x", 0)]}, {"args": [tensor("f", 0)]}]);
        inner = json!({"module": "keras", "class_name": "Functional", "name": "f", "config": {"name": "f",
            "layers": [input, inner], "input_layers": [["x", 0, 0]], "output_layers": [["f", 1, 0]]}});
    }
    assert!(refused(&inner).contains("calls of layers"));
}

#[test]
fn texts_that_are_no_configurations_are_refused() {
    for text in [
        "",
        "{",
        "[]",
        "null",
        "{\"class_name\": 3}",
        "{\"class_name\": \"Sequential\", \"config\": []}",
    ] {
        import(text.as_bytes(), &options()).unwrap_err();
    }
    let deep = "[".repeat(100_000);
    let error = import(deep.as_bytes(), &options()).unwrap_err();
    assert!(matches!(error, KerasError::Json { .. }), "{error}");
    let unbuilt = json!({"module": "keras", "class_name": "Sequential", "config": {"name": "m",
        "layers": [layer("Dense", json!({"units": 3}))]}});
    assert!(refused(&unbuilt).contains("never built"));
    let shaped = Options {
        input_shapes: Some(vec![vec![4]]),
        ..options()
    };
    import(unbuilt.to_string().as_bytes(), &shaped).unwrap();
    let two = Options {
        input_shapes: Some(vec![vec![4]; 2]),
        ..options()
    };
    assert!(refused_with(&unbuilt, &two).contains("one for each input"));
}

/// Every value of every configuration of the fixture in turn becomes something else.
#[test]
fn damage_is_an_error_and_never_a_panic() {
    fn paths(json: &Json, at: &str, all: &mut Vec<String>) {
        match json {
            Json::Object(map) => map
                .iter()
                .for_each(|(k, v)| paths(v, &format!("{at}/{k}"), all)),
            Json::Array(values) => values
                .iter()
                .enumerate()
                .for_each(|(i, v)| paths(v, &format!("{at}/{i}"), all)),
            _ => {}
        }
        all.push(at.to_owned());
    }
    let others = [
        json!(null),
        json!(-1),
        json!(0),
        json!(16_777_216),
        json!("x"),
        json!([]),
        json!({}),
        json!([3, 3, 3, 3, 3, 3, 3, 3, 3]),
    ];
    let (mut tried, mut refused) = (0, 0);
    for (i, case) in cases().values().enumerate() {
        let mut all = Vec::new();
        paths(&case["config"], "", &mut all);
        for (j, path) in all.iter().enumerate() {
            // One of the others at every place, in turn.
            let other = &others[(i + j) % others.len()];
            let mut config = case["config"].clone();
            *config.pointer_mut(path).unwrap() = other.clone();
            let result = import(config.to_string().as_bytes(), &options());
            tried += 1;
            refused += usize::from(result.is_err());
        }
    }
    assert!(refused > tried / 10, "{refused} of {tried}");
}
