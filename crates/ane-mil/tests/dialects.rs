//! One function in the three dialects that sources saw compile, and the liberties between them.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

use ane_ir::{Graph, Literal, TensorType};
use ane_mil::{BlobWriter, MemoryBlobs, NoBlobs, ParseErrorKind, parse};

/// softmax(x · w + 0.5) over the last axis, with w from the weight file.
fn expected() -> Graph {
    let mut g = Graph::new();
    let x = g.input("x", TensorType::fp16([4, 32])).unwrap();
    let w = g.constant(weight()).unwrap();
    let p = g.matmul(x, w, false, true).unwrap();
    let half = g.scalar(ane_ir::DType::Fp16, 0.5).unwrap();
    let s = g.add(p, half).unwrap();
    let y = g.softmax(s, -1).unwrap();
    g.output("y", y).unwrap();
    g
}

fn weight() -> Literal {
    let elements: Vec<f64> = (0..64 * 32).map(|i| f64::from(i % 7) - 3.0).collect();
    Literal::from_f64(TensorType::fp16([64, 32]), &elements)
}

fn weights(path: &str) -> MemoryBlobs {
    let mut file = BlobWriter::new();
    file.write(&weight()).unwrap();
    MemoryBlobs::new().with(path, file.finish())
}

#[track_caller]
fn same(text: &str, path: &str) {
    let module = parse(text, &weights(path)).unwrap_or_else(|e| panic!("{}", e.excerpt()));
    let g = &module.functions[0].graph;
    assert!(g.same_as(&expected()), "{g}\n{}", expected());
}

/// With build information, named constants of scalar types, and names repeated as attributes.
#[test]
fn dialect_a() {
    same(
        r#"program(1.3)
[buildInfo = dict<string, string>({{"coremlc-component-MIL", "3520.5.1"}, {"some-other-tool", ""}})]
{
    func main<ios18>(tensor<fp16, [4, 32]> x) {
        bool no = const()[name = string("no"), val = bool(false)];
        bool yes = const()[name = string("yes"), val = bool(true)];
        int32 axis = const()[name = string("axis"), val = int32(-1)];
        tensor<fp16, [64, 32]> w = const()[name = string("w"), val = tensor<fp16, [64, 32]>(BLOBFILE(path = string("@model_path/weights/w.bin"), offset = uint64(64)))];
        tensor<fp16, [4, 64]> p = matmul(transpose_x = no, transpose_y = yes, x = x, y = w)[name = string("p")];
        fp16 half = const()[name = string("half"), val = fp16(0x1p-1)];
        tensor<fp16, [4, 64]> s = add(x = p, y = half)[name = string("s")];
        tensor<fp16, [4, 64]> y = softmax(axis = axis, x = s)[name = string("y")];
    } -> (y);
}
"#,
        "@model_path/weights/w.bin",
    );
}

/// Everything a tensor, as the oldest texts have it.
#[test]
fn dialect_b() {
    same(
        r#"program(1.0)
[buildInfo = dict<tensor<string, []>, tensor<string, []>>({{"coremlc-version", "1436.100.10"}})]
{
    func main<ios16>(tensor<fp16, [4, 32]> x) {
        tensor<bool, []> no = const()[name = tensor<string, []>("no"), val = tensor<bool, []>(false)];
        tensor<bool, []> yes = const()[name = tensor<string, []>("yes"), val = tensor<bool, []>(true)];
        tensor<int32, []> axis = const()[name = tensor<string, []>("axis"), val = tensor<int32, []>(-1)];
        tensor<fp16, [64, 32]> w = const()[name = tensor<string, []>("w"), val = tensor<fp16, [64, 32]>(BLOBFILE(path = tensor<string, []>("@model_path/weight.bin"), offset = tensor<uint64, []>(64)))];
        tensor<fp16, [4, 64]> p = matmul(transpose_x = no, transpose_y = yes, x = x, y = w)[name = tensor<string, []>("p")];
        tensor<fp16, []> half = const()[name = tensor<string, []>("half"), val = tensor<fp16, []>(0.5)];
        tensor<fp16, [4, 64]> s = add(x = p, y = half)[name = tensor<string, []>("s")];
        tensor<fp16, [4, 64]> y = softmax(axis = axis, x = s)[name = tensor<string, []>("y")];
    } -> (y);
}
"#,
        "@model_path/weight.bin",
    );
}

/// No build information, no names, literals in place, an op set per call.
#[test]
fn dialect_c() {
    same(
        r#"program(1.3)
{
    // salt 4711
    func main_ane<ios18>(tensor<fp16, [4, 32]> x) {
        tensor<fp16, [64, 32]> w = const()[val = tensor<fp16, [64, 32]>(BLOBFILE(path = "@model_path/weights.bin", offset = 64))];
        tensor<fp16, [4, 64]> p = matmul<ios17>(x = x, y = w, transpose_x = false, transpose_y = bool(true));
        tensor<fp16, [4, 64]> s = add(x = p, y = fp16(0.5));
        tensor<fp16, [4, 64]> y = softmax(x = s, axis = -1);
    } -> (y);
}
"#,
        "@model_path/weights.bin",
    );
}

