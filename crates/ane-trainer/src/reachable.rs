//! Which devices can be opened here, by which of their routes, and what is said where one cannot.

use crate::output;
use ane_device::{AppleOptions, Settings};
use ane_ir::{Route, Target};
use ane_train::config::APPLE;
use serde::Serialize;

/// Whether a device can be opened, by one of its routes where it has several.
#[derive(Debug, Serialize)]
pub(crate) struct Reachable {
    pub(crate) device: &'static str,
    pub(crate) route: Option<&'static str>,
    pub(crate) opens: bool,
    /// Why not.
    pub(crate) why: Option<String>,
    /// What an open device says besides, by whatever route it was opened.
    pub(crate) notes: Vec<String>,
}

impl Reachable {
    /// Every device and every route of the one that has routes.
    pub(crate) fn all(settings: &Settings) -> Vec<Self> {
        let mut all = Vec::new();
        for entry in ane_device::DEVICES {
            if entry.name == APPLE {
                let chip = if settings.target.is_chip() {
                    settings.target.chip
                } else {
                    ane_device::detect().chip
                };
                all.extend(Route::ALL.map(|route| {
                    let wished = Settings {
                        target: Target::new(chip, route),
                        ..settings.clone()
                    };
                    Self::of(entry.name, Some(route), &wished)
                }));
            } else {
                all.push(Self::of(entry.name, None, settings));
            }
        }
        all
    }

    fn of(device: &'static str, route: Option<Route>, settings: &Settings) -> Self {
        let (why, notes) = match ane_device::open(device, settings) {
            // Another route was taken instead.
            Ok(d) if route.is_some_and(|r| d.target().route != r) => {
                let mut notes = d.notes().iter().cloned();
                (Some(notes.next().unwrap_or_default()), notes.collect())
            }
            Ok(d) => (None, d.notes().to_vec()),
            Err(e) => (Some(e.to_string()), Vec::new()),
        };
        Self {
            device,
            route: route.map(Route::name),
            opens: why.is_none(),
            why,
            notes,
        }
    }
}

/// A file that is opened instead of a framework of Apple's.
#[derive(Debug, Serialize)]
pub(crate) struct Replaced {
    pub(crate) variable: &'static str,
    pub(crate) file: String,
}

impl Replaced {
    /// All of them.
    pub(crate) fn all(options: &AppleOptions) -> Vec<Self> {
        let all = options.replaced().into_iter();
        all.map(|(variable, file)| Self {
            variable,
            file: output::path(file),
        })
        .collect()
    }
}
