//! A runtime of its own with a folder for programs, and the calls that tests make over and over.

#![allow(dead_code, reason = "no test uses all of it")]

use ane_engine::simd::{self, Isa};
use ane_standin::Environment;
use espresso_standin::{E5rtError, Handle, Runtime};
use std::{
    fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// sum = a + b, twice = a + a.
pub(crate) const SUM: &str = "program(1.3) {
    func main<ios18>(tensor<fp16, [1, 32]> a, tensor<fp16, [1, 32]> b) {
        tensor<fp16, [1, 32]> sum = add(x = a, y = b);
        tensor<fp16, [1, 32]> twice = add(x = a, y = a);
    } -> (sum, twice);
}";

/// y = x + x.
pub(crate) const DOUBLE: &str = "program(1.3) {
    func main<ios18>(tensor<fp16, [1, 32]> x) {
        tensor<fp16, [1, 32]> y = add(x = x, y = x);
    } -> (y);
}";

/// Two functions of one program.
pub(crate) const PAIR: &str = "program(1.3) {
    func up<ios18>(tensor<fp16, [1, 32]> x) {
        tensor<fp16, [1, 32]> y = add(x = x, y = x);
    } -> (y);
    func down<ios18>(tensor<fp16, [1, 32]> x) {
        tensor<fp16, [1, 32]> y = abs(x = x);
    } -> (y);
}";

/// fp32 ports, which no chip takes.
pub(crate) const UNLAWFUL: &str = "program(1.3) {
    func main<ios18>(tensor<fp32, [1, 32]> x) {
        tensor<fp32, [1, 32]> y = add(x = x, y = x);
    } -> (y);
}";

/// Bytes of every port above.
pub(crate) const BYTES: u64 = 64;

pub(crate) struct World {
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) directory: tempfile::TempDir,
}

impl World {
    pub(crate) fn new(environment: Environment) -> Self {
        Self {
            runtime: Arc::new(Runtime::new(environment).unwrap()),
            directory: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn quiet() -> Self {
        Self::new(Environment {
            threads: 1,
            ..Environment::default()
        })
    }

    pub(crate) fn written(&self, text: &str) -> PathBuf {
        // Whole at any time: other threads may be reading it.
        static WRITTEN: AtomicUsize = AtomicUsize::new(0);
        let number = WRITTEN.fetch_add(1, Ordering::Relaxed);
        let unfinished = self.directory.path().join(number.to_string());
        let path = self.directory.path().join("model.mil");
        fs::write(&unfinished, text).unwrap();
        fs::rename(unfinished, &path).unwrap();
        path
    }

    /// Options for the engine alone.
    pub(crate) fn options(&self) -> Handle {
        let options = self.runtime.options_create();
        let set = self
            .runtime
            .options_set_compute_device_types_mask(options, 4);
        set.unwrap();
        options
    }

    pub(crate) fn try_library(&self, text: &str) -> Result<Handle, E5rtError> {
        let r = &self.runtime;
        let (compiler, options) = (r.compiler_create(None).unwrap(), self.options());
        let library = r.compile(compiler, &self.written(text), options);
        r.options_release(options).unwrap();
        r.compiler_release(compiler).unwrap();
        library
    }

    pub(crate) fn library(&self, text: &str) -> Handle {
        self.try_library(text).unwrap()
    }

    /// An operation of a library's function.
    pub(crate) fn try_operation(&self, library: Handle, name: &str) -> Result<Handle, E5rtError> {
        let r = &self.runtime;
        let function = r.library_retain_program_function(library, name)?;
        let options = r.operation_options_create(function).unwrap();
        let operation = r.operation_create(options);
        r.operation_options_release(options).unwrap();
        r.function_release(function).unwrap();
        operation
    }

    /// An operation of the function `main` of a program.
    pub(crate) fn operation(&self, text: &str) -> Handle {
        let library = self.library(text);
        let operation = self.try_operation(library, "main").unwrap();
        self.runtime.library_release(library).unwrap();
        operation
    }

    pub(crate) fn bind(&self, operation: Handle, name: &str, is_input: bool, buffer: Handle) {
        self.try_bind(operation, name, is_input, buffer).unwrap();
    }

    pub(crate) fn try_bind(
        &self,
        operation: Handle,
        name: &str,
        is_input: bool,
        buffer: Handle,
    ) -> Result<(), E5rtError> {
        let r = &self.runtime;
        let port = r.operation_retain_port(operation, name, is_input)?;
        let bound = r.port_bind_buffer(port, buffer);
        r.port_release(port).unwrap();
        bound
    }

    /// An operation that doubles `x` into `y`.
    pub(crate) fn doubling(&self, x: Handle, y: Handle) -> Handle {
        let operation = self.operation(DOUBLE);
        self.bind(operation, "x", true, x);
        self.bind(operation, "y", false, y);
        operation
    }

    /// Compiles something if nothing was yet, without which there is no memory.
    pub(crate) fn warm_up(&self) {
        if !self.runtime.is_warm() {
            let library = self.library(DOUBLE);
            self.runtime.library_release(library).unwrap();
        }
    }

    /// A buffer of one port whose elements are all `value`.
    pub(crate) fn buffer(&self, value: f32) -> Handle {
        self.warm_up();
        let buffer = self.runtime.buffer_alloc(BYTES, 2).unwrap();
        self.fill(buffer, value);
        buffer
    }

    pub(crate) fn fill(&self, buffer: Handle, value: f32) {
        let memory = self.runtime.buffer_memory(buffer).unwrap();
        memory.write_u16(|out| simd::narrow(Isa::detect(), &[value; 32], &mut out[..32]));
    }

    /// The elements, which must all be the same.
    pub(crate) fn value(&self, buffer: Handle) -> f32 {
        let mut elements = [0.0; 32];
        let memory = self.runtime.buffer_memory(buffer).unwrap();
        memory.read_u16(|x| simd::widen(Isa::detect(), &x[..32], &mut elements));
        assert_eq!(elements, [elements[0]; 32]);
        elements[0]
    }

    /// Encodes, after preparing what was encoded before, executes and resets.
    pub(crate) fn run(&self, stream: Handle, operations: &[Handle]) -> Result<(), E5rtError> {
        for &operation in operations {
            // Refused for one that never was encoded, or is now.
            let _ = self.runtime.operation_prepare(operation);
            self.runtime.stream_encode(stream, operation)?;
        }
        let outcome = self.runtime.stream_execute_sync(stream);
        self.runtime.stream_reset(stream)?;
        outcome
    }
}

/// The code of a refusal.
pub(crate) fn code<T>(outcome: Result<T, E5rtError>) -> i64 {
    outcome.map_or_else(|error| error.code(), |_| 0)
}

/// The text of a refusal.
pub(crate) fn reason<T>(outcome: Result<T, E5rtError>) -> String {
    outcome.map_or_else(
        |error| error.to_string(),
        |_| "it was not refused".to_owned(),
    )
}
