//! Milliseconds of single ops: norms, `linear`, reductions, and what reads or writes by index.
//!
//! Prints a line per op; `--only NAME` keeps those whose name contains it, `--threads N` runs them on so many.

use ane_engine::{Options, Plan, Pool, SharedBuffer};
use ane_ir::{DType, Graph, Numerics, TensorType, Value, ops::scatter::Mode};
use std::{error::Error, time::Instant};

type Build = fn(&mut Graph) -> Result<Value, Box<dyn Error>>;

/// Every op with the shapes of a model that uses it.
const OPS: &[(&str, Build)] = &[
    ("batch_norm 64x64x28x28", |g| {
        let x = image(g)?;
        let [mean, variance] = [vector(g, "mean", 64)?, vector(g, "variance", 64)?];
        let [gamma, beta] = [vector(g, "gamma", 64)?, vector(g, "beta", 64)?];
        Ok(g.batch_norm(x, [mean, variance], Some(gamma), Some(beta), 1e-5)?)
    }),
    ("instance_norm 64x64x28x28", |g| {
        let x = image(g)?;
        let [gamma, beta] = [vector(g, "gamma", 64)?, vector(g, "beta", 64)?];
        Ok(g.instance_norm(x, Some(gamma), Some(beta), 1e-5)?)
    }),
    ("layer_norm 8192x288", |g| {
        let x = rows(g, 8192, 288)?;
        let [gamma, beta] = [vector(g, "gamma", 288)?, vector(g, "beta", 288)?];
        Ok(g.layer_norm(x, Some(gamma), Some(beta), &[-1], 1e-5)?)
    }),
    ("layer_norm 32x288x1x256 over channels", |g| {
        let x = g.input("x", TensorType::fp16([32, 288, 1, 256]))?;
        let [gamma, beta] = [vector(g, "gamma", 288)?, vector(g, "beta", 288)?];
        Ok(g.layer_norm(x, Some(gamma), Some(beta), &[1], 1e-5)?)
    }),
    ("linear 512x784 to 512", |g| {
        let x = rows(g, 512, 784)?;
        let weight = g.input("weight", TensorType::fp16([512, 784]))?;
        let bias = vector(g, "bias", 512)?;
        Ok(g.linear(x, weight, Some(bias))?)
    }),
    ("gather 8192 of 32000x288", |g| {
        let x = rows(g, 32_000, 288)?;
        let indices = indices(g)?;
        Ok(g.gather(x, indices, 0)?)
    }),
    ("scatter 8192 into 32000x288", |g| {
        let table = TensorType::fp16([32_000, 288]);
        let zeros = g.fill(&table, 0.0)?;
        let updates = rows(g, 8192, 288)?;
        let indices = indices(g)?;
        Ok(g.scatter(zeros, indices, updates, 0, Mode::Add)?)
    }),
    ("one_hot 8192 of 1000", |g| {
        let indices = indices(g)?;
        Ok(g.one_hot(indices, 1000, -1, DType::Fp16)?)
    }),
    ("reduce_argmax 8192x1000", |g| {
        let x = rows(g, 8192, 1000)?;
        Ok(g.reduce_argmax(x, -1, false)?)
    }),
    ("fill 8192x1000", |g| {
        Ok(g.fill(&TensorType::fp16([8192, 1000]), 0.5)?)
    }),
    ("reduce_min 8192x1000", |g| {
        let x = rows(g, 8192, 1000)?;
        Ok(g.reduce_min(x, &[1], false)?)
    }),
    ("reduce_l2_norm 8192x1000", |g| {
        let x = rows(g, 8192, 1000)?;
        Ok(g.reduce_l2_norm(x, &[1], false)?)
    }),
    ("reduce_sum_square 8192x1000", |g| {
        let x = rows(g, 8192, 1000)?;
        Ok(g.reduce_sum_square(x, &[0], false)?)
    }),
];

fn image(g: &mut Graph) -> Result<Value, Box<dyn Error>> {
    Ok(g.input("x", TensorType::fp16([64, 64, 28, 28]))?)
}

fn rows(g: &mut Graph, rows: usize, columns: usize) -> Result<Value, Box<dyn Error>> {
    Ok(g.input("x", TensorType::fp16([rows, columns]))?)
}

fn vector(g: &mut Graph, name: &str, len: usize) -> Result<Value, Box<dyn Error>> {
    Ok(g.input(name, TensorType::fp16([len]))?)
}

fn indices(g: &mut Graph) -> Result<Value, Box<dyn Error>> {
    Ok(g.input("indices", TensorType::new(DType::Int32, [8192]))?)
}

fn flag(name: &str, default: &str) -> String {
    let args: Vec<String> = std::env::args().collect();
    args.windows(2)
        .find(|w| w[0] == name)
        .map_or(default.to_owned(), |w| w[1].clone())
}

/// Random numbers, the same every time.
struct Random(u32);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.0 >> 16
    }

    fn filled(&mut self, ty: &TensorType) -> SharedBuffer {
        let buffer = SharedBuffer::new(ty.bytes());
        buffer.write(|bytes| match ty.dtype {
            DType::Int32 => {
                for word in bytes.chunks_exact_mut(4) {
                    word.copy_from_slice(&(self.next() % 32_000).to_le_bytes());
                }
            }
            // fp16 from 1 to 2.
            _ => {
                for half in bytes.chunks_exact_mut(2) {
                    let bits = 0x3C00 | (self.next() & 0x3FF) as u16;
                    half.copy_from_slice(&bits.to_le_bytes());
                }
            }
        });
        buffer
    }
}

/// Runs at least, and seconds that they take at least.
const LEAST: (usize, f64) = (5, 0.5);

fn main() -> Result<(), Box<dyn Error>> {
    let threads: usize = flag("--threads", "2").parse()?;
    let only = flag("--only", "");
    let pool = Pool::new(threads)?;
    for (name, build) in OPS.iter().filter(|(name, _)| name.contains(&only)) {
        let mut g = Graph::new();
        let y = build(&mut g)?;
        g.output("y", y)?;
        let plan = Plan::compile(&g, Options::new(Numerics::ieee()))?;
        let mut random = Random(1);
        let inputs = plan.inputs().iter().map(|port| random.filled(&port.ty));
        let inputs: Vec<SharedBuffer> = inputs.collect();
        let outputs = plan
            .outputs()
            .iter()
            .map(|port| SharedBuffer::new(port.ty.bytes()));
        let outputs: Vec<SharedBuffer> = outputs.collect();
        let mut bound = plan.bind(&inputs, &outputs, threads)?;
        bound.execute(&pool);
        let (runs, seconds) = LEAST;
        let mut times = Vec::new();
        while times.len() < runs || times.iter().sum::<f64>() < seconds {
            let start = Instant::now();
            bound.execute(&pool);
            times.push(start.elapsed().as_secs_f64());
        }
        times.sort_by(f64::total_cmp);
        println!("{name:40} {:10.3} ms", times[times.len() / 2] * 1e3);
    }
    Ok(())
}
