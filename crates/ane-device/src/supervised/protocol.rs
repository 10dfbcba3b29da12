//! What parent and worker say to each other: frames of a length (u32, little-endian) and JSON.
//!
//! Tensors, programs and weights never travel here; a message names the [`Span`] of shared memory in which they lie.
//! The worker answers every request but [`Request::Release`], in order.

use super::shared_memory::Span;
use crate::{AppleOptions, Settings, error::DeviceError};
use ane_engine::{Pool, simd::Isa};
use ane_ir::{Accumulate, DType, Intermediates, NonFinite, Numerics, Shape, TensorType};
use serde::{Deserialize, Serialize};
use std::{
    io::{self, Read, Write},
    sync::Arc,
};

/// Longest frame; port names of a large program stay far below it.
const LONGEST: usize = 64 << 20;

/// What the worker is to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Request {
    /// Open the device.
    Open(Opening),
    /// Read, check and compile a program.
    Compile {
        /// Its number from now on.
        program: u64,
        /// MIL text.
        text: Span,
        /// Weight file.
        weights: Span,
        /// Inputs and the outputs that may be written in their place.
        in_place: Vec<(String, String)>,
    },
    /// Make a buffer of the device, and map its mirror.
    Allocate {
        /// Its number from now on.
        buffer: u64,
        /// Its element type.
        dtype: String,
        /// Its dimensions.
        dims: Vec<usize>,
        /// The mirror: the bytes of a dense tensor.
        mirror: Span,
    },
    /// Bind buffers to all ports of a program.
    Bind {
        /// The binding's number from now on.
        bound: u64,
        /// The program.
        program: u64,
        /// Input ports and their buffers.
        inputs: Vec<(String, u64)>,
        /// Output ports and their buffers.
        outputs: Vec<(String, u64)>,
    },
    /// Run a program once.
    Execute {
        /// The binding.
        bound: u64,
        /// Buffers to copy from their mirrors before.
        upload: Vec<u64>,
        /// Buffers to copy to their mirrors after.
        fetch: Vec<u64>,
        /// Whether to run twice and compare.
        verify: bool,
    },
    /// Copy a buffer to its mirror.
    Fetch {
        /// The buffer.
        buffer: u64,
    },
    /// Forget something. There is no answer.
    Release(Released),
    /// Close the device.
    Close,
}

/// What is no longer needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Released {
    /// A compiled program.
    Program(u64),
    /// A buffer.
    Buffer(u64),
    /// A binding.
    Bound(u64),
}

impl Request {
    /// What it is called in errors.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Open(_) => "opening",
            Self::Compile { .. } => "compiling",
            Self::Allocate { .. } => "allocating",
            Self::Bind { .. } => "binding",
            Self::Execute { .. } => "executing",
            Self::Fetch { .. } => "reading a buffer",
            Self::Release(_) => "releasing",
            Self::Close => "closing",
        }
    }
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Response {
    /// It is done.
    Done,
    /// The device is open, for this target.
    Opened {
        /// The target its programs must be checked for.
        target: String,
        /// What the user should know about how it was opened.
        notes: Vec<String>,
    },
    /// The device refused or failed.
    Failed {
        /// The error with its causes.
        message: String,
        /// Whether a fresh start may cure it.
        fault: bool,
    },
    /// Two runs gave different results.
    Differs {
        /// The first output that differs.
        port: String,
        /// How many of its bytes do.
        bytes: usize,
    },
}

impl Response {
    /// The answer that tells of an error.
    pub(super) fn failed(e: &DeviceError) -> Self {
        let mut message = e.to_string();
        let mut cause = std::error::Error::source(e);
        while let Some(e) = cause {
            message.push_str(": ");
            message.push_str(&e.to_string());
            cause = e.source();
        }
        Self::Failed {
            message,
            fault: e.is_fault(),
        }
    }
}

/// The device to open and its [`Settings`], in words that can be sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Opening {
    pub(super) device: String,
    target: String,
    isa: String,
    threads: Option<usize>,
    round: bool,
    flush_subnormals: bool,
    stepwise: bool,
    matmul_limit: Option<f32>,
    slice_limit: Option<f32>,
    silicon: bool,
    wide: bool,
    apple: AppleOptions,
}

impl Opening {
    pub(super) fn new(device: &str, settings: &Settings) -> Self {
        let n = &settings.numerics;
        Self {
            device: device.to_owned(),
            target: settings.target.to_string(),
            isa: settings.isa.to_string(),
            threads: settings.pool.as_ref().map(|p| p.threads()),
            round: n.round,
            flush_subnormals: n.flush_subnormals,
            stepwise: n.accumulate == Accumulate::Stepwise,
            matmul_limit: n.matmul_limit,
            slice_limit: n.slice_limit,
            silicon: n.non_finite == NonFinite::Silicon,
            wide: n.intermediates == Intermediates::Wide,
            apple: settings.apple.clone(),
        }
    }

