//! A loaded program, and evaluating it over surfaces.
//!
//! What is found wrong before the engine starts has the driver's status: 0x1d for a symbol without a surface, one that the
//! program does not have, or a surface of the wrong geometry; 0x2 for the symbols of another procedure. A wrong symbol
//! whose sizes fit goes unnoticed and reads the other tensor, as on a Mac.

use crate::classes::request::Bindings;
use crate::daemon::{self, Daemon};
use crate::failure::{Code, Failure};
use crate::geometry::{Geometry, PAGE};
use crate::surface::{EngineUse, Memory};
use crate::symbols::{Symbol, Symbols};
use ane_engine::{Pool, SharedBuffer};
use ane_standin::{Event, Execution, Fault, Function, InPlace, LoadedSlot, Program};
use std::sync::{Arc, Mutex, PoisonError};

/// Procedure indices that a program with a single procedure takes for that one.
const ALIASES_OF_FIRST: u64 = 16;

/// A program in the engine. It holds a place of the limit until dropped.
#[derive(Debug)]
pub(crate) struct Resident {
    procedures: Vec<Procedure>,
    pool: Arc<Pool>,
    _slot: LoadedSlot,
}

/// One function of it.
#[derive(Debug)]
pub(crate) struct Procedure {
    function: Function,
    symbols: Symbols,
    /// Dense buffers, made at the first evaluation; one evaluation at a time uses them.
    prepared: Mutex<Option<Prepared>>,
}

/// A surface for every symbol.
type Side<'a> = Vec<(&'a Symbol, &'a Arc<Memory>)>;

/// A procedure with the surfaces of a request.
struct Placed<'a> {
    procedure: &'a Procedure,
    inputs: Side<'a>,
    outputs: Side<'a>,
}

#[derive(Debug)]
struct Prepared {
    inputs: Vec<SharedBuffer>,
    outputs: Vec<SharedBuffer>,
    execution: Execution,
}

impl Procedure {
    pub(crate) fn name(&self) -> &str {
        self.function.name()
    }

    pub(crate) fn symbols(&self) -> &Symbols {
        &self.symbols
    }

    fn prepare(&self, threads: usize) -> Result<Prepared, Failure> {
        let dense = |ports: &[ane_engine::Port]| -> Vec<SharedBuffer> {
            let one = |port: &ane_engine::Port| SharedBuffer::new(port.ty.bytes());
            ports.iter().map(one).collect()
        };
        let inputs = dense(self.function.inputs());
        let outputs = dense(self.function.outputs());
        let execution = self
            .function
            .bind(&inputs, &outputs, threads, InPlace::State)
            .map_err(|error| {
                daemon::log(&error.to_string());
                Failure::inference(0x1d)
            })?;
        Ok(Prepared {
            inputs,
            outputs,
            execution,
        })
    }
}

impl Resident {
    pub(crate) fn new(program: &Program, slot: LoadedSlot, pool: Arc<Pool>) -> Arc<Self> {
        let functions = program.functions();
        let one = |(function, symbols): (&Function, Symbols)| Procedure {
            function: function.clone(),
            symbols,
            prepared: Mutex::default(),
        };
        Arc::new(Self {
            procedures: functions
                .iter()
                .zip(Symbols::of(functions))
                .map(one)
                .collect(),
            pool,
            _slot: slot,
        })
    }

    pub(crate) fn procedures(&self) -> &[Procedure] {
        &self.procedures
    }

    /// Whether the surfaces of a request could be mapped: geometry is looked at there as when evaluating (tmc, M4 Max).
    ///
    /// # Errors
    /// When one is missing, belongs to no symbol, or has the wrong geometry.
    pub(crate) fn map(&self, bindings: &Bindings) -> Result<(), Failure> {
        bindings.validate()?;
        let misfit = |_| Failure::new(Code::Map, "Program IOSurfaces map failure (0x1D)");
        self.placed(bindings).map(|_| ()).map_err(misfit)
    }

    /// The procedure that the bindings name, and the surface of every symbol of it.
    fn placed<'a>(&'a self, bindings: &'a Bindings) -> Result<Placed<'a>, Failure> {
        bindings.validate()?;
        let procedure = self.procedure(bindings.procedure)?;
        Ok(Placed {
            procedure,
            inputs: self.place(&procedure.symbols.inputs, &bindings.inputs, |s| &s.inputs)?,
            outputs: self.place(&procedure.symbols.outputs, &bindings.outputs, |s| {
                &s.outputs
            })?,
        })
    }

