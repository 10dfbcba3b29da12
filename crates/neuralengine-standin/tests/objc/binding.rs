//! Symbols, layouts and requests.

use crate::framework::{
    INFERENCE, InMemory, Object, Surface, array, at, attributes, binary, number, numbers, request,
    request_of, salt, string, texts, value,
};

const ONE: u16 = 0x3C00;
const TWO: u16 = 0x4000;
const THREE: u16 = 0x4200;
const MINUS_TWO: u16 = 0xC000;

fn geometry() -> Result<(), (isize, String)> {
    Err((8, INFERENCE.to_owned()))
}

/// Two inputs declared against the alphabet, two outputs of different shapes.
fn two_outputs() -> String {
    let (t, wide) = ("tensor<fp16, [2, 32]>", "tensor<fp16, [3, 5, 64]>");
    let salt = salt();
    format!(
        "program(1.3)\n{{ // {salt}\nfunc main<ios18>({t} z, {wide} Q, {t} b) {{\n{t} y = sub(x = z, y = b);\n{wide} y2 = abs(x = Q);\n}} -> (y, y2);\n}}\n"
    )
}

#[test]
fn symbols_are_not_in_declared_order_and_attributes_say_which() {
    let model = InMemory::ready(&two_outputs());
    let attributes = attributes(&model.inner()).unwrap();
    let described = at(&attributes, &["ANEFModelDescription"]);
    let inputs = texts(&at(&described, &["kANEFModelInputSymbolsArrayKey"]));
    assert_eq!(inputs, ["Q", "b", "z"]);
    let outputs = texts(&at(&described, &["kANEFModelOutputSymbolsArrayKey"]));
    assert_eq!(outputs, ["y2@output", "y@output"]);
    let procedure = at(&described, &["ANEFModelProcedures", "0"]);
    assert_eq!(value(&at(&procedure, &["ANEFModelProcedureID"])), 0);
    let indices = |key| numbers(&at(&procedure, &[key]));
    assert_eq!(indices("ANEFModelInputSymbolIndexArray"), [0, 1, 2]);
    assert_eq!(indices("ANEFModelOutputSymbolIndexArray"), [0, 1]);
    let id = at(&described, &["kANEFModelProcedureNameToIDMapKey", "main"]);
    assert_eq!(value(&id), 0);
}

#[test]
fn layouts_have_rows_of_64_bytes_and_come_in_declared_order() {
    let model = InMemory::ready(&two_outputs());
    let attributes = attributes(&model.inner()).unwrap();
    let status = at(&attributes, &["NetworkStatusList", "0"]);
    let name = |list: &str, i: &str| texts(&array(&[at(&status, &[list, i, "Symbol"])])).remove(0);
    assert_eq!(name("LiveInputList", "0"), "z");
    assert_eq!(name("LiveOutputList", "0"), "y@output");
    let q = at(&status, &["LiveInputList", "1"]);
    let of = |key| value(&at(&q, &[key]));
    let axes = ["Batches", "Depth", "Channels", "Height", "Width"].map(of);
    assert_eq!(axes, [1, 1, 3, 5, 64]);
    let strides = ["RowStride", "PlaneStride", "DepthStride", "BatchStride"].map(of);
    assert_eq!(strides, [128, 640, 1920, 16384], "one batch");
    assert_eq!(texts(&array(&[at(&q, &["Type"])])), ["Float16"]);
}

#[test]
fn swapped_symbols_of_one_shape_are_accepted_and_give_another_result() {
    // b − a, declared b first: by the alphabet a is symbol 0, by declaration b is.
    let model = InMemory::ready(&binary("sub", "b", "a"));
    let (a, b, y) = (
        Surface::filled(ONE),
        Surface::filled(THREE),
        Surface::small(),
    );
    model
        .evaluate(&request(&[(0, &a), (1, &b)], &[(0, &y)]))
        .unwrap();
    assert_eq!(y.bits(), Some(TWO));
    model
        .evaluate(&request(&[(0, &b), (1, &a)], &[(0, &y)]))
        .unwrap();
    assert_eq!(y.bits(), Some(MINUS_TWO));
    model
        .evaluate(&request(&[(1, &b), (0, &a)], &[(0, &y)]))
        .unwrap();
    assert_eq!(y.bits(), Some(TWO), "positions in the arrays mean nothing");
}

