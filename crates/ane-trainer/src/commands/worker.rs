//! `worker`: runs a device for a training in another process, which starts it.

use crate::failure::Failure;
use std::process::ExitCode;

pub(crate) fn run() -> Result<ExitCode, Failure> {
    ane_device::serve(ane_device::open)?;
    Ok(ExitCode::SUCCESS)
}
