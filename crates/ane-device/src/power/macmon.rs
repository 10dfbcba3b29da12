//! Power on macOS, from IOReport, by the crate `macmon`.

use crate::power::{Open, PowerSource};
use std::time::Duration;

pub(crate) const OPEN: Option<Open> = Some(open);

struct Macmon(macmon::Sampler);

fn open() -> Result<Box<dyn PowerSource>, String> {
    let sampler = macmon::Sampler::new().map_err(|e| e.to_string())?;
    Ok(Box::new(Macmon(sampler)))
}

impl PowerSource for Macmon {
    fn ane_watts(&mut self, interval: Duration) -> Result<f64, String> {
        let milliseconds = u32::try_from(interval.as_millis()).unwrap_or(u32::MAX);
        let metrics = self
            .0
            .get_metrics(milliseconds)
            .map_err(|e| e.to_string())?;
        Ok(f64::from(metrics.ane_power))
    }
}
