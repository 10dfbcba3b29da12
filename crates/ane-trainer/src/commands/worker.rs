//! `worker`: runs a device for a training in another process, which starts it.

use crate::{ended::Ended, failure::Failure};

pub(crate) fn run() -> Result<Ended, Failure> {
    ane_device::serve(ane_device::open)?;
    Ok(Ended::Done)
}