#[test]
fn a_surface_may_be_read_and_written_by_one_evaluation() {
    let model = InMemory::ready(&binary("add", "a", "b"));
    let state = Surface::filled(ONE);
    let request = request(&[(0, &state), (1, &state)], &[(0, &state)]);
    model.evaluate(&request).unwrap();
    model.evaluate(&request).unwrap();
    assert_eq!(state.bits(), Some(0x4400));
}

#[test]
fn missing_unknown_and_doubled_symbols_are_wrong_geometry() {
    let model = InMemory::ready(&binary("add", "a", "b"));
    let (x, y) = (Surface::filled(ONE), Surface::small());
    for inputs in [
        &[(0, &x)][..],
        &[(0, &x), (2, &x)],
        &[(0, &x), (0, &x)],
        &[(0, &x), (1, &x), (1, &x)],
    ] {
        let refused = model.evaluate(&request(inputs, &[(0, &y)]));
        assert_eq!(refused, geometry());
    }
    let both = [(0, &x), (1, &x)];
    assert_eq!(model.evaluate(&request(&both, &[(1, &y)])), geometry());
    model.evaluate(&request(&both, &[(0, &y)])).unwrap();
}

#[test]
fn surfaces_of_the_wrong_size_or_row_are_wrong_geometry() {
    let model = InMemory::ready(&two_outputs());
    let small = Surface::small();
    let wide = Surface::of(64, 15, 128, 16 * 1024).unwrap();
    let whole_pages = 32 * 1024;
    let evaluate = |q: &Surface, y2: &Surface| {
        let inputs = [(0, q), (1, &small), (2, &small)];
        model.evaluate(&request(&inputs, &[(0, y2), (1, &small)]))
    };
    evaluate(&wide, &wide).unwrap();
    evaluate(&Surface::of(64, 15, 128, whole_pages).unwrap(), &wide).unwrap();
    for wrong in [
        Surface::of(64, 15, 128, 1920),
        Surface::of(64, 15, 128, 20_000),
        Surface::of(64, 15, 192, 16 * 1024),
        Surface::of(32, 30, 64, 16 * 1024),
    ] {
        let wrong = wrong.unwrap();
        assert_eq!(evaluate(&wrong, &wide), geometry());
        assert_eq!(evaluate(&wide, &wrong), geometry());
    }
    // A surface of bytes has one row, and its size alone counts.
    let bytes = Surface::of(8 * 1024, 1, 16 * 1024, 16 * 1024).unwrap();
    evaluate(&bytes, &wide).unwrap();
}

#[test]
fn a_surface_that_is_too_small_is_wrong_geometry() {
    let t = "tensor<fp16, [300, 32]>";
    let salt = salt();
    let model = InMemory::ready(&format!(
        "program(1.3)\n{{ // {salt}\nfunc main<ios18>({t} x) {{\n{t} y = abs(x = x);\n}} -> (y);\n}}\n"
    ));
    let (page, two) = (
        Surface::of(32, 256, 64, 16 * 1024).unwrap(),
        Surface::of(32, 300, 64, 32 * 1024).unwrap(),
    );
    assert_eq!(
        model.evaluate(&request(&[(0, &page)], &[(0, &two)])),
        geometry()
    );
    assert_eq!(
        model.evaluate(&request(&[(0, &two)], &[(0, &page)])),
        geometry()
    );
    model
        .evaluate(&request(&[(0, &two)], &[(0, &two)]))
        .unwrap();
}

