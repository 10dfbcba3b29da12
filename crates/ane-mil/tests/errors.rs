//! Messages for texts and weight files that are wrong, whole.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

use ane_ir::{Literal, TensorType};
use ane_mil::{BlobWriter, MemoryBlobs, NoBlobs, parse};

/// The message for a program with this body, whose input is `x` and whose output is `y`.
fn message(body: &str) -> String {
    let text = format!(
        "program(1.3)\n{{\n    func main<ios18>(tensor<fp16, [2, 3]> x) {{\n{body}\n    }} -> (y);\n}}\n"
    );
    parse(&text, &NoBlobs).unwrap_err().excerpt()
}

/// The message for a constant of 3 fp16 elements at `offset` in a file that `damage` has been done to.
fn blob_message(ty: &str, offset: &str, damage: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut writer = BlobWriter::new();
    let literal = Literal::from_f64(TensorType::fp16([3]), &[1.0, 2.0, 3.0]);
    writer.write(&literal).unwrap();
    let mut file = writer.finish();
    damage(&mut file);
    let text = format!(
        "program(1.3) {{ func main<ios18>() {{\n  {ty} y = const()[val = {ty}(BLOBFILE(path = \"@model_path/w\", offset = {offset}))];\n}} -> (y); }}"
    );
    let blobs = MemoryBlobs::new().with("@model_path/w", file);
    parse(&text, &blobs).unwrap_err().excerpt()
}

const FP16: &str = "tensor<fp16, [3]>";

