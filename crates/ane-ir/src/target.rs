//! Where a program runs: a chip (or software without limits) reached by a route, with what is known about both.
//!
//! Rules and passes read their numbers here and keep none. Every number names its evidence; the sources are public
//! projects that measured real chips, none of which is ours.

mod op_floors;

pub use op_floors::{OpSupport, op_support};

use crate::types::DType;
use std::{fmt, str::FromStr};

/// What e5rt carries (aneforge docs/capabilities.md).
const DENSE: &[DType] = &[
    DType::Fp16,
    DType::Int8,
    DType::UInt8,
    DType::Int16,
    DType::UInt16,
];
/// What e5rt carries out of an M3 (ironmill saw int8 outputs refused there).
const DENSE_OUT_OF_M3: &[DType] = &[DType::Fp16, DType::UInt8, DType::Int16, DType::UInt16];
/// What IOSurfaces carry on every system (qwen-ane on macOS 27).
const ROWS: &[DType] = &[DType::Fp16];

/// A Neural Engine generation, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Chip {
    /// No hardware limits and no hardware quirks.
    Software,
    /// M1 family.
    H13,
    /// M2 family.
    H14,
    /// M3 family.
    H15,
    /// M4 family, A17 Pro.
    H16,
    /// M5 family.
    H17,
}

impl Chip {
    /// All of them, oldest hardware after software.
    pub const ALL: [Self; 6] = [
        Self::Software,
        Self::H13,
        Self::H14,
        Self::H15,
        Self::H16,
        Self::H17,
    ];

    /// The hardware ones.
    pub const HARDWARE: [Self; 5] = [Self::H13, Self::H14, Self::H15, Self::H16, Self::H17];

    /// Short name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Software => "software",
            Self::H13 => "h13",
            Self::H14 => "h14",
            Self::H15 => "h15",
            Self::H16 => "h16",
            Self::H17 => "h17",
        }
    }
}

impl fmt::Display for Chip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How a program reaches the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Route {
    /// The C functions of Espresso: dense buffers, ports bound by name.
    E5rt,
    /// `_ANEClient` with a model directory: rows of 64 bytes, symbols.
    Client,
    /// `_ANEInMemoryModel`: rows of 64 bytes, symbols.
    Memory,
}

impl Route {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::E5rt, Self::Client, Self::Memory];

    /// Short name.
    pub fn name(self) -> &'static str {
        match self {
            Self::E5rt => "e5rt",
            Self::Client => "client",
            Self::Memory => "memory",
        }
    }

    /// Whether tensors cross the boundary in rows of 64 bytes (ane-reference: _ANEClient and _ANEInMemoryModel
    /// read IOSurfaces row by row; e5rt re-lays dense buffers out itself).
    pub fn has_rows(self) -> bool {
        self != Self::E5rt
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A chip reached by a route; displays and parses as `h16`, `h16:client` or `software`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Target {
    /// Which engine.
    pub chip: Chip,
    /// How it is reached.
    pub route: Route,
}

impl Target {
    /// No limits, no quirks.
    pub const SOFTWARE: Self = Self {
        chip: Chip::Software,
        route: Route::E5rt,
    };

    /// A target.
    pub fn new(chip: Chip, route: Route) -> Self {
        Self { chip, route }
    }

    /// Whether a real chip's limits hold.
    pub fn is_chip(&self) -> bool {
        self.chip != Chip::Software
    }

    /// Longest axis. Spatial and contracted axes end at 16,384 up to M3 and at 65,536 from M4 (aneforge
    /// docs/capabilities.md, M1, M2 Pro, M5).
    pub fn max_axis(&self) -> Option<usize> {
        match self.chip {
            Chip::Software => None,
            Chip::H13 | Chip::H14 | Chip::H15 => Some(16_384),
            Chip::H16 | Chip::H17 => Some(65_536),
        }
    }

    /// Magnitude above which a matmul result is infinite: 32,752, independent of the depth (aneforge
    /// docs/numeric-cliffs.md, measured on M2 Pro and M5; assumed on all chips).
    pub fn matmul_limit(&self) -> Option<f32> {
        self.is_chip().then_some(32_752.0)
    }

    /// Magnitude above which a slice that starts inside the last axis is infinite: 4,094 on M1 and M2, exact from M4
    /// (aneforge; M3 is unprobed and assumed exact).
    pub fn slice_limit(&self) -> Option<f32> {
        matches!(self.chip, Chip::H13 | Chip::H14).then_some(4_094.0)
    }

    /// Most BLOBFILE tensors of one program: 16 by qwen-ane's probes on an M5 Max through `_ANEInMemoryModel`; e5rt
    /// carries more than 100 (aneforge), bounded here by nothing.
    pub fn max_blobs(&self) -> Option<usize> {
        (self.is_chip() && self.route.has_rows()).then_some(16)
    }

    /// Most axes of a tensor: a descriptor of the hardware has five (tinygrad:extra/accel/ane/README.md, M1), and no source
    /// compiled a program with more.
    pub fn max_rank(&self) -> Option<usize> {
        self.is_chip().then_some(5)
    }

    /// Longest row that `reshape` and `concat` may make, in elements: the widest that any chip is documented to take;
    /// the compiler was seen to crash at 100,352 (aneforge docs/developer/autograd.md, M5).
    pub fn widest_row(&self) -> Option<usize> {
        self.is_chip().then_some(65_536)
    }

    /// Bytes of which a row of a port is a multiple, where ports have rows: 64, a line of an IOSurface (see the rule
    /// `narrow_rows` and its sources).
    pub fn row_alignment(&self) -> Option<usize> {
        (self.is_chip() && self.route.has_rows()).then_some(64)
    }

    /// Element types of inputs.
    pub fn input_dtypes(&self) -> &'static [DType] {
        match (self.chip, self.route) {
            (Chip::Software, _) => &DType::ALL,
            (_, Route::E5rt) => DENSE,
            (_, Route::Client | Route::Memory) => ROWS,
        }
    }

    /// Element types of outputs.
    pub fn output_dtypes(&self) -> &'static [DType] {
        match (self.chip, self.route) {
            (Chip::H15, Route::E5rt) => DENSE_OUT_OF_M3,
            _ => self.input_dtypes(),
        }
    }

    /// Whether surfaces carry fp32 tensors that the program casts from and to fp16 at once: seen to run on M3 to M5, and
    /// refused on M1 and M2 (see the rule `io_dtypes` and its sources).
    pub fn carries_fp32_for_casts(&self) -> bool {
        self.is_chip() && self.route.has_rows() && self.chip >= Chip::H15
    }

    /// Most surfaces of one request, inputs and outputs together: the structure with which a driver maps them has 128
    /// slots (slavko-at-klincov-it/ANE-Training docs/ANE_BUFFER_SRAM.md,
    /// M3 Pro, macOS 26.3.1). Nobody has counted what e5rt makes of its ports.
    pub fn max_surfaces(&self) -> Option<usize> {
        (self.is_chip() && self.route.has_rows()).then_some(128)
    }

    /// What is known about an op here.
    pub fn op_support(&self, op: &str) -> OpSupport {
        op_support(op, self.chip, self.route)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.chip, self.route) {
            (Chip::Software, _) => f.write_str("software"),
            (chip, Route::E5rt) => write!(f, "{chip}"),
            (chip, route) => write!(f, "{chip}:{route}"),
        }
    }
}