fn graph(body: &str) -> Graph {
    let text =
        format!("program(1.3) {{ func main<ios18>(tensor<fp16, [4, 6]> x) {{ {body} }} -> (y); }}");
    let module = parse(&text, &NoBlobs).unwrap_or_else(|e| panic!("{}", e.excerpt()));
    module.functions[0].graph.clone()
}

#[test]
fn lists_are_flat_or_nested() {
    let with = |list: &str| {
        graph(&format!(
            "tensor<fp16, [6, 2]> c = const()[val = tensor<fp16, [6, 2]>({list})];
             tensor<fp16, [4, 2]> y = matmul(x = x, y = c);"
        ))
    };
    let flat = with("[1, 2, 3, 4, 0x1.4p+2, 6e0, 7, 8, 9, 10, 11, 12]");
    assert!(flat.same_as(&with("[[1, 2], [3, 4], [5, 6], [7, 8], [9, 10], [11, 12]]")));
}

#[test]
fn several_results_and_a_bare_integer_for_a_float() {
    let g = graph(
        "tensor<fp16, [2, 6]> a, tensor<fp16, [2, 6]> b = split(num_splits = 2, axis = 0, x = x);
         tensor<fp16, [2, 6]> c = log(x = a, epsilon = 0);
         tensor<fp16, [2, 6]> y = add(x = b, y = c);",
    );
    assert_eq!(g.nodes()[0].results.len(), 2);
}

#[test]
fn constants_become_nodes_only_where_they_are_operands() {
    let g = graph(
        r#"tensor<int32, [1]> axes = const()[val = [1]];
           string unused = const()[val = string("x")];
           fp16 half = const()[val = fp16(0.5)];
           tensor<fp16, [4]> y = reduce_max(x = x, axes = axes);"#,
    );
    // `half` is used by nobody: it stays, so that a printed graph comes back whole.
    assert_eq!(g.nodes().len(), 2);
}

#[test]
fn explicit_layouts_are_read_as_the_tensors_that_they_hold() {
    let text = r#"program(1.3)
{
    func main_ane<ios18>(tensor_buffer<fp16, shape=[1, 1, 4, 20], strides=[128, 128, 32, 1], interleave_factors=[1, 1, 1, 1]> x, tensor<fp16, [1, 1, 4, 20]> z) {
        tensor<fp16, [1, 1, 4, 20]> xt = tensor_buffer_to_tensor<ios17>(input = x);
        tensor<fp16, [1, 1, 4, 20]> yt = add(x = xt, y = z);
        tensor_buffer<fp16, shape=[1, 1, 4, 20], strides=[128, 128, 32, 1], interleave_factors=[1, 1, 1, 1]> y = tensor_to_tensor_buffer<ios17>(input = yt, interleave_factors = tensor<uint8, [4]>([1, 1, 1, 1]), strides = tensor<int64, [4]>([128, 128, 32, 1]));
    } -> (y);
}
"#;
    let module = parse(text, &NoBlobs).unwrap();
    let g = &module.functions[0].graph;
    assert_eq!(g.nodes().len(), 1, "changes of layout are no nodes");
    assert_eq!(g.input_named("x"), Some(g.inputs()[0]));
    assert_eq!(g.ty(g.inputs()[0]), &TensorType::fp16([1, 1, 4, 20]));
    assert_eq!(&g.nodes()[0].operands[..], g.inputs());
    assert_eq!(g.outputs(), &g.nodes()[0].results[..]);
    assert_eq!(g.output_named("y"), Some(g.outputs()[0]));
}

#[test]
fn layouts_that_no_port_has_are_refused_where_they_stand() {
    for (layout, found) in [
        (
            "shape=[2, 3], strides=[1, 2], interleave_factors=[1, 1]",
            "strides=[1, 2]",
        ),
        (
            "shape=[2, 3], strides=[2, 1], interleave_factors=[1, 1]",
            "strides=[2, 1]",
        ),
        (
            "shape=[2, 3], strides=[1], interleave_factors=[1, 1]",
            "strides=[1]",
        ),
        (
            "shape=[2, 4], strides=[4, 1], interleave_factors=[1, 4]",
            "interleave_factors=[1, 4]",
        ),
        (
            "shape=[2, 4], pitch=[4, 1], interleave_factors=[1, 1]",
            "pitch",
        ),
    ] {
        let text = format!(
            "program(1.3) {{ func main<ios18>(tensor_buffer<fp16, {layout}> x) {{ }} -> (); }}"
        );
        let error = parse(&text, &NoBlobs).unwrap_err();
        assert!(
            matches!(*error.kind, ParseErrorKind::Unsupported { .. }),
            "{layout}: {error}"
        );
        let span = &text[error.span.offset..][..error.span.len];
        assert_eq!(span, found, "{layout}");
    }
    let other = "program(1.3) { func main<ios18>(tensor<fp16, [2, 3]> x) { tensor<fp16, [3, 2]> y = tensor_buffer_to_tensor(input = x); } -> (y); }";
    let error = parse(other, &NoBlobs).unwrap_err();
    assert!(matches!(*error.kind, ParseErrorKind::WrongType { .. }));
}
