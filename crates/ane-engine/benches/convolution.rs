//! One convolution of a network, or one of its gradients, driven line by line, so that it can take turns with a peer.
//!
//! Reads `{"op":"run","steps":N}` per line of standard input, answers `{"images_per_second":…}`.

use ane_engine::{Options, Plan, Pool, SharedBuffer};
use ane_ir::{
    Graph, Numerics, TensorType, autodiff,
    ops::{conv::Conv, support::window::PadType},
};
use std::{
    error::Error,
    io::{BufRead, Write},
    time::Instant,
};

fn flag(name: &str, default: &str) -> String {
    let args: Vec<String> = std::env::args().collect();
    args.windows(2)
        .find(|w| w[0] == name)
        .map_or(default.to_owned(), |w| w[1].clone())
}

/// A layer such as `16x28x28-32k3s2p1g1`: channels, height and width of the image, channels made, length of the window,
/// stride, padding and groups.
fn numbers(layer: &str) -> Result<Vec<usize>, Box<dyn Error>> {
    let parts = layer.split(|c: char| !c.is_ascii_digit());
    let numbers: Vec<usize> = parts.map(str::parse).collect::<Result<_, _>>()?;
    if numbers.len() != 8 {
        return Err(format!("a layer is like 16x28x28-32k3s2p1g1, not {layer}").into());
    }
    Ok(numbers)
}

fn main() -> Result<(), Box<dyn Error>> {
    let layer = numbers(&flag("--layer", "16x28x28-16k3s1p1g1"))?;
    let batch: usize = flag("--batch", "64").parse()?;
    let threads: usize = flag("--threads", "2").parse()?;
    let [channels, height, width, made, kernel, stride, pad, groups] = layer[..] else {
        return Err("a layer has eight numbers".into());
    };
    let int = |x: usize| i32::try_from(x);
    let op = Conv {
        strides: Some(vec![int(stride)?; 2]),
        pad_type: PadType::Custom,
        pad: Some(vec![int(pad)?; 4]),
        groups: int(groups)?,
        ..Conv::default()
    };
    let mut g = Graph::new();
    let image = TensorType::fp16([batch, channels, height, width]);
    let x = g.input("x", image)?;
    let weight = TensorType::fp16([made, channels / groups, kernel, kernel]);
    let w = g.input("w", weight)?;
    let y = g.conv(x, w, None, op)?;
    let ty = g.ty(y).clone();
    let result = match flag("--pass", "forward").as_str() {
        "forward" => y,
        pass => {
            let wrt = if pass == "weight" { w } else { x };
            let ct = g.input("ct", ty)?;
            let gradients = autodiff::vjp(&mut g, &[y], &[ct], &[wrt])?;
            gradients[0].ok_or("no gradient")?
        }
    };
    g.output("result", result)?;
    let plan = Plan::compile(&g, Options::new(Numerics::ieee()))?;
    let pool = Pool::new(threads)?;
    let mut state = 1_u32;
    let inputs = plan.inputs().iter().map(|port| {
        let buffer = SharedBuffer::new(port.ty.bytes());
        buffer.write_u16(|x| {
            for x in x {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                // Between 1 and 2, of both signs: no zeros.
                *x = 0x3C00 | (state >> 22) as u16 | ((state >> 16) as u16 & 0x8000);
            }
        });
        buffer
    });
    let inputs: Vec<SharedBuffer> = inputs.collect();
    let outputs: Vec<SharedBuffer> = plan
        .outputs()
        .iter()
        .map(|port| SharedBuffer::new(port.ty.bytes()))
        .collect();
    let mut bound = plan.bind(&inputs, &outputs, threads)?;
    let mut out = std::io::stdout();
    writeln!(
        out,
        "{{\"threads\":{threads},\"isa\":\"{}\"}}",
        plan.options().isa
    )?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let digits: String = line.chars().filter(char::is_ascii_digit).collect();
        let steps: usize = digits.parse()?;
        let start = Instant::now();
        for _ in 0..steps {
            bound.execute(&pool);
        }
        let speed = (steps * batch) as f64 / start.elapsed().as_secs_f64();
        writeln!(out, "{{\"images_per_second\":{speed:.1}}}")?;
    }
    Ok(())
}
