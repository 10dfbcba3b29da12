//! The software device, failing when a plan says so, in a worker that the tests start.

use ane_device::{
    AppleError, Bound, Buffer, Counts, Device, DeviceError, Executable, Layout, Port, Supervision,
    Worker,
};
use ane_ir::{Target, TensorType};
use ane_mil::LegalGraph;
use ane_standin::{Event, Fault, Faults};
use std::{path::Path, time::Duration};

/// Names the directory of faults, and makes this program a worker.
pub(crate) const FAULTS: &str = "ANE_TRAINER_TEST_FAULTS";

/// A file in the directory of faults that holds a note of the device.
pub(crate) const NOTE: &str = "note";

/// Makes this program a worker whose device is what it is.
const AS_IT_IS: &str = "ANE_TRAINER_TEST_AS_IT_IS";

/// This program again, serving devices as they are; the stand-in suffers the faults.
pub(crate) fn supervision_of_standin(faults: &Path, name_of_serving_test: &str) -> Supervision {
    let mut supervision = supervision(faults, name_of_serving_test);
    supervision.worker.environment = vec![
        (AS_IT_IS.into(), "1".into()),
        ("ANE_STANDIN_FAULTS".into(), faults.into()),
        ("ANE_STANDIN_THREADS".into(), "1".into()),
    ];
    supervision
}

/// This program again, running the one test that serves.
pub(crate) fn supervision(faults: &Path, name_of_serving_test: &str) -> Supervision {
    Supervision {
        compile_deadline: Duration::from_secs(20),
        execute_deadline: Duration::from_secs(20),
        ..Supervision::new(Worker {
            program: std::env::current_exe().unwrap(),
            arguments: vec![name_of_serving_test.into(), "--exact".into()],
            environment: vec![(FAULTS.into(), faults.into())],
        })
    }
}

/// Serves the tests that started this program, if they did; does not return then.
pub(crate) fn serve_if_started_as_worker() {
    if std::env::var_os(AS_IT_IS).is_some() {
        let served = ane_device::serve(ane_device::open);
        std::process::exit(i32::from(served.is_err()));
    }
    let Some(directory) = std::env::var_os(FAULTS) else {
        return;
    };
    let faults = Faults::directory(Path::new(&directory)).unwrap();
    let served = ane_device::serve(|name, settings| {
        let inner = ane_device::open(name, settings)?;
        // What stands in this file is what the device has to say about itself.
        let note = std::fs::read_to_string(Path::new(&directory).join(NOTE));
        Ok(Box::new(Faulty {
            inner,
            faults: faults.clone(),
            notes: note.into_iter().collect(),
        }))
    });
    std::process::exit(i32::from(served.is_err()));
}

#[derive(Debug)]
struct Faulty {
    inner: Box<dyn Device>,
    faults: Faults,
    notes: Vec<String>,
}

/// Acts on a fault, but for those that only outputs or resources suffer.
fn suffer(fault: Option<Fault>) -> Result<Option<Fault>, DeviceError> {
    match fault.map(Fault::act) {
        Some(Fault::Fail | Fault::Geometry) => {
            Err(AppleError::Nothing { call: "as_planned" }.into())
        }
        other => Ok(other),
    }
}

impl Device for Faulty {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn target(&self) -> &Target {
        self.inner.target()
    }

    fn layout(&self, ty: &TensorType) -> Layout {
        self.inner.layout(ty)
    }

    fn counts(&self) -> Counts {
        self.inner.counts()
    }

    fn notes(&self) -> &[String] {
        &self.notes
    }

    fn compile(&self, graph: &LegalGraph) -> Result<Box<dyn Executable>, DeviceError> {
        suffer(self.faults.at(Event::Compile))?;
        Ok(Box::new(FaultyProgram {
            inner: self.inner.compile(graph)?,
            faults: self.faults.clone(),
        }))
    }
}

#[derive(Debug)]
struct FaultyProgram {
    inner: Box<dyn Executable>,
    faults: Faults,
}

impl Executable for FaultyProgram {
    fn inputs(&self) -> &[Port] {
        self.inner.inputs()
    }

    fn outputs(&self) -> &[Port] {
        self.inner.outputs()
    }

    fn bind(&self, ports: &[(&str, &Buffer)]) -> Result<Box<dyn Bound>, DeviceError> {
        suffer(self.faults.at(Event::Load))?;
        let is_output = |name: &str| self.inner.outputs().iter().any(|p| p.name == name);
        let outputs = ports.iter().filter(|(name, _)| is_output(name));
        Ok(Box::new(FaultyBound {
            inner: self.inner.bind(ports)?,
            outputs: outputs.map(|(_, b)| (*b).clone()).collect(),
            faults: self.faults.clone(),
        }))
    }
}

#[derive(Debug)]
struct FaultyBound {
    inner: Box<dyn Bound>,
    outputs: Vec<Buffer>,
    faults: Faults,
}

impl Bound for FaultyBound {
    fn execute(&mut self) -> Result<(), DeviceError> {
        let fault = suffer(self.faults.at(Event::Execute))?;
        if fault == Some(Fault::Unwritten) {
            return Ok(());
        }
        self.inner.execute()?;
        for output in &self.outputs {
            match fault {
                Some(Fault::Corrupt) => output.memory().write(|bytes| bytes[0] ^= 0x10),
                Some(Fault::Zeros) => output.memory().write(|bytes| bytes.fill(0)),
                _ => {}
            }
        }
        Ok(())
    }
}

impl Drop for FaultyBound {
    fn drop(&mut self) {
        if suffer(self.faults.at(Event::Unload)).is_err() {
            eprintln!("a program cannot be unloaded, as planned");
        }
    }
}
