//! The device that computes nothing: for trying out what compiles, and the template for a new device.

use crate::{
    Entry, Settings,
    buffer::{Buffer, Layout},
    device::{Bound, Counter, Counts, Device, Executable, Port, in_port_order, same_target},
    error::DeviceError,
};
use ane_ir::{Target, TensorType};
use ane_mil::LegalGraph;

pub(super) const ENTRY: Entry = Entry {
    name: "null",
    summary: "compiles and allocates, computes nothing",
    open: |settings| Ok(Box::new(Null::new(settings))),
};

#[derive(Debug)]
struct Null {
    target: Target,
    counter: Counter,
}

impl Null {
    fn new(settings: &Settings) -> Self {
        Self {
            target: settings.target,
            counter: Counter::default(),
        }
    }
}

impl Device for Null {
    fn name(&self) -> &'static str {
        ENTRY.name
    }

    fn target(&self) -> &Target {
        &self.target
    }

    fn layout(&self, ty: &TensorType) -> Layout {
        Layout::of(&self.target, ty)
    }

    fn counts(&self) -> Counts {
        self.counter.get()
    }

    fn compile(&self, graph: &LegalGraph) -> Result<Box<dyn Executable>, DeviceError> {
        same_target(&self.target, graph)?;
        self.counter.compiled();
        let (inputs, outputs) = Port::of(graph.graph());
        Ok(Box::new(Program {
            inputs,
            outputs,
            counter: self.counter.clone(),
        }))
    }
}

#[derive(Debug)]
struct Program {
    inputs: Vec<Port>,
    outputs: Vec<Port>,
    counter: Counter,
}

impl Executable for Program {
    fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    fn bind(&self, ports: &[(&str, &Buffer)]) -> Result<Box<dyn Bound>, DeviceError> {
        in_port_order(&self.inputs, &self.outputs, ports)?;
        Ok(Box::new(Nothing {
            counter: self.counter.clone(),
        }))
    }
}

#[derive(Debug)]
struct Nothing {
    counter: Counter,
}

impl Bound for Nothing {
    fn execute(&mut self) -> Result<(), DeviceError> {
        self.counter.dispatched();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ane_ir::Graph;

    fn program() -> (Null, Box<dyn Executable>) {
        let device = Null::new(&Settings::default());
        let mut g = Graph::new();
        let x = g.input("x", TensorType::fp16([2, 4])).unwrap();
        let y = g.relu(x).unwrap();
        g.output("y", y).unwrap();
        let legal = ane_mil::check(g, device.target()).unwrap();
        let executable = device.compile(&legal).unwrap();
        (device, executable)
    }

    fn buffers(device: &Null) -> (Buffer, Buffer) {
        let ty = TensorType::fp16([2, 4]);
        (device.allocate(&ty).unwrap(), device.allocate(&ty).unwrap())
    }

    #[test]
    fn programs_are_compiled_bound_executed_and_counted_but_not_computed() {
        let (device, executable) = program();
        let counts = |compiles, dispatches| Counts {
            compiles,
            dispatches,
        };
        assert_eq!(device.counts(), counts(1, 0));
        let names = |ports: &[Port]| ports.iter().map(|p| p.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(executable.inputs()), ["x"]);
        assert_eq!(names(executable.outputs()), ["y"]);
        let (x, y) = buffers(&device);
        x.copy_in(&[1.0; 8]).unwrap();
        let mut bound = executable.bind(&[("x", &x), ("y", &y)]).unwrap();
        assert_eq!(device.counts(), counts(1, 0));
        for _ in 0..3 {
            bound.execute().unwrap();
        }
        assert_eq!(device.counts(), counts(1, 3));
        assert_eq!(y.copy_out(), [0.0; 8]);
    }

    #[test]
    fn every_port_is_bound_once_by_a_name_it_has_to_a_buffer_that_fits() {
        let (device, executable) = program();
        let (x, y) = buffers(&device);
        let wide = device.allocate(&TensorType::fp16([2, 5])).unwrap();
        let refusal = |ports: &[(&str, &Buffer)]| executable.bind(ports).unwrap_err().to_string();
        assert_eq!(
            refusal(&[("x", &x), ("y", &y), ("z", &y)]),
            "the program has no port `z`; it has x, y"
        );
        assert_eq!(
            refusal(&[("x", &x)]),
            "port `y` is bound 0 times; bind every port once"
        );
        assert_eq!(
            refusal(&[("x", &x), ("y", &y), ("x", &y)]),
            "port `x` is bound 2 times; bind every port once"
        );
        assert_eq!(
            refusal(&[("x", &x), ("y", &wide)]),
            "port `y` is tensor<fp16, [2, 4]>, its buffer holds tensor<fp16, [2, 5]>"
        );
    }

    #[test]
    fn a_graph_checked_for_another_target_is_refused() {
        let (device, _) = program();
        let mut g = Graph::new();
        let x = g.input("x", TensorType::fp16([2, 32])).unwrap();
        let y = g.relu(x).unwrap();
        g.output("y", y).unwrap();
        let legal = ane_mil::check(g, &"h16".parse().unwrap()).unwrap();
        assert_eq!(
            device.compile(&legal).unwrap_err().to_string(),
            "the graph was checked for h16, the device is software"
        );
        assert_eq!(device.counts().compiles, 1);
    }
}