#[test]
fn requests_outside_the_limits_are_bad_arguments() {
    let model = InMemory::ready(&binary("add", "a", "b"));
    let (x, y) = (Surface::filled(ONE), Surface::small());
    let surface = |n: usize| array(&vec![x.object(); n]);
    let indices = |of: &[u64]| array(&of.iter().map(|n| number(*n)).collect::<Vec<_>>());
    let out = || [array(&[y.object()]), indices(&[0])];
    let code = |inputs: [Object; 2], procedure: u64| {
        let ([a, b], [c, d]) = (inputs, out());
        model
            .evaluate(&request_of([a, b, c, d], procedure))
            .map_err(|(code, _)| code)
    };
    assert_eq!(code([surface(2), indices(&[0, 1])], 0), Ok(()));
    assert_eq!(code([surface(0), indices(&[])], 0), Err(26));
    assert_eq!(code([surface(2), indices(&[0])], 0), Err(26));
    assert_eq!(code([surface(2), indices(&[0, 255])], 0), Err(26));
    assert_eq!(code([surface(256), indices(&[0; 256])], 0), Err(26));
    assert_eq!(code([surface(2), indices(&[0, 1])], 129), Err(26));
    assert_eq!(code([array(&[string("x")]), indices(&[0])], 0), Err(26));
    assert_eq!(code([surface(1), array(&[string("0")])], 0), Err(26));
}

#[test]
fn procedures_have_symbols_of_their_own() {
    let t = "tensor<fp16, [2, 32]>";
    let salt = salt();
    let model = InMemory::ready(&format!(
        "program(1.3)\n{{ // {salt}\nfunc p0<ios18>({t} x) {{\n{t} y = abs(x = x);\n}} -> (y);\nfunc p1<ios18>({t} x) {{\n{t} y = add(x = x, y = x);\n}} -> (y);\n}}\n"
    ));
    let attributes = attributes(&model.inner()).unwrap();
    let described = at(&attributes, &["ANEFModelDescription"]);
    let second = at(&described, &["ANEFModelProcedures", "1"]);
    assert_eq!(
        numbers(&at(&second, &["ANEFModelInputSymbolIndexArray"])),
        [1]
    );
    let (x, y) = (Surface::filled(MINUS_TWO), Surface::small());
    let run = |symbol: u64, procedure: u64| {
        let index = || array(&[number(symbol)]);
        let arrays = [array(&[x.object()]), index(), array(&[y.object()]), index()];
        model.evaluate(&request_of(arrays, procedure))
    };
    run(0, 0).unwrap();
    assert_eq!(y.bits(), Some(TWO));
    run(1, 1).unwrap();
    assert_eq!(y.bits(), Some(0xC400));
    for (symbol, procedure) in [(0, 1), (1, 0), (0, 2)] {
        let (code, text) = run(symbol, procedure).unwrap_err();
        assert_eq!(code, 8);
        assert!(text.contains("status=0x2 "), "{text}");
    }
    // A program with one procedure takes small numbers for it.
    let single = InMemory::ready(&binary("add", "a", "b"));
    let inputs = || {
        [
            array(&[x.object(), x.object()]),
            array(&[number(0), number(1)]),
        ]
    };
    let any = |procedure| {
        let ([a, b], [c, d]) = (inputs(), [array(&[y.object()]), array(&[number(0)])]);
        single.evaluate(&request_of([a, b, c, d], procedure))
    };
    any(15).unwrap();
    any(16).unwrap_err();
}

#[test]
fn geometry_is_looked_at_when_surfaces_are_mapped() {
    let model = InMemory::new(&binary("add", "a", "b"));
    let (x, y) = (Surface::filled(ONE), Surface::small());
    let fitting = request(&[(0, &x), (1, &x)], &[(0, &y)]);
    assert!(model.map(&fitting).is_err(), "nothing is loaded");
    model.compile().unwrap();
    model.load().unwrap();
    model.map(&fitting).unwrap();
    let other_rows = Surface::of(32, 2, 128, 16 * 1024).unwrap();
    for misfit in [
        request(&[(0, &x), (1, &other_rows)], &[(0, &y)]),
        request(&[(0, &x), (2, &x)], &[(0, &y)]),
        request(&[(0, &x)], &[(0, &y)]),
    ] {
        let said = model.map(&misfit).unwrap_err().1;
        assert!(said.contains("0x1D"), "{said}");
        assert!(model.evaluate(&misfit).is_err());
    }
}
