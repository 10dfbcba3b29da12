//! What a loaded program says of itself: the symbols of its ports, and how they lie in memory.
//!
//! A request binds surfaces to numbers. Which number is which port is the compiler's choice, in no order that can be
//! relied upon, so the numbers are looked up here by the ports' names.

use super::{messages::Object, surface};
use crate::{apple::AppleError, device::Port};
use ane_ir::TensorType;
use objc2_foundation::{NSArray, NSDictionary, NSNumber, NSString};

/// What the compiler appends to names of outputs.
const OUTPUT_SUFFIX: &str = "@output";
/// Alignment of rows.
const LINE: usize = 64;

/// Which side of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Input,
    Output,
}

/// Symbols of ports, in the order of the ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Symbols {
    pub(super) inputs: Vec<usize>,
    pub(super) outputs: Vec<usize>,
    /// Whether the program says how every port lies in memory. What it says agrees with our buffers.
    pub(super) layout_is_stated: bool,
}

impl Symbols {
    /// Looks up every port, and compares its layout where the program says how it is.
    ///
    /// # Errors
    /// When a port has no symbol, or lies otherwise than our buffers do.
    pub(super) fn of(
        attributes: &NSDictionary,
        inputs: &[Port],
        outputs: &[Port],
    ) -> Result<Self, AppleError> {
        let mut stated = true;
        let mut side = |side: Side, ports: &[Port]| -> Result<Vec<usize>, AppleError> {
            let symbols = symbols(attributes, side);
            ports
                .iter()
                .map(|port| {
                    stated &= check_layout(attributes, side, port)?;
                    let found = symbols.iter().find(|(name, _)| *name == port.name);
                    found.map(|(_, symbol)| *symbol).ok_or_else(|| {
                        let known: Vec<&str> = symbols.iter().map(|(n, _)| n.as_str()).collect();
                        AppleError::PortMissing {
                            port: port.name.clone(),
                            found: known.join(", "),
                        }
                    })
                })
                .collect()
        };
        Ok(Self {
            inputs: side(Side::Input, inputs)?,
            outputs: side(Side::Output, outputs)?,
            layout_is_stated: stated,
        })
    }
}

/// Names and symbols of one side of procedure 0.
fn symbols(attributes: &NSDictionary, side: Side) -> Vec<(String, usize)> {
    let (names_key, indices_key) = match side {
        Side::Input => (
            "kANEFModelInputSymbolsArrayKey",
            "ANEFModelInputSymbolIndexArray",
        ),
        Side::Output => (
            "kANEFModelOutputSymbolsArrayKey",
            "ANEFModelOutputSymbolIndexArray",
        ),
    };
    let description = dictionary(attributes, "ANEFModelDescription");
    let names: Vec<String> = description
        .iter()
        .flat_map(|d| list(d, names_key))
        .filter_map(|name| Some(name.downcast_ref::<NSString>()?.to_string()))
        .map(|name| {
            name.strip_suffix(OUTPUT_SUFFIX)
                .map(str::to_owned)
                .unwrap_or(name)
        })
        .collect();
    let procedures = description
        .iter()
        .flat_map(|d| list(d, "ANEFModelProcedures"));
    let first = procedures
        .filter_map(|p| p.downcast::<NSDictionary>().ok())
        .find(|p| integer(p, "ANEFModelProcedureID") == Some(0));
    let indices: Vec<usize> = first
        .iter()
        .flat_map(|p| list(p, indices_key))
        .filter_map(|index| as_integer(&index))
        .collect();
    indices
        .into_iter()
        .filter_map(|index| Some((names.get(index)?.clone(), index)))
        .collect()
}

/// Compares the strides of a port with rows of 64 bytes without further gaps, and says whether the program states them.
fn check_layout(attributes: &NSDictionary, side: Side, port: &Port) -> Result<bool, AppleError> {
    let Some(entry) = layout_entry(attributes, side, &port.name) else {
        return Ok(false);
    };
    let expected = Strides::of(&port.ty);
    let bytes = surface::bytes(&port.ty, row_bytes(&port.ty));
    let found = Strides::stated(&entry, &expected, bytes);
    if found == expected {
        return Ok(true);
    }
    Err(AppleError::PortLayout {
        port: port.name.clone(),
        expected: expected.to_string(),
        found: found.to_string(),
    })
}

