//! C programs that know the prototypes and nothing else: one trains a network and suffers faults, one calls the rest.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

use ane_engine::{Options, Plan, Pool, SharedBuffer, simd};
use ane_ir::{
    DType, Graph, Literal, Numerics, Target, TensorType, Value,
    autodiff::vjp,
    passes::{self, LEGALIZE},
};
use ane_mil::LegalGraph;
use espresso_standin::library_path;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

const TARGET: &str = "h16";
const STATE: [&str; 4] = ["w0", "b0", "w1", "b1"];
const INPUTS: [&str; 6] = ["x", "t", "w0", "b0", "w1", "b1"];

fn build() -> Result<Graph, Box<dyn std::error::Error>> {
    let (batch, inputs, hidden, classes) = (16, 32, 24, 8);
    let mut g = Graph::new();
    let x = g.input("x", TensorType::fp16([batch, inputs]))?;
    let t = g.input("t", TensorType::fp16([batch, classes]))?;
    let w0 = g.input("w0", TensorType::fp16([inputs, hidden]))?;
    let b0 = g.input("b0", TensorType::fp16([1, hidden]))?;
    let w1 = g.input("w1", TensorType::fp16([hidden, classes]))?;
    let b1 = g.input("b1", TensorType::fp16([1, classes]))?;
    let h = g.matmul(x, w0, false, false)?;
    let h = g.add(h, b0)?;
    let h = g.relu(h)?;
    let z = g.matmul(h, w1, false, false)?;
    let z = g.add(z, b1)?;
    let max = g.reduce_max(z, &[-1], true)?;
    let max = g.stop_gradient(max)?;
    let z = g.sub(z, max)?;
    let normaliser = g.reduce_log_sum_exp(z, &[-1], true)?;
    let hit = g.mul(z, t)?;
    let hit = g.reduce_sum(hit, &[-1], true)?;
    let losses = g.sub(normaliser, hit)?;
    let total = g.reduce_sum(losses, &[0, 1], true)?;
    let share = g.scalar(DType::Fp16, 1.0 / f64::from(batch as u32))?;
    let loss = g.mul(total, share)?;
    // The seed carries the learning rate, so that what comes back is the step itself.
    let rate = g.constant(Literal::splat(TensorType::fp16([1, 1]), 0.0625))?;
    let parameters = [w0, b0, w1, b1];
    let steps = vjp(&mut g, &[loss], &[rate], &parameters)?;
    g.output("loss", loss)?;
    for ((name, old), step) in STATE.iter().zip(parameters).zip(steps) {
        let step: Value = step.ok_or("every parameter has a gradient")?;
        let new = g.sub(old, step)?;
        g.output(&format!("{name}_next"), new)?;
    }
    Ok(g)
}

fn step() -> LegalGraph {
    let target: Target = TARGET.parse().unwrap();
    let graph = passes::run(&build().unwrap(), &target, LEGALIZE).unwrap();
    ane_mil::check(graph, &target).unwrap_or_else(|v| panic!("{}", v[0]))
}

/// Reproducible numbers in fp16: a small linear congruence, centred.
fn numbers(ty: &TensorType, seed: u32, scale: f32) -> Vec<u16> {
    let mut x = seed.wrapping_mul(2_654_435_761) | 1;
    let values: Vec<f32> = (0..ty.shape.numel())
        .map(|_| {
            x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((x >> 8) as f32 / 16_777_216.0 - 0.5) * scale
        })
        .collect();
    let mut bits = vec![0; values.len()];
    simd::narrow(simd::Isa::detect(), &values, &mut bits);
    bits
}

fn initial(name: &str, seed: u32, ty: &TensorType) -> Vec<u16> {
    if name == "t" {
        // One class per row.
        let classes = ty.shape.last();
        let hot = |i: usize| i % classes == (i / classes * 3) % classes;
        let one = |i| if hot(i) { 0x3C00 } else { 0 };
        return (0..ty.shape.numel()).map(one).collect();
    }
    numbers(ty, seed, if name == "x" { 2.0 } else { 0.5 })
}

/// A C program of the tests.
fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/support")
        .join(name)
}

