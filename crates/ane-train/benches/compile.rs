//! What it costs to make a program of a graph, stage by stage, for graphs of any size. `cargo xtask bench compile` runs
//! it over a row of sizes and prints how the seconds grow.
//!
//! Reads `{"op":"run","shape":"chain","nodes":N}` per line of standard input, answers `{"nodes":…,"stages":[…]}` with the
//! name and the seconds of every stage. The graph is the training step of a network of about so many nodes, gradients included.

use ane_engine::{Options, Plan};
use ane_ir::{DType, Graph, Module, Numerics, Target, TensorType, Value, autodiff, passes, verify};
use ane_mil::{check, parse, print_module};
use std::{
    error::Error,
    io::{BufRead, Write},
    time::Instant,
};

/// Rows of a batch and width of every layer: small, so that no stage's seconds are those of data.
const ROWS: usize = 8;
const WIDTH: usize = 16;

/// A network under construction: its layers, and the parameters that gradients are asked for.
struct Network {
    g: Graph,
    y: Value,
    parameters: Vec<Value>,
}

impl Network {
    fn new() -> Result<Self, Box<dyn Error>> {
        let mut g = Graph::new();
        let x = g.input("x", TensorType::fp16([ROWS, WIDTH]))?;
        // A program that reads nothing else as an operand has its first matmul on the input itself.
        let y = g.scope("stem", |g| g.relu(x))?;
        Ok(Self {
            g,
            y,
            parameters: Vec::new(),
        })
    }

    fn parameter<const N: usize>(
        &mut self,
        name: &str,
        shape: [usize; N],
    ) -> Result<Value, Box<dyn Error>> {
        let v = self.g.input(name, TensorType::fp16(shape))?;
        self.parameters.push(v);
        Ok(v)
    }

    /// Matrix product, bias and an activation; every fourth is GELU, whose gradient goes through its decomposition.
    fn layer(&mut self, i: usize, residual: bool) -> Result<(), Box<dyn Error>> {
        let w = self.parameter(&format!("layers_{i}_weight"), [WIDTH, WIDTH])?;
        let b = self.parameter(&format!("layers_{i}_bias"), [WIDTH])?;
        let x = self.y;
        self.y = self.g.scope(&format!("layers.{i}"), |g| {
            let z = g.matmul(x, w, false, true)?;
            let z = g.add(z, b)?;
            let z = match i % 4 {
                0 => g.relu(z)?,
                1 => g.tanh(z)?,
                2 => g.sigmoid(z)?,
                _ => g.gelu(z, ane_ir::ops::gelu::Mode::Exact)?,
            };
            if residual { g.add(x, z) } else { Ok(z) }
        })?;
        Ok(())
    }
}

/// Seconds of every stage, in order.
#[derive(Default)]
struct Clock(Vec<(&'static str, f64)>);

impl Clock {
    fn time<R>(&mut self, stage: &'static str, run: impl FnOnce() -> R) -> R {
        let start = Instant::now();
        let result = run();
        self.0.push((stage, start.elapsed().as_secs_f64()));
        result
    }
}

/// The forward graph of `layers` layers and its loss.
fn forward(layers: usize, residual: bool) -> Result<(Network, Value), Box<dyn Error>> {
    let mut net = Network::new()?;
    for i in 0..layers {
        net.layer(i, residual)?;
    }
    let y = net.y;
    let loss = net.g.scope("loss", |g| {
        let square = g.mul(y, y)?;
        g.reduce_mean(square, &[0, 1], true)
    })?;
    net.g.output("loss", loss)?;
    Ok((net, loss))
}

/// Appends the gradients of all parameters, each an output.
fn backward(net: &mut Network, loss: Value) -> Result<(), Box<dyn Error>> {
    let seed = net.g.constant(ane_ir::Literal::splat(
        TensorType::new(DType::Fp16, [1, 1]),
        1024.0,
    ))?;
    let grads = autodiff::vjp(&mut net.g, &[loss], &[seed], &net.parameters)?;
    for (&parameter, grad) in net.parameters.iter().zip(grads) {
        let grad = grad.ok_or("every parameter has a gradient")?;
        let name = format!("grad_{}", net.g.port(parameter));
        net.g.output(&name, grad)?;
    }
    Ok(())
}

fn run(residual: bool, nodes: usize) -> Result<String, Box<dyn Error>> {
    // Layers are four nodes forward and some back; how many is asked of a small network.
    let size = |layers: usize| -> Result<usize, Box<dyn Error>> {
        let (mut net, loss) = forward(layers, residual)?;
        backward(&mut net, loss)?;
        Ok(net.g.nodes().len())
    };
    let per_eight = size(16)? - size(8)?;
    let layers = (nodes * 8 / per_eight).max(1);

    let mut clock = Clock::default();
    let target: Target = "h16".parse()?;
    let (mut net, loss) = clock.time("build", || forward(layers, residual))?;
    clock.time("vjp", || backward(&mut net, loss))?;
    let made = net.g.nodes().len();
    let graph = clock.time("passes", || passes::run(&net.g, &target, passes::LEGALIZE))?;
    let broken = clock.time("verify", || verify(&graph));
    if let Some(error) = broken.first() {
        return Err(error.to_string().into());
    }
    let copy = graph.clone();
    // A network of thousands of layers may have more ports than a chip carries: what is timed is the reading of the law.
    clock.time("check", || check(copy, &target).is_ok());
    let module = Module::main(graph);
    let program = clock.time("print", || print_module(&module));
    let back = clock.time("parse", || parse(&program.text, &program.blobs()))?;
    if back != module && !back.functions[0].graph.same_as(&module.functions[0].graph) {
        return Err("the program did not come back".into());
    }
    let options = Options::new(Numerics::of(&target));
    clock.time("plan", || {
        Plan::compile(&module.functions[0].graph, options)
    })?;
    let stages: Vec<String> = clock
        .0
        .iter()
        .map(|(stage, seconds)| format!("[\"{stage}\",{seconds}]"))
        .collect();
    Ok(format!(
        "{{\"nodes\":{made},\"layers\":{layers},\"stages\":[{}]}}",
        stages.join(",")
    ))
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout();
    writeln!(out, "{{\"program\":\"ane-trainer compile\"}}")?;
    out.flush()?;
    for line in std::io::stdin().lock().lines() {
        let request: serde_json::Value = serde_json::from_str(&line?)?;
        let residual = request["shape"] == "residual";
        let nodes = usize::try_from(request["nodes"].as_u64().ok_or("no `nodes`")?)?;
        writeln!(out, "{}", run(residual, nodes)?)?;
        out.flush()?;
    }
    Ok(())
}