/// A target that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "no target is called `{text}`; there are software, h13 to h17, and h16:e5rt, h16:client, h16:memory alike"
)]
pub struct ParseTargetError {
    /// What was asked for.
    pub text: String,
}

impl FromStr for Target {
    type Err = ParseTargetError;

    fn from_str(text: &str) -> Result<Self, ParseTargetError> {
        let (chip, route) = text.split_once(':').unwrap_or((text, "e5rt"));
        let chip = Chip::ALL.into_iter().find(|c| c.name() == chip);
        let route = Route::ALL.into_iter().find(|r| r.name() == route);
        match (chip, route) {
            (Some(chip), Some(route)) => Ok(Self { chip, route }),
            _ => Err(ParseTargetError { text: text.into() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_print_and_parse() {
        for chip in Chip::HARDWARE {
            for route in Route::ALL {
                let t = Target::new(chip, route);
                assert_eq!(t.to_string().parse(), Ok(t));
            }
        }
        assert_eq!("software".parse(), Ok(Target::SOFTWARE));
        assert!("h12".parse::<Target>().is_err());
    }

    #[test]
    fn software_has_no_limits() {
        let t = Target::SOFTWARE;
        assert_eq!(t.max_axis().or(t.max_blobs()).or(t.widest_row()), None);
        assert_eq!(t.row_alignment().or(t.max_surfaces()), None);
        assert!(!t.carries_fp32_for_casts());
        assert_eq!(t.max_rank(), None);
        assert_eq!((t.matmul_limit(), t.slice_limit()), (None, None));
        assert_eq!(t.input_dtypes(), DType::ALL);
        assert_eq!(t.output_dtypes(), DType::ALL);
    }

    #[test]
    fn ports_have_rows_where_surfaces_carry_them() {
        for chip in Chip::HARDWARE {
            for route in Route::ALL {
                let t = Target::new(chip, route);
                let line = route.has_rows().then_some(64);
                assert_eq!(t.row_alignment(), line, "{t}");
                assert!(t.input_dtypes().contains(&DType::Fp16), "{t}");
                assert!(!t.input_dtypes().contains(&DType::Fp32), "{t}");
                let no_bytes = chip == Chip::H15 || route.has_rows();
                assert_eq!(!t.output_dtypes().contains(&DType::Int8), no_bytes, "{t}");
            }
        }
    }
}
