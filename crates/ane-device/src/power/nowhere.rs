//! Power where there is no Neural Engine to ask about.

use crate::power::Open;

pub(crate) const OPEN: Option<Open> = None;