/// The program's statement about a port. Builds of the framework differ in how they write its keys.
fn layout_entry(
    attributes: &NSDictionary,
    side: Side,
    name: &str,
) -> Option<objc2::rc::Retained<NSDictionary>> {
    let (upper, lower) = match side {
        Side::Input => ("LiveInputList", "liveInputList"),
        Side::Output => ("LiveOutputList", "liveOutputList"),
    };
    let statuses = list(attributes, "NetworkStatusList")
        .into_iter()
        .chain(list(attributes, "networkStatusList"));
    for status in statuses {
        let Ok(status) = status.downcast::<NSDictionary>() else {
            continue;
        };
        for entry in list(&status, upper).into_iter().chain(list(&status, lower)) {
            let Ok(entry) = entry.downcast::<NSDictionary>() else {
                continue;
            };
            let stated = ["Name", "name"]
                .into_iter()
                .find_map(|key| Some(get(&entry, key)?.downcast_ref::<NSString>()?.to_string()));
            let is_port =
                stated.is_some_and(|s| s.strip_suffix(OUTPUT_SUFFIX).unwrap_or(&s) == name);
            if is_port {
                return Some(entry);
            }
        }
    }
    None
}

/// What says where a row begins.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Strides {
    rows: usize,
    row: usize,
    /// Bytes of a plane more than its rows have, and so on outwards.
    gaps: usize,
    interleave: usize,
    /// Bytes more than our surface has.
    excess: usize,
}

impl std::fmt::Display for Strides {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} rows of {} bytes", self.rows, self.row)?;
        if self.gaps > 0 {
            write!(f, " with {} bytes between planes", self.gaps)?;
        }
        if self.interleave != 1 {
            write!(f, ", {} channels interleaved", self.interleave)?;
        }
        if self.excess > 0 {
            write!(f, ", {} bytes more than a surface of ours", self.excess)?;
        }
        Ok(())
    }
}

/// Bytes of a row of our buffers.
fn row_bytes(ty: &TensorType) -> usize {
    (ty.shape.last() * ty.dtype.bytes()).next_multiple_of(LINE)
}

impl Strides {
    fn of(ty: &TensorType) -> Self {
        Self {
            rows: ty.shape.numel() / ty.shape.last(),
            row: row_bytes(ty),
            gaps: 0,
            interleave: 1,
            excess: 0,
        }
    }

    /// What an entry states; where it says nothing, what is expected. `bytes` are those of our surface.
    ///
    /// The stride of an axis of one element leads nowhere, so compilers put anything there.
    fn stated(entry: &NSDictionary, expected: &Self, bytes: usize) -> Self {
        let value = |key: &str| {
            let lower = key[..1].to_ascii_lowercase() + &key[1..];
            integer(entry, key).or_else(|| integer(entry, &lower))
        };
        let axes = ["Batches", "Depth", "Channels", "Height"].map(|key| value(key).unwrap_or(1));
        let row = value("RowStride").unwrap_or(expected.row);
        let [batches, depth, channels, height] = axes;
        let mut gaps = 0_usize;
        let mut inner = row;
        // From the rows outwards: a plane is its rows, a depth its planes, a batch its depths.
        for (key, within, count) in [
            ("PlaneStride", height, channels),
            ("DepthStride", channels, depth),
            ("BatchStride", depth, batches),
        ] {
            let dense = inner.saturating_mul(within);
            let stated = value(key).filter(|_| count > 1);
            inner = stated.unwrap_or(dense);
            gaps = gaps.saturating_add(inner.abs_diff(dense));
        }
        let whole = value("BatchStride")
            .unwrap_or(inner)
            .saturating_mul(batches);
        let has_axes = ["Height", "height"]
            .iter()
            .any(|key| get(entry, key).is_some());
        Self {
            rows: if has_axes {
                axes.iter()
                    .fold(1, |rows, &n| usize::saturating_mul(rows, n))
            } else {
                expected.rows
            },
            row,
            gaps,
            interleave: value("Interleave").unwrap_or(1),
            excess: whole.saturating_sub(bytes),
        }
    }
}

fn get(from: &NSDictionary, key: &str) -> Option<Object> {
    from.objectForKey(&NSString::from_str(key))
}

fn dictionary(from: &NSDictionary, key: &str) -> Option<objc2::rc::Retained<NSDictionary>> {
    get(from, key)?.downcast().ok()
}

fn list(from: &NSDictionary, key: &str) -> Vec<Object> {
    get(from, key)
        .and_then(|all| all.downcast::<NSArray>().ok())
        .map(|all| all.to_vec())
        .unwrap_or_default()
}

fn integer(from: &NSDictionary, key: &str) -> Option<usize> {
    as_integer(&*get(from, key)?)
}

fn as_integer(object: &objc2::runtime::AnyObject) -> Option<usize> {
    Some(object.downcast_ref::<NSNumber>()?.as_usize())
}

#[cfg(test)]
mod tests;