macro_rules! messages {
    ($($name:ident: $body:expr => @$want:literal;)*) => {
        $(#[test] fn $name() { insta::assert_snapshot!($body, @$want) })*
    };
}

messages! {
    unknown_op: message("        tensor<fp16, [2, 3]> y = reluu(x = x);") => @r#"
        error: unknown op `reluu`
         --> line 4, column 34
          |
        4 |         tensor<fp16, [2, 3]> y = reluu(x = x);
          |                                  ^^^^^
        help: did you mean `relu`?
    "#;
    unknown_op_with_string_parameters: message("        string kind = const()[name = string(\"kind\"), val = string(\"valid\")];\n        tensor<fp16, [2, 3]> y = reluu(x = x, kind = kind);") => @r#"
        error: unknown op `reluu`
         --> line 5, column 34
          |
        5 |         tensor<fp16, [2, 3]> y = reluu(x = x, kind = kind);
          |                                  ^^^^^
        help: did you mean `relu`?
    "#;
    unknown_value: message("        tensor<fp16, [2, 3]> hidden = relu(x = x);\n        tensor<fp16, [2, 3]> y = relu(x = hiden);") => @r#"
        error: unknown value `hiden`
         --> line 5, column 43
          |
        5 |         tensor<fp16, [2, 3]> y = relu(x = hiden);
          |                                           ^^^^^
        help: did you mean `hidden`?
    "#;
    unknown_type: message("        tensor<fp15, [2, 3]> y = relu(x = x);") => @r#"
        error: unknown type `fp15`
         --> line 4, column 16
          |
        4 |         tensor<fp15, [2, 3]> y = relu(x = x);
          |                ^^^^
        help: did you mean `fp16`?
    "#;
    unknown_argument: message("        tensor<fp16, [2, 3]> y = softmax(x = x, axes = -1);") => @r#"
        error: `softmax` has no operand or attribute `axes`
         --> line 4, column 49
          |
        4 |         tensor<fp16, [2, 3]> y = softmax(x = x, axes = -1);
          |                                                 ^^^^
        help: did you mean `axis`?
    "#;
    wrong_type: message("        tensor<fp16, [3, 2]> y = relu(x = x);") => @r#"
        error: `y` is declared tensor<fp16, [3, 2]>, but is tensor<fp16, [2, 3]>
         --> line 4, column 9
          |
        4 |         tensor<fp16, [3, 2]> y = relu(x = x);
          |         ^^^^^^^^^^^^^^^^^^^^
    "#;
    operands_that_do_not_fit: message("        tensor<fp16, [2, 2]> y = matmul(x = x, y = x);") => @r#"
        error: matmul: tensor<fp16, [2, 3]> and tensor<fp16, [2, 3]> do not fit: the summed axes must have equal lengths
         --> line 4, column 34
          |
        4 |         tensor<fp16, [2, 2]> y = matmul(x = x, y = x);
          |                                  ^^^^^^
    "#;
    missing_operand: message("        tensor<fp16, [2, 3]> y = add(x = x);") => @r#"
        error: `add` needs operand `y`
         --> line 4, column 34
          |
        4 |         tensor<fp16, [2, 3]> y = add(x = x);
          |                                  ^^^
    "#;
    missing_attribute: message("        tensor<fp16, [2, 3]> y = softmax(x = x);") => @r#"
        error: `softmax` needs attribute `axis`
         --> line 4, column 34
          |
        4 |         tensor<fp16, [2, 3]> y = softmax(x = x);
          |                                  ^^^^^^^
    "#;
    wrong_attribute: message("        tensor<fp16, [2, 3]> y = softmax(x = x, axis = bool(true));") => @r#"
        error: attribute `axis` of `softmax` cannot be the bool true
         --> line 4, column 56
          |
        4 |         tensor<fp16, [2, 3]> y = softmax(x = x, axis = bool(true));
          |                                                        ^^^^^^^^^^
    "#;
    attribute_known_only_at_run_time: message("        tensor<fp16, [2, 3]> y = softmax(x = x, axis = x);") => @r#"
        error: `x` is not a constant
         --> line 4, column 56
          |
        4 |         tensor<fp16, [2, 3]> y = softmax(x = x, axis = x);
          |                                                        ^
    "#;
    missing_bracket: message("        tensor<fp16, [2, 3]> y = relu(x = x;") => @r#"
        error: missing `)` for the bracket opened at line 4, column 38: found `;`
         --> line 4, column 44
          |
        4 |         tensor<fp16, [2, 3]> y = relu(x = x;
          |                                            ^
    "#;
    missing_brace: parse("program(1.3) {\n  func main<ios18>(fp16 x) {\n", &NoBlobs).unwrap_err().excerpt() => @r#"
        error: missing `}` for the bracket opened at line 2, column 28: found the end of the text
         --> line 3, column 1
          |
        3 |
          | ^
    "#;
    missing_equals: message("        tensor<fp16, [2, 3]> y relu(x = x);") => @r#"
        error: expected `=`, found `relu`
         --> line 4, column 32
          |
        4 |         tensor<fp16, [2, 3]> y relu(x = x);
          |                                ^^^^
    "#;
    duplicate_name: message("        tensor<fp16, [2, 3]> y = relu(x = x);\n        tensor<fp16, [2, 3]> y = tanh(x = x);") => @r#"
        error: `y` is defined twice, first in line 4
         --> line 5, column 30
          |
        5 |         tensor<fp16, [2, 3]> y = tanh(x = x);
          |                              ^
    "#;
    duplicate_argument: message("        tensor<fp16, [2, 3]> y = relu(x = x, x = x);") => @r#"
        error: `relu` is given `x` twice
         --> line 4, column 46
          |
        4 |         tensor<fp16, [2, 3]> y = relu(x = x, x = x);
          |                                              ^
    "#;
    bad_number: message("        tensor<fp16, [2, 3]> y = mul(x = x, y = fp16(1.2.3));") => @r#"
        error: expected a number, found `1.2.3`
         --> line 4, column 49
          |
        4 |         tensor<fp16, [2, 3]> y = mul(x = x, y = fp16(1.2.3));
          |                                                 ^^^^^^^^^^^
    "#;
    number_out_of_range: message("        tensor<fp16, [2, 3]> y = mul(x = x, y = fp16(70000));") => @r#"
        error: expected a number of at most 65504, the largest of fp16, found 70000
         --> line 4, column 49
          |
        4 |         tensor<fp16, [2, 3]> y = mul(x = x, y = fp16(70000));
          |                                                 ^^^^^^^^^^^
    "#;
    wrong_number_of_elements: message("        tensor<fp16, [2]> c = const()[val = tensor<fp16, [2]>([1, 2, 3])];\n        tensor<fp16, [2, 3]> y = mul(x = x, y = c);") => @r#"
        error: tensor<fp16, [2]> needs 2 elements, flat or nested by axis, found a list of 3
         --> line 4, column 45
          |
        4 |         tensor<fp16, [2]> c = const()[val = tensor<fp16, [2]>([1, 2, 3])];
          |                                             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    "#;
    wrong_number_of_results: message("        tensor<fp16, [1, 3]> y = split(x = x, num_splits = 2, axis = 0);") => @r#"
        error: `split` yields 2 results, the text names 1
         --> line 4, column 30
          |
        4 |         tensor<fp16, [1, 3]> y = split(x = x, num_splits = 2, axis = 0);
          |                              ^
    "#;
    output_that_is_an_input: parse("program(1.3) { func main<ios18>(tensor<fp16, [2]> x) { } -> (x); }", &NoBlobs).unwrap_err().excerpt() => @r#"
        error: output `x` is an input of the function
         --> line 1, column 62
          |
        1 | program(1.3) { func main<ios18>(tensor<fp16, [2]> x) { } -> (x); }
          |                                                              ^
        help: every output must be the result of an op
    "#;
    foreign_character: message("        tensor<fp16, [2, 3]> y = relu(x = π);") => @r#"
        error: unexpected character 'π'
         --> line 4, column 43
          |
        4 |         tensor<fp16, [2, 3]> y = relu(x = π);
          |                                           ^
    "#;
    unterminated_string: message("        tensor<fp16, [2, 3]> y = gelu(x = x, mode = \"EXACT);") => @r#"
        error: string does not end on its line
         --> line 4, column 53
          |
        4 |         tensor<fp16, [2, 3]> y = gelu(x = x, mode = "EXACT);
          |                                                     ^^^^^^^^
    "#;
    zero_dimension: message("        tensor<fp16, [0, 3]> y = relu(x = x);") => @r#"
        error: [0, 3] is no tensor type: every axis has at least one element
         --> line 4, column 9
          |
        4 |         tensor<fp16, [0, 3]> y = relu(x = x);
          |         ^^^^^^^^^^^^^^^^^^^^
    "#;
    explicit_layout: message("        tensor_buffer<fp16, shape=[2, 3], strides=[1, 2], interleave_factors=[1, 1]> y = relu(x = x);") => @r#"
        error: a layout of [2, 3] with strides [1, 2], which is not row-major, is not supported
         --> line 4, column 43
          |
        4 |         tensor_buffer<fp16, shape=[2, 3], strides=[1, 2], interleave_factors=[1, 1]> y = relu(x = x);
          |                                           ^^^^^^^^^^^^^^
    "#;
    no_weights: parse("program(1.3) { func main<ios18>() { fp16 y = const()[val = fp16(BLOBFILE(path = \"@model_path/w\", offset = 64))]; } -> (y); }", &NoBlobs).unwrap_err().excerpt() => @r#"
        error: `@model_path/w` is needed, but the program was read without weights
         --> line 1, column 60
          |
        1 | program(1.3) { func main<ios18>() { fp16 y = const()[val = fp16(BLOBFILE(path = "@model_path/w", offset = 64))]; } -> (y); }
          |                                                            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    "#;

    blob_with_a_bad_sentinel: blob_message(FP16, "64", |file| file[64] = 0) => @r#"
        error: no record starts at offset 64: expected 0xdeadbeef, found 0xdeadbe00
         --> line 2, column 39
          |
        2 |   tensor<fp16, [3]> y = const()[val = tensor<fp16, [3]>(BLOBFILE(path = "@model_path/w", offset = 64))];
          |                                       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
        help: `offset` is that of the record, 64 for the first one, not that of its data
    "#;
    blob_of_data_instead_of_a_record: blob_message(FP16, "uint64(128)", |file| file.resize(256, 7)) => @r#"
        error: no record starts at offset 128: expected 0xdeadbeef, found 0x40003c00
         --> line 2, column 39
          |
        2 |   tensor<fp16, [3]> y = const()[val = tensor<fp16, [3]>(BLOBFILE(path = "@model_path/w", offset = uint64(128)))];
          |                                       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
        help: `offset` is that of the record, 64 for the first one, not that of its data
    "#;
    blob_of_the_wrong_version: blob_message(FP16, "64", |file| file[4] = 1) => @r#"
        error: version at offset 4 must be 2, found 1
         --> line 2, column 39
          |
        2 |   tensor<fp16, [3]> y = const()[val = tensor<fp16, [3]>(BLOBFILE(path = "@model_path/w", offset = 64))];
          |                                       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    "#;
    blob_offset_past_the_end: blob_message(FP16, "4096", |_| {}) => @r#"
        error: a record at offset 4096 needs 64 bytes, the file has 0 there
         --> line 2, column 39
          |
        2 |   tensor<fp16, [3]> y = const()[val = tensor<fp16, [3]>(BLOBFILE(path = "@model_path/w", offset = 4096))];
          |                                       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    "#;
    blob_data_past_the_end: blob_message(FP16, "64", |file| file[81] = 4) => @r#"
        error: data at offset 1152 needs 6 bytes, the file has 0 there
         --> line 2, column 39
          |
        2 |   tensor<fp16, [3]> y = const()[val = tensor<fp16, [3]>(BLOBFILE(path = "@model_path/w", offset = 64))];
          |                                       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    "#;
    blob_in_a_truncated_file: blob_message(FP16, "64", |file| file.truncate(130)) => @r#"
        error: data at offset 128 needs 6 bytes, the file has 2 there
         --> line 2, column 39
          |
        2 |   tensor<fp16, [3]> y = const()[val = tensor<fp16, [3]>(BLOBFILE(path = "@model_path/w", offset = 64))];
          |                                       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    "#;
    blob_in_a_file_without_header: blob_message(FP16, "64", |file| file.truncate(10)) => @r#"
        error: the header at offset 0 needs 64 bytes, the file has 10 there
         --> line 2, column 39
          |
        2 |   tensor<fp16, [3]> y = const()[val = tensor<fp16, [3]>(BLOBFILE(path = "@model_path/w", offset = 64))];
          |                                       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    "#;
    blob_of_another_dtype: blob_message("tensor<int16, [3]>", "64", |_| {}) => @r#"
        error: record at offset 64 holds fp16 (code 1), the text declares int16
         --> line 2, column 40
          |
        2 |   tensor<int16, [3]> y = const()[val = tensor<int16, [3]>(BLOBFILE(path = "@model_path/w", offset = 64))];
          |                                        ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    "#;
    blob_of_another_size: blob_message("tensor<fp16, [2, 3]>", "64", |_| {}) => @r#"
        error: record at offset 64 holds 6 bytes, tensor<fp16, [2, 3]> has 12
         --> line 2, column 42
          |
        2 |   tensor<fp16, [2, 3]> y = const()[val = tensor<fp16, [2, 3]>(BLOBFILE(path = "@model_path/w", offset = 64))];
          |                                          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    "#;
    blob_of_truth: blob_message("tensor<bool, [6]>", "64", |_| {}) => @r#"
        error: weight files cannot hold bool
         --> line 2, column 39
          |
        2 |   tensor<bool, [6]> y = const()[val = tensor<bool, [6]>(BLOBFILE(path = "@model_path/w", offset = 64))];
          |                                       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    "#;
}