/// Compiles a C program against the header.
fn compile(source: &Path, program: &Path) {
    let compiled = Command::new("cc")
        .args(["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-I"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("include"))
        .arg(source)
        .arg("-o")
        .arg(program)
        .arg("-ldl")
        .output()
        .unwrap_or_else(|e| panic!("this test needs a C compiler called `cc`: {e}"));
    let said = String::from_utf8_lossy(&compiled.stderr);
    assert!(compiled.status.success(), "cc refused {source:?}:\n{said}");
}

/// The program, its tensors and the C program, in a directory.
struct Bench {
    directory: tempfile::TempDir,
    legal: LegalGraph,
}

impl Bench {
    fn new() -> Self {
        let bench = Self {
            directory: tempfile::tempdir().unwrap(),
            legal: step(),
        };
        let program = ane_mil::print(&bench.legal);
        fs::write(bench.path("model.mil"), program.text).unwrap();
        fs::write(bench.path("weights.bin"), program.weights).unwrap();
        for (seed, name) in INPUTS.into_iter().enumerate() {
            let bytes: Vec<u8> = bench
                .input(name, seed)
                .iter()
                .flat_map(|x| x.to_le_bytes())
                .collect();
            fs::write(bench.path(&format!("{name}.bin")), bytes).unwrap();
        }
        compile(&source("train.c"), &bench.path("train"));
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn input(&self, name: &str, seed: usize) -> Vec<u16> {
        let graph = self.legal.graph();
        let ty = graph.ty(graph.input_named(name).unwrap());
        initial(name, seed as u32, ty)
    }

    fn command(&self, steps: u32) -> Command {
        let mut command = Command::new(self.path("train"));
        command
            .arg(library_path().unwrap())
            .args([self.path("model.mil"), self.path("cache")])
            .arg(self.directory.path())
            .arg(steps.to_string())
            .env("ANE_STANDIN_CHIP", TARGET)
            .env("ANE_STANDIN_THREADS", "1")
            .env_remove("ANE_STANDIN_FAULTS");
        command
    }

    /// Runs the program under planned faults.
    fn suffer(&self, plan: &str) -> Output {
        self.suffering(plan).output().unwrap()
    }

    fn suffering(&self, plan: &str) -> Command {
        let faults = self.path("faults");
        let _ = fs::remove_dir_all(&faults);
        fs::create_dir(&faults).unwrap();
        fs::write(faults.join("plan"), plan).unwrap();
        let mut command = self.command(4);
        command
            .env("ANE_STANDIN_FAULTS", &faults)
            .env("ANE_STANDIN_THREADS", "2")
            .env("ANE_STANDIN_LOG", "1");
        command
    }

    fn fired(&self) -> String {
        fs::read_to_string(self.path("faults/fired")).unwrap_or_default()
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The same steps without any of the C functions: the loss of the last step, and the state.
fn trained_directly(bench: &Bench, steps: u32) -> Vec<Vec<u8>> {
    let options = Options::new(Numerics::of(bench.legal.target()));
    let plan = Plan::compile(bench.legal.graph(), options).unwrap();
    let pool = Pool::new(1).unwrap();
    let buffer = |name: &str| {
        let port = plan.inputs().iter().chain(plan.outputs());
        SharedBuffer::new(port.clone().find(|p| p.name == name).unwrap().ty.bytes())
    };
    let filled = |seed: usize, name: &str| {
        let buffer = buffer(name);
        buffer.write_u16(|b| b.copy_from_slice(&bench.input(name, seed)));
        buffer
    };
    let a: Vec<SharedBuffer> = (0..6).map(|i| filled(i, INPUTS[i])).collect();
    let b: Vec<SharedBuffer> = STATE.iter().map(|name| buffer(name)).collect();
    let loss = buffer("loss");
    let bound = |from: &[SharedBuffer], to: &[SharedBuffer]| {
        let input = |name: &str| match INPUTS.iter().position(|n| *n == name).unwrap() {
            i @ 0..2 => a[i].clone(),
            i => from[i - 2].clone(),
        };
        let output = |name: &str| match name.strip_suffix("_next") {
            None => loss.clone(),
            Some(state) => to[STATE.iter().position(|n| *n == state).unwrap()].clone(),
        };
        let inputs: Vec<_> = plan.inputs().iter().map(|p| input(&p.name)).collect();
        let outputs: Vec<_> = plan.outputs().iter().map(|p| output(&p.name)).collect();
        plan.bind(&inputs, &outputs, 1).unwrap()
    };
    let mut sides = [bound(&a[2..], &b), bound(&b, &a[2..])];
    for step in 0..steps {
        sides[step as usize % 2].execute(&pool);
    }
    let kept = std::iter::once(&loss).chain(&a[2..]);
    kept.map(|buffer| buffer.read(<[u8]>::to_vec)).collect()
}

/// A thousand steps of the C program give the engine's own bits, and learn.
fn trains(change: impl FnOnce(&mut Command)) {
    let bench = Bench::new();
    let untrained = trained_directly(&bench, 2);
    let expected = trained_directly(&bench, 1000);
    let mut command = bench.command(1000);
    change(&mut command);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let loss = |bytes: &[u8]| u16::from_le_bytes([bytes[0], bytes[1]]);
    let said = format!("loss {:04x} after 1000 steps\n", loss(&expected[0]));
    assert_eq!(String::from_utf8_lossy(&output.stdout), said);
    // Positive numbers of fp16 have the order of their bits.
    assert!(loss(&expected[0]) < loss(&untrained[0]) - 0x0400, "{said}");
    for (name, expected) in std::iter::once("loss").chain(STATE).zip(&expected) {
        let found = fs::read(bench.path(&format!("{name}.out"))).unwrap();
        assert_eq!(found, *expected, "{name}");
    }
}

#[test]
fn a_thousand_steps_with_resident_state_give_the_engines_own_bits() {
    trains(|_| {});
}

#[test]
fn a_thousand_steps_in_place_give_the_same_bits() {
    trains(|command| {
        command.arg("in-place");
    });
}

#[test]
fn a_stand_in_that_poisons_state_in_place_trains_nobody() {
    let bench = Bench::new();
    let mut command = bench.command(4);
    command
        .arg("in-place")
        .env("ANE_STANDIN_IN_PLACE", "poison");
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(said, "loss ffff after 4 steps\n", "{}", stderr(&output));
}

#[test]
fn faults_of_a_shared_plan_reach_every_process_once() {
    let bench = Bench::new();
    let compile = bench.suffer("compile 1 fail\n");
    assert_eq!(compile.status.code(), Some(1));
    let expected = "returned 12: e5rt_e5_compiler_compile: compile fails as planned\n";
    assert!(stderr(&compile).ends_with(expected), "{}", stderr(&compile));
    // The counters have passed the fault: the next process that shares them compiles, loads twice and executes.
    let again = bench
        .command(4)
        .env("ANE_STANDIN_FAULTS", bench.path("faults"))
        .output();
    assert!(again.unwrap().status.success());
    assert_eq!(bench.fired(), "compile 1 fail\n");
    let counts = fs::read_to_string(bench.path("faults/counts")).unwrap();
    let counts: Vec<u64> = counts
        .lines()
        .map(|line| line.split_once(' ').unwrap().1.parse().unwrap())
        .collect();
    assert_eq!(counts, [2, 2, 4, 2]);
}

#[test]
fn a_crash_ends_the_process_after_it_was_recorded() {
    use std::os::unix::process::ExitStatusExt;
    const ABORT: i32 = 6;
    let bench = Bench::new();
    for plan in ["load 2 crash\n", "execute 3 crash\n", "unload 1 crash\n"] {
        let output = bench.suffer(plan);
        assert_eq!(
            output.status.signal(),
            Some(ABORT),
            "{plan}{}",
            stderr(&output)
        );
        assert_eq!(bench.fired(), plan);
    }
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_hang_never_returns_and_was_recorded() {
    let bench = Bench::new();
    let mut command = bench.suffering("execute 2 hang\n");
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut running = Running(child.unwrap());
    while bench.fired().is_empty() {
        let ended = running.0.try_wait().unwrap();
        assert_eq!(ended, None, "the program ended before it hung");
        std::thread::yield_now();
    }
    assert_eq!(bench.fired(), "execute 2 hang\n");
    assert_eq!(running.0.try_wait().unwrap(), None);
    assert!(!bench.path("w0.out").exists());
}

#[test]
fn a_broken_environment_fails_every_call_and_says_why() {
    let bench = Bench::new();
    let output = bench
        .command(4)
        .env("ANE_STANDIN_CHIP", "m4")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(
        said.contains("`ANE_STANDIN_CHIP` is `m4`, expected h13 to h17"),
        "{said}"
    );
    assert!(
        said.contains("e5rt_e5_compiler_config_options_create returned 14: "),
        "{said}"
    );
}

/// The functions that the header declares.
fn declared() -> Vec<&'static str> {
    let header = include_str!("../include/e5rt.h");
    let names: Vec<&str> = header
        .match_indices("e5rt_")
        .filter_map(|(at, _)| {
            let (name, _) = header[at..].split_once('(')?;
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
            name.chars().all(is_name).then_some(name)
        })
        .collect();
    assert_eq!(names.len(), 51);
    names
}

#[test]
fn what_training_does_not_call_does_what_it_says() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let text = "program(1.3) {
        func main<ios18>(tensor<fp16, [1, 32]> x) {
            tensor<fp16, [1, 32]> y = add(x = x, y = x);
        } -> (y);
    }";
    fs::write(path("model.mil"), text).unwrap();
    for folder in ["cache", "faults"] {
        fs::create_dir(path(folder)).unwrap();
    }
    fs::write(path("faults/plan"), "compile 2 fail\n").unwrap();
    compile(&source("rest.c"), &path("rest"));
    let output = Command::new(path("rest"))
        .arg(library_path().unwrap())
        .args([path("model.mil"), path("cache")])
        .env("ANE_STANDIN_CHIP", TARGET)
        .env("ANE_STANDIN_FAULTS", path("faults"))
        .env("ANE_STANDIN_THREADS", "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    // One that a bundle did not save, the forced one, that of the processor, and that without a cache.
    let done = ane_standin::Faults::directory(&path("faults")).unwrap();
    let compilations = done.counts().unwrap().of(ane_standin::Event::Compile);
    assert_eq!((compilations, done.fired().unwrap().len()), (4, 1));
}

#[test]
fn every_declared_function_is_called_by_a_c_program() {
    let programs = [
        include_str!("support/train.c"),
        include_str!("support/rest.c"),
        include_str!("support/calls.h"),
    ]
    .concat();
    let is_called = |name: &&str| {
        let calls = [format!("CALL({name},"), format!("p_{name}(")];
        calls.iter().any(|call| programs.contains(call))
    };
    let uncalled: Vec<&str> = declared().into_iter().filter(|n| !is_called(n)).collect();
    assert_eq!(uncalled, [""; 0]);
}

#[test]
fn every_declared_function_is_exported() {
    let names = declared();
    let directory = tempfile::tempdir().unwrap();
    let (source, program) = (
        directory.path().join("find.c"),
        directory.path().join("find"),
    );
    // The array only compiles when every name is declared.
    let found: Vec<String> = names
        .iter()
        .map(|name| format!("{{\"{name}\", (void *)sizeof(__typeof__(&{name}))}},"))
        .collect();
    let text = format!(
        "#include <dlfcn.h>
#include <stdio.h>
#include \"e5rt.h\"
static const struct {{ const char *name; void *size; }} all[] = {{{}}};
int main(int argc, char **argv) {{
    void *library = argc > 1 ? dlopen(argv[1], RTLD_NOW) : 0;
    for (unsigned i = 0; library && i < sizeof all / sizeof *all; i++)
        if (!dlsym(library, all[i].name))
            puts(all[i].name);
    return !library;
}}
",
        found.concat()
    );
    fs::write(&source, text).unwrap();
    compile(&source, &program);
    let output = Command::new(&program)
        .arg(library_path().unwrap())
        .output()
        .unwrap();
    assert!(output.status.success(), "the library does not load");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "not exported");
}
