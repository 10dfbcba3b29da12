//! `_ANEIOSurfaceObject`: a surface as requests take it.

use crate::runtime::{Live, Method, add, no_init};
use crate::surface::{IOSurface, Memory};
use objc2::rc::Retained;
use objc2::runtime::{AnyClass, AnyObject, NSObject, Sel};
use objc2::{AnyThread, ClassType, DefinedClass, define_class, msg_send};
use std::sync::Arc;

#[derive(Debug)]
pub(crate) struct Ivars {
    surface: Retained<IOSurface>,
    _live: Live,
}

define_class!(
    // SAFETY: NSObject asks nothing of its subclasses.
    #[unsafe(super(NSObject))]
    #[name = "_ANEIOSurfaceObject"]
    #[ivars = Ivars]
    #[derive(Debug)]
    pub(crate) struct SurfaceObject;
);

impl SurfaceObject {
    pub(crate) fn memory(&self) -> &Arc<Memory> {
        self.ivars().surface.memory()
    }
}

/// `+objectWithIOSurface:`. Nil for nil; the surface is retained.
extern "C-unwind" fn with_surface(
    _: &AnyClass,
    _: Sel,
    surface: Option<&AnyObject>,
) -> *mut SurfaceObject {
    let Some(surface) = surface.and_then(|object| object.downcast_ref::<IOSurface>()) else {
        return std::ptr::null_mut();
    };
    let this = SurfaceObject::alloc().set_ivars(Ivars {
        surface: objc2::Message::retain(surface),
        _live: Live::new(),
    });
    // SAFETY: NSObject's initialiser.
    let this: Retained<SurfaceObject> = unsafe { msg_send![super(this), init] };
    Retained::autorelease_return(this)
}

pub(crate) fn register() {
    let instance = [Method(c"init", c"@16@0:8", no_init as *const ())];
    let of_class = [Method(
        c"objectWithIOSurface:",
        c"@24@0:8^{__IOSurface=}16",
        with_surface as *const (),
    )];
    // SAFETY: the functions have the types that the encodings say; a surface is an object.
    unsafe { add(SurfaceObject::class(), &instance, &of_class) };
}
