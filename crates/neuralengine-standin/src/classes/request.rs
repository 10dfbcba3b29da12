//! `_ANERequest`: which surface belongs to which symbol of which procedure.
//!
//! A request can be made of almost anything; it is judged when it is evaluated, or by `-validate`. Arrays that are no
//! arrays make no request at all. The weights buffer and statistics are taken and not looked at: on a Mac the former does
//! not replace weights either.

use crate::classes::surface_object::SurfaceObject;
use crate::failure::Failure;
use crate::plist::{elements, value};
use crate::runtime::{Live, Method, add, no_init};
use crate::surface::Memory;
use objc2::rc::Retained;
use objc2::runtime::{AnyClass, AnyObject, NSObject, Sel};
use objc2::{AnyThread, ClassType, DefinedClass, define_class, msg_send};
use std::sync::Arc;

/// Surfaces on one side of a request.
const MAX_BUFFERS: usize = 255;
const MAX_SYMBOL: u64 = 254;
const MAX_PROCEDURE: u64 = 128;

/// Symbols and their surfaces.
type Side = Vec<(u64, Arc<Memory>)>;

/// What a request binds.
#[derive(Debug)]
pub(crate) struct Bindings {
    pub(crate) inputs: Side,
    pub(crate) outputs: Side,
    pub(crate) procedure: u64,
    /// Why the arrays do not fit each other.
    mismatch: Option<&'static str>,
}

impl Bindings {
    /// The limits that hold for every program.
    ///
    /// # Errors
    /// The first that is not kept.
    pub(crate) fn validate(&self) -> Result<(), Failure> {
        let refuse = |what: &str| Err(Failure::bad_argument(format!("_ANERequest: {what}")));
        if let Some(mismatch) = self.mismatch {
            return refuse(mismatch);
        }
        for side in [&self.inputs, &self.outputs] {
            if side.is_empty() {
                return refuse("a side without surfaces");
            }
            if side.len() > MAX_BUFFERS {
                return refuse("more than 255 surfaces on a side");
            }
            if side.iter().any(|(symbol, _)| *symbol > MAX_SYMBOL) {
                return refuse("a symbol index above 254");
            }
        }
        if self.procedure > MAX_PROCEDURE {
            return refuse("a procedure index above 128");
        }
        Ok(())
    }
}

#[derive(Debug)]
pub(crate) struct Ivars {
    bindings: Bindings,
    _live: Live,
}

define_class!(
    // SAFETY: NSObject asks nothing of its subclasses.
    #[unsafe(super(NSObject))]
    #[name = "_ANERequest"]
    #[ivars = Ivars]
    #[derive(Debug)]
    pub(crate) struct Request;
);

impl Request {
    pub(crate) fn bindings(&self) -> &Bindings {
        &self.ivars().bindings
    }

    /// The request that an argument is.
    ///
    /// # Errors
    /// When it is nil or something else.
    pub(crate) fn of(object: Option<&AnyObject>) -> Result<&Self, Failure> {
        object
            .and_then(|object| object.downcast_ref::<Self>())
            .ok_or_else(|| Failure::bad_argument("the request is no _ANERequest"))
    }
}

/// One side; the second is what is wrong with it.
fn side(
    surfaces: Option<&AnyObject>,
    indices: Option<&AnyObject>,
) -> Option<(Side, Option<&'static str>)> {
    let (surfaces, indices) = (elements(surfaces)?, elements(indices)?);
    let count = (surfaces.len() != indices.len())
        .then_some("as many symbol indices as surfaces are needed");
    let pairs: Option<Vec<_>> = surfaces
        .iter()
        .zip(&indices)
        .map(|(surface, index)| {
            let surface = surface.downcast_ref::<SurfaceObject>()?;
            Some((value(Some(index))?, surface.memory().clone()))
        })
        .collect();
    Some(match pairs {
        Some(pairs) => (pairs, count),
        None => (
            Vec::new(),
            Some("surfaces are _ANEIOSurfaceObject and indices NSNumber"),
        ),
    })
}

/// `+requestWithInputs:inputIndices:outputs:outputIndices:weightsBuffer:perfStats:procedureIndex:`.
#[allow(clippy::too_many_arguments)]
extern "C-unwind" fn with_all(
    _: &AnyClass,
    _: Sel,
    inputs: Option<&AnyObject>,
    input_indices: Option<&AnyObject>,
    outputs: Option<&AnyObject>,
    output_indices: Option<&AnyObject>,
    _weights: Option<&AnyObject>,
    _statistics: Option<&AnyObject>,
    procedure: Option<&AnyObject>,
) -> *mut Request {
    let (Some((inputs, in_fault)), Some((outputs, out_fault))) =
        (side(inputs, input_indices), side(outputs, output_indices))
    else {
        return std::ptr::null_mut();
    };
    let procedure = value(procedure);
    let in_procedure = procedure
        .is_none()
        .then_some("the procedure index is no NSNumber");
    let bindings = Bindings {
        inputs,
        outputs,
        procedure: procedure.unwrap_or_default(),
        mismatch: in_fault.or(out_fault).or(in_procedure),
    };
    let this = Request::alloc().set_ivars(Ivars {
        bindings,
        _live: Live::new(),
    });
    // SAFETY: NSObject's initialiser.
    let this: Retained<Request> = unsafe { msg_send![super(this), init] };
    Retained::autorelease_return(this)
}

/// `-validate`.
extern "C-unwind" fn validate(this: &Request, _: Sel) -> bool {
    this.bindings().validate().is_ok()
}

pub(crate) fn register() {
    let instance = [
        Method(c"init", c"@16@0:8", no_init as *const ()),
        Method(c"validate", c"B16@0:8", validate as *const ()),
    ];
    let of_class = [Method(
        c"requestWithInputs:inputIndices:outputs:outputIndices:weightsBuffer:perfStats:procedureIndex:",
        c"@72@0:8@16@24@32@40@48@56@64",
        with_all as *const (),
    )];
    // SAFETY: the functions have the types that the encodings say.
    unsafe { add(Request::class(), &instance, &of_class) };
}
