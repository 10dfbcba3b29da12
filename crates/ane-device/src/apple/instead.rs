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

    fn health(&self) -> Result<(), DeviceError> {
        self.device.health()
    }

    fn recover(&self) -> Result<(), DeviceError> {
        self.device.recover()
    }

    fn verify_next(&self) {
        self.device.verify_next();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Settings;
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    /// A device that fails, recovers, and counts what it is asked.
    #[derive(Debug)]
    struct Failing {
        null: Box<dyn Device>,
        asked: Arc<AtomicUsize>,
    }

    impl Device for Failing {
        fn name(&self) -> &'static str {
            self.null.name()
        }

        fn target(&self) -> &Target {
            self.null.target()
        }

        fn layout(&self, ty: &TensorType) -> Layout {
            self.null.layout(ty)
        }

        fn counts(&self) -> Counts {
            self.null.counts()
        }

        fn compile(&self, graph: &LegalGraph) -> Result<Box<dyn Executable>, DeviceError> {
            self.null.compile(graph)
        }

        fn health(&self) -> Result<(), DeviceError> {
            Err(DeviceError::Unsupported {
                device: self.name(),
                what: "health",
            })
        }

        fn recover(&self) -> Result<(), DeviceError> {
            Ok(())
        }

        fn verify_next(&self) {
            self.asked.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn everything_is_asked_of_the_device_that_was_opened() {
        let asked = Arc::new(AtomicUsize::new(0));
        let instead = Instead {
            device: Box::new(Failing {
                null: crate::open("null", &Settings::default()).unwrap(),
                asked: asked.clone(),
            }),
            notes: vec!["a note".into()],
        };
        assert!(instead.health().is_err());
        assert!(instead.recover().is_ok());
        instead.verify_next();
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        assert_eq!(instead.notes(), ["a note"]);
    }
}