    /// The settings, with a pool of this process.
    pub(super) fn settings(&self) -> Result<Settings, String> {
        let pool = |threads| Pool::new(threads).map(Arc::new).map_err(|e| e.to_string());
        Ok(Settings {
            target: self
                .target
                .parse()
                .map_err(|e: ane_ir::ParseTargetError| e.to_string())?,
            numerics: Numerics {
                round: self.round,
                flush_subnormals: self.flush_subnormals,
                accumulate: if self.stepwise {
                    Accumulate::Stepwise
                } else {
                    Accumulate::Fp32
                },
                matmul_limit: self.matmul_limit,
                slice_limit: self.slice_limit,
                non_finite: if self.silicon {
                    NonFinite::Silicon
                } else {
                    NonFinite::Ieee
                },
                intermediates: if self.wide {
                    Intermediates::Wide
                } else {
                    Intermediates::Rounded
                },
            },
            isa: self.isa.parse::<Isa>().map_err(|e| e.to_string())?,
            pool: self.threads.map(pool).transpose()?,
            apple: self.apple.clone(),
        })
    }
}

/// The type that a message describes.
pub(super) fn tensor_type(dtype: &str, dims: &[usize]) -> Option<TensorType> {
    let dtype = DType::from_name(dtype)?;
    (dims.len() <= ane_ir::MAX_RANK).then(|| TensorType {
        dtype,
        shape: Shape::new(dims),
    })
}

/// Sends a message in one write.
pub(super) fn send(to: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    let mut frame = vec![0; 4];
    serde_json::to_writer(&mut frame, message)?;
    let length = frame.len() - 4;
    let head = u32::try_from(length)
        .ok()
        .filter(|_| length <= LONGEST)
        .ok_or_else(|| io::Error::other(format!("a message of {length} bytes")))?;
    frame[..4].copy_from_slice(&head.to_le_bytes());
    to.write_all(&frame)
}

/// Receives a message; `None` when the other side has closed between two.
pub(super) fn receive<T: for<'a> Deserialize<'a>>(from: &mut impl Read) -> io::Result<Option<T>> {
    let mut head = [0; 4];
    let mut have = 0;
    while have < head.len() {
        match from.read(&mut head[have..]) {
            Ok(0) if have == 0 => return Ok(None),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => have += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    let length = u32::from_le_bytes(head) as usize;
    if length > LONGEST {
        let message = format!("a message of {length} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body)?;
    serde_json::from_slice(&body)
        .map(Some)
        .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ane_ir::{Chip, Route, Target};

    #[test]
    fn settings_cross_whole() {
        for (chip, numerics) in [
            (Chip::H13, Numerics::ieee().pessimistic()),
            (Chip::H16, Numerics::ieee().silicon()),
        ] {
            let target = Target::new(chip, Route::Client);
            let settings = Settings {
                target,
                numerics: Numerics {
                    matmul_limit: target.matmul_limit(),
                    slice_limit: target.slice_limit(),
                    ..numerics
                },
                isa: Isa::Portable,
                pool: Some(Arc::new(Pool::new(2).unwrap())),
                apple: AppleOptions {
                    resident: 7,
                    ..AppleOptions::default()
                },
            };
            let mut wire = Vec::new();
            send(&mut wire, &Opening::new("null", &settings)).unwrap();
            let back: Opening = receive(&mut wire.as_slice()).unwrap().unwrap();
            let back = back.settings().unwrap();
            assert_eq!(back.target, settings.target);
            assert_eq!(back.numerics, settings.numerics);
            assert_eq!(back.isa, settings.isa);
            assert_eq!(back.apple, settings.apple);
            assert_eq!(back.pool.unwrap().threads(), 2);
        }
    }

    #[test]
    fn cut_and_senseless_frames_are_errors_and_a_close_is_none() {
        let mut wire = Vec::new();
        send(&mut wire, &Response::Done).unwrap();
        for n in 1..wire.len() {
            assert!(receive::<Response>(&mut &wire[..n]).is_err(), "{n}");
        }
        assert_eq!(receive::<Response>(&mut &wire[..0]).unwrap(), None);
        let kind = |bytes: &[u8]| receive::<Response>(&mut &*bytes).unwrap_err().kind();
        assert_eq!(kind(&[255; 8]), io::ErrorKind::InvalidData);
        assert_eq!(kind(&[2, 0, 0, 0, b'{', b'}']), io::ErrorKind::InvalidData);
    }
}
