//! Writes every sample of every op as a file of each format, with inputs and what the definition of the op makes of
//! them, for `tests/test_op_samples.py`, which has other people's runtimes compute the same.
//!
//! `cargo run -p ane-export --example op_samples -- DIRECTORY`

use ane_export::{Network, coreml, numpy, onnx};
use ane_ir::{
    DType, Graph, Literal, Numerics, Tensor, eval,
    ops::{Op, Sample, all_samples},
    testing::operands,
};
use prost::Message;
use std::{error::Error, fs, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::args().nth(1).ok_or("a directory is wanted")?;
    let directory = Path::new(&directory);
    for (i, sample) in all_samples().iter().enumerate() {
        let name = sample.op.name();
        let mut graph = Graph::new();
        let mut tensors: Vec<Tensor<f32>> = operands(sample);
        if matches!(name, "gather" | "gather_along_axis" | "scatter") {
            in_range(sample, &mut tensors);
        }
        let mut xs = Vec::new();
        for (i, x) in tensors.iter().enumerate() {
            xs.push(graph.input(&format!("x{i}"), x.ty.clone())?);
        }
        let ys = graph.push_segments(sample.op.clone(), &xs, &sample.segments)?;
        for (i, y) in ys.into_iter().enumerate() {
            graph.output(&format!("y{i}"), y)?;
        }
        let results = eval(&graph, &tensors, &Numerics::ieee())?;
        let inputs = graph.inputs().iter().zip(&tensors);
        let outputs = graph.outputs().iter().zip(&results);
        let mut arrays = Vec::new();
        for (&v, tensor) in inputs.chain(outputs) {
            let shape = tensor.ty.shape.dims().to_vec();
            arrays.push((graph.port(v).to_owned(), shape, tensor.data.clone()));
        }
        let to = |end: &str| directory.join(format!("{name}_{i}.{end}"));
        let packaged = with_constants(sample, &tensors)?;
        match coreml::package_of_graph(&packaged) {
            // A function of Core ML has inputs, and none of them are single values.
            _ if packaged.inputs().is_empty() => {}
            Ok(package) => package.write(&to("mlpackage"))?,
            Err(error) => println!("{name}_{i}: {error}"),
        }
        let network = Network::of_graph(name, graph);
        match onnx::model(&network, None) {
            Ok(model) => fs::write(to("onnx"), model.encode_to_vec())?,
            Err(error) => println!("{name}_{i}: {error}"),
        }
        numpy::write(&to("npz"), &arrays)?;
    }
    Ok(())
}

/// Brings indices into the axis that they are of: what becomes of others, each runtime has its own mind about.
fn in_range(sample: &Sample<Op>, tensors: &mut [Tensor<f32>]) {
    let axis = match &sample.op {
        Op::Gather(op) => op.axis,
        Op::GatherAlongAxis(op) => op.axis,
        Op::Scatter(op) => op.axis,
        _ => 0,
    };
    let (x, indices) = tensors.split_at_mut(1);
    let shape = &x[0].ty.shape;
    let length = shape.axis(axis).map_or(1, |axis| shape.dims()[axis]) as f32;
    for index in &mut indices[0].data {
        *index = index.rem_euclid(length);
    }
}

/// The sample with everything as a constant that Core ML wants to know before it runs, single values too.
fn with_constants(sample: &Sample<Op>, tensors: &[Tensor<f32>]) -> Result<Graph, Box<dyn Error>> {
    let mut graph = Graph::new();
    let mut xs = Vec::new();
    for (i, x) in tensors.iter().enumerate() {
        let runs = i == 0 || sample.op.broadcasts() || matches!(sample.op, Op::Matmul(_));
        let elements: Vec<f64> = x.data.iter().map(|&x| f64::from(x)).collect();
        xs.push(
            if runs && x.ty.shape.rank() > 0 && x.ty.dtype != DType::Bool {
                graph.input(&format!("x{i}"), x.ty.clone())?
            } else {
                graph.constant(Literal::from_f64(x.ty.clone(), &elements))?
            },
        );
    }
    let ys = graph.push_segments(sample.op.clone(), &xs, &sample.segments)?;
    for (i, y) in ys.into_iter().enumerate() {
        graph.output(&format!("y{i}"), y)?;
    }
    Ok(graph)
}
