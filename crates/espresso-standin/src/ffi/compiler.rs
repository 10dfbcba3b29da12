//! C functions: compilers, their configuration and options, program libraries.

use super::{answer, give, give_handle, handle, place, take_back, text};
use crate::error::E5rtError;
use std::{
    ffi::{c_char, c_int, c_void},
    path::Path,
};

/// A configuration without a cache.
///
/// # Safety
/// `out` is null or valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn e5rt_e5_compiler_config_options_create(out: *mut *mut c_void) -> i64 {
    answer("e5rt_e5_compiler_config_options_create", |runtime| {
        // SAFETY: the caller says that `out` can be written.
        unsafe { give_handle(out, runtime, || Ok(runtime.config_create())) }
    })
}

/// Says where compilers to be made keep bundles.
///
/// # Safety
/// Texts are null or end with a zero byte.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn e5rt_e5_compiler_config_options_set_cache_bundle_location(
    config: *mut c_void,
    location: *const c_char,
) -> i64 {
    answer(
        "e5rt_e5_compiler_config_options_set_cache_bundle_location",
        |runtime| {
            let config = handle(config, "config")?;
            // SAFETY: the caller says that it is text.
            let location = unsafe { text(location, "location", runtime) }?;
            runtime.config_set_cache_bundle_location(config, location)
        },
    )
}

/// Gives back a configuration.
///
/// # Safety
/// `object` is null or valid for reading and writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn e5rt_e5_compiler_config_options_release(object: *mut *mut c_void) -> i64 {
    answer("e5rt_e5_compiler_config_options_release", |runtime| {
        // SAFETY: the caller says that `object` can be read and written.
        unsafe { take_back(object, runtime, |held| runtime.config_release(held)) }
    })
}

/// A compiler without a cache.
///
/// # Safety
/// `out` is null or valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn e5rt_e5_compiler_create(out: *mut *mut c_void) -> i64 {
    answer("e5rt_e5_compiler_create", |runtime| {
        // SAFETY: the caller says that `out` can be written.
        unsafe { give_handle(out, runtime, || runtime.compiler_create(None)) }
    })
}

/// A compiler configured as `config` says now.
///
/// # Safety
/// `out` is null or valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn e5rt_e5_compiler_create_with_config(
    out: *mut *mut c_void,
    config: *mut c_void,
) -> i64 {
    answer("e5rt_e5_compiler_create_with_config", |runtime| {
        let config = handle(config, "config")?;
        // SAFETY: the caller says that `out` can be written.
        unsafe { give_handle(out, runtime, || runtime.compiler_create(Some(config))) }
    })
}

/// Gives back a compiler.
///
/// # Safety
/// `object` is null or valid for reading and writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn e5rt_e5_compiler_release(object: *mut *mut c_void) -> i64 {
    answer("e5rt_e5_compiler_release", |runtime| {
        // SAFETY: the caller says that `object` can be read and written.
        unsafe { take_back(object, runtime, |held| runtime.compiler_release(held)) }
    })
}

/// Options: any device, nothing forced.
///
/// # Safety
/// `out` is null or valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn e5rt_e5_compiler_options_create(out: *mut *mut c_void) -> i64 {
    answer("e5rt_e5_compiler_options_create", |runtime| {
        // SAFETY: the caller says that `out` can be written.
        unsafe { give_handle(out, runtime, || Ok(runtime.options_create())) }
    })
}

/// Says where programs may run: 1 processor, 2 GPU, 4 Neural Engine.
///
/// # Safety
/// None beyond the types of the arguments.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn e5rt_e5_compiler_options_set_compute_device_types_mask(
    options: *mut c_void,
    mask: u64,
) -> i64 {
    answer(
        "e5rt_e5_compiler_options_set_compute_device_types_mask",
        |runtime| {
            let options = handle(options, "options")?;
            runtime.options_set_compute_device_types_mask(options, mask)
        },
    )
}

/// Says whether bundles are passed over.
///
/// # Safety
/// None beyond the types of the arguments.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn e5rt_e5_compiler_options_set_force_recompilation(
    options: *mut c_void,
    force: c_int,
) -> i64 {
    answer(
        "e5rt_e5_compiler_options_set_force_recompilation",
        |runtime| {
            let options = handle(options, "options")?;
            runtime.options_set_force_recompilation(options, force)
        },
    )
}

/// Says whether the processor is preferred.
///
/// # Safety
/// None beyond the types of the arguments.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn e5rt_e5_compiler_options_set_force_bnns_graph(
    options: *mut c_void,
    force: c_int,
) -> i64 {
    answer("e5rt_e5_compiler_options_set_force_bnns_graph", |runtime| {
        let options = handle(options, "options")?;
        runtime.options_set_force_bnns_graph(options, force)
    })
}

/// Chooses the segmenter, `graph`.
///
/// # Safety
/// Texts are null or end with a zero byte.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn e5rt_e5_compiler_options_set_segmenter(
    options: *mut c_void,
    segmenter: *const c_char,
) -> i64 {
    answer("e5rt_e5_compiler_options_set_segmenter", |runtime| {
        let options = handle(options, "options")?;
        // SAFETY: the caller says that it is text.
        let segmenter = unsafe { text(segmenter, "segmenter", runtime) }?;
        runtime.options_set_segmenter(options, segmenter)
    })
}

