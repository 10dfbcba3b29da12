//! A compiled program: functions by name, with their ports.

use crate::execution::{Execution, InPlace};
use ane_engine::{BindError, Plan, Port, SharedBuffer};
use ane_ir::Target;

/// What a framework's compiler would have made.
#[derive(Debug, Clone)]
pub struct Program {
    target: Target,
    digest: String,
    functions: Vec<Function>,
}

impl Program {
    pub(crate) fn new(target: Target, digest: &str, functions: Vec<Function>) -> Self {
        Self {
            target,
            digest: digest.to_owned(),
            functions,
        }
    }

    /// The target it was compiled for.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// [`crate::Source::digest`] of what it was compiled from.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Functions, in the order of the text.
    pub fn functions(&self) -> &[Function] {
        &self.functions
    }

    /// The function called `name`.
    pub fn function(&self, name: &str) -> Option<&Function> {
        self.functions.iter().find(|f| f.name == name)
    }
}

/// One function of a program. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Function {
    name: String,
    plan: Plan,
}

impl Function {
    pub(crate) fn new(name: &str, plan: Plan) -> Self {
        Self {
            name: name.to_owned(),
            plan,
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Input ports, in the order of the text.
    pub fn inputs(&self) -> &[Port] {
        self.plan.inputs()
    }

    /// Output ports, in the order of the text.
    pub fn outputs(&self) -> &[Port] {
        self.plan.outputs()
    }

    /// Binds dense buffers to the ports, in port order, for a pool of up to `threads` threads.
    ///
    /// A buffer may be larger than its port and be bound to several inputs, and to an output besides, of which `in_place`
    /// says what becomes.
    ///
    /// # Errors
    /// When a buffer is missing or too small, or two outputs share one.
    pub fn bind(
        &self,
        inputs: &[SharedBuffer],
        outputs: &[SharedBuffer],
        threads: usize,
        in_place: InPlace,
    ) -> Result<Execution, BindError> {
        Execution::new(&self.plan, inputs, outputs, threads, in_place)
    }
}
