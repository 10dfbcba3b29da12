//! A device that was opened because the one that was asked for could not be.

use crate::{
    buffer::{Buffer, Layout},
    device::{Counts, Device, Executable},
    error::DeviceError,
};
use ane_ir::{Target, TensorType};
use ane_mil::LegalGraph;

/// Another device, with what there is to say about it.
#[derive(Debug)]
pub(super) struct Instead {
    pub(super) device: Box<dyn Device>,
    pub(super) notes: Vec<String>,
}

impl Device for Instead {
    fn name(&self) -> &'static str {
        self.device.name()
    }

    fn target(&self) -> &Target {
        self.device.target()
    }

    fn layout(&self, ty: &TensorType) -> Layout {
        self.device.layout(ty)
    }

    fn counts(&self) -> Counts {
        self.device.counts()
    }

    fn notes(&self) -> &[String] {
        &self.notes
    }

    fn compile(&self, graph: &LegalGraph) -> Result<Box<dyn Executable>, DeviceError> {
        self.device.compile(graph)
    }

    fn allocate(&self, ty: &TensorType) -> Result<Buffer, DeviceError> {
        self.device.allocate(ty)
    }
}