    /// Runs the procedure that the bindings name.
    pub(crate) fn evaluate(&self, bindings: &Bindings) -> Result<(), Failure> {
        let fault = Daemon::current()?.fault(Event::Execute);
        let Placed {
            procedure,
            inputs,
            outputs,
        } = self.placed(bindings)?;
        let _in_use = EngineUse::begin(inputs.iter().chain(&outputs).map(|(_, memory)| *memory))?;
        match fault {
            Some(Fault::Fail) => return Err(Failure::inference(0xf)),
            Some(Fault::Geometry) => return Err(Failure::inference(0x1d)),
            Some(Fault::Unwritten) => return Ok(()),
            Some(Fault::Leak) => daemon::leak(),
            _ => {}
        }
        let mut prepared = procedure
            .prepared
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let prepared = match &mut *prepared {
            Some(prepared) => prepared,
            empty => empty.insert(procedure.prepare(self.pool.threads())?),
        };
        for (symbol, memory) in &inputs {
            prepared.inputs[symbol.port]
                .write(|dense| memory.read(|surface| symbol.geometry.gather(surface, dense)));
        }
        prepared.execution.execute(&self.pool);
        match fault {
            Some(Fault::Corrupt) => prepared.execution.corrupt(),
            Some(Fault::Zeros) => prepared.execution.zero(),
            _ => {}
        }
        for (symbol, memory) in &outputs {
            prepared.outputs[symbol.port]
                .read(|dense| memory.write(|surface| symbol.geometry.scatter(dense, surface)));
        }
        Ok(())
    }

    fn procedure(&self, index: u64) -> Result<&Procedure, Failure> {
        let index = match self.procedures.len() {
            1 if index < ALIASES_OF_FIRST => 0,
            _ => usize::try_from(index).unwrap_or(usize::MAX),
        };
        self.procedures.get(index).ok_or_else(|| {
            daemon::log(&format!("the program has no procedure {index}"));
            Failure::inference(0x2)
        })
    }

    /// The surface of every symbol.
    fn place<'a>(
        &self,
        symbols: &'a [Symbol],
        bound: &'a [(u64, Arc<Memory>)],
        side: impl Fn(&Symbols) -> &[Symbol],
    ) -> Result<Side<'a>, Failure> {
        let refuse = |status, reason: String| {
            daemon::log(&reason);
            Failure::inference(status)
        };
        for (index, _) in bound {
            if symbols.iter().any(|symbol| symbol.index == *index) {
                continue;
            }
            let all = self
                .procedures
                .iter()
                .flat_map(|procedure| side(&procedure.symbols));
            let elsewhere = all.into_iter().any(|symbol| symbol.index == *index);
            let status = if elsewhere { 0x2 } else { 0x1d };
            return Err(refuse(
                status,
                format!("the procedure has no symbol {index}"),
            ));
        }
        let place = |symbol: &'a Symbol| {
            let mut surfaces = bound.iter().filter(|(index, _)| *index == symbol.index);
            let (Some((_, memory)), None) = (surfaces.next(), surfaces.next()) else {
                let reason = format!("symbol {} needs one surface", symbol.name);
                return Err(refuse(0x1d, reason));
            };
            match misfit(&symbol.geometry, memory) {
                Some(reason) => Err(refuse(0x1d, format!("symbol {}: {reason}", symbol.name))),
                None => Ok((symbol, memory)),
            }
        };
        symbols.iter().map(place).collect()
    }
}

/// Why a surface cannot carry a tensor.
fn misfit(geometry: &Geometry, memory: &Memory) -> Option<String> {
    let (needed, found) = (geometry.bytes(), memory.bytes());
    if found < needed {
        return Some(format!(
            "the surface has {found} bytes, {needed} are needed"
        ));
    }
    if !found.is_multiple_of(PAGE) {
        return Some(format!(
            "the surface has {found} bytes, which is no multiple of {PAGE}"
        ));
    }
    let (row, expected) = (memory.shape().bytes_per_row, geometry.row_stride);
    if memory.shape().height > 1 && row != expected {
        return Some(format!(
            "the surface has rows of {row} bytes, {expected} are needed"
        ));
    }
    None
}

/// The refusal that libane saw on the memory route.
pub(crate) fn refuse_mapping() -> Failure {
    Failure::new(Code::Map, "Program IOSurfaces map failure (0x12)")
}