/// Options of the engine's own compiler: `TargetArchitecture=hNN`.
///
/// # Safety
/// Texts are null or end with a zero byte.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn e5rt_e5_compiler_options_set_custom_ane_compiler_options(
    options: *mut c_void,
    custom: *const c_char,
) -> i64 {
    answer(
        "e5rt_e5_compiler_options_set_custom_ane_compiler_options",
        |runtime| {
            let options = handle(options, "options")?;
            // SAFETY: the caller says that it is text.
            let custom = unsafe { text(custom, "custom", runtime) }?;
            runtime.options_set_custom_ane_compiler_options(options, custom)
        },
    )
}

/// Gives back options.
///
/// # Safety
/// `object` is null or valid for reading and writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn e5rt_e5_compiler_options_release(object: *mut *mut c_void) -> i64 {
    answer("e5rt_e5_compiler_options_release", |runtime| {
        // SAFETY: the caller says that `object` can be read and written.
        unsafe { take_back(object, runtime, |held| runtime.options_release(held)) }
    })
}

/// Compiles the text at `mil_path` into a library.
///
/// # Safety
/// `out` is null or valid for writing; texts are null or end with a zero byte.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn e5rt_e5_compiler_compile(
    compiler: *mut c_void,
    mil_path: *const c_char,
    options: *mut c_void,
    out: *mut *mut c_void,
) -> i64 {
    answer("e5rt_e5_compiler_compile", |runtime| {
        let compiler = handle(compiler, "compiler")?;
        // SAFETY: the caller says that it is text.
        let mil_path = unsafe { text(mil_path, "mil_path", runtime) }?;
        let options = handle(options, "options")?;
        // SAFETY: the caller says that `out` can be written.
        unsafe {
            give_handle(out, runtime, || {
                runtime.compile(compiler, Path::new(mil_path), options)
            })
        }
    })
}

/// Opens a bundle that a compiler has written.
///
/// # Safety
/// `out` is null or valid for writing; texts are null or end with a zero byte.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn e5rt_program_library_create(
    out: *mut *mut c_void,
    bundle_path: *const c_char,
) -> i64 {
    answer("e5rt_program_library_create", |runtime| {
        // SAFETY: the caller says that it is text.
        let bundle_path = unsafe { text(bundle_path, "bundle_path", runtime) }?;
        // SAFETY: the caller says that `out` can be written.
        unsafe {
            give_handle(out, runtime, || {
                runtime.library_create(Path::new(bundle_path))
            })
        }
    })
}

/// Number of functions.
///
/// # Safety
/// `out` is null or valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn e5rt_program_library_get_num_functions(
    library: *mut c_void,
    out: *mut u64,
) -> i64 {
    answer("e5rt_program_library_get_num_functions", |runtime| {
        let library = handle(library, "library")?;
        // SAFETY: the caller says that `out` can be written.
        unsafe {
            give(out, runtime, || {
                runtime.library_function_names(library, |names| names.len() as u64)
            })
        }
    })
}

/// Writes the functions' names, which live as long as the library's handle; `count` is their number.
///
/// # Safety
/// `names` is null or valid for writing `count` pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn e5rt_program_library_get_function_names(
    library: *mut c_void,
    count: u64,
    names: *mut *const c_char,
) -> i64 {
    answer("e5rt_program_library_get_function_names", |runtime| {
        let library = handle(library, "library")?;
        place(names, "names", runtime)?;
        runtime.library_function_names(library, |known| {
            if known.len() as u64 != count {
                return Err(E5rtError::value("count", count, "the number of functions"));
            }
            for (i, name) in known.iter().enumerate() {
                // SAFETY: the caller says that there is room for `count` names.
                unsafe { names.add(i).write(name.as_ptr()) };
            }
            Ok(())
        })?
    })
}

/// The function called `name`.
///
/// # Safety
/// `out` is null or valid for writing; texts are null or end with a zero byte.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn e5rt_program_library_retain_program_function(
    library: *mut c_void,
    name: *const c_char,
    out: *mut *mut c_void,
) -> i64 {
    answer("e5rt_program_library_retain_program_function", |runtime| {
        let library = handle(library, "library")?;
        // SAFETY: the caller says that it is text.
        let name = unsafe { text(name, "name", runtime) }?;
        // SAFETY: the caller says that `out` can be written.
        unsafe {
            give_handle(out, runtime, || {
                runtime.library_retain_program_function(library, name)
            })
        }
    })
}

/// Gives back a library.
///
/// # Safety
/// `object` is null or valid for reading and writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn e5rt_program_library_release(object: *mut *mut c_void) -> i64 {
    answer("e5rt_program_library_release", |runtime| {
        // SAFETY: the caller says that `object` can be read and written.
        unsafe { take_back(object, runtime, |held| runtime.library_release(held)) }
    })
}

/// Gives back a function.
///
/// # Safety
/// `object` is null or valid for reading and writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn e5rt_program_function_release(object: *mut *mut c_void) -> i64 {
    answer("e5rt_program_function_release", |runtime| {
        // SAFETY: the caller says that `object` can be read and written.
        unsafe { take_back(object, runtime, |held| runtime.function_release(held)) }
    })
}
