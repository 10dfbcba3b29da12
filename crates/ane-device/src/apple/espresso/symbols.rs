//! The functions of Espresso that the route calls, by name.
//!
//! The prototypes are those that aneforge calls. A function that creates returns the object through its first parameter;
//! the compiler and those that retain a part return it through their last. `e5rt_get_last_error_message` is not among
//! those that must be there: Apple's own frameworks call it after a failure and print what it returns.

use super::{LastErrorMessage, Release};
use crate::apple::AppleError;
use std::{
    ffi::{c_char, c_void},
    path::Path,
};

type Object = *mut c_void;
type Out = *mut *mut c_void;
type Text = *const c_char;

macro_rules! symbols {
    ($($field:ident: $kind:ty = $name:literal;)*) => {
        /// The functions.
        #[derive(Debug)]
        pub(super) struct Symbols {
            $(pub(super) $field: $kind,)*
            /// The framework's words about its last failure, where it has the function.
            pub(super) last_error_message: Option<LastErrorMessage>,
        }

        impl Symbols {
            /// Opens `path` and looks every function up.
            ///
            /// # Errors
            /// When the file cannot be opened, or lacks a function.
            pub(super) fn load(path: &Path, variable: &'static str) -> Result<Self, AppleError> {
                // SAFETY: what runs when the library is opened is Apple's framework, or the file that the user named.
                let library = unsafe { libloading::Library::new(path) }.map_err(|e| {
                    AppleError::LibraryMissing {
                        library: path.to_owned(),
                        reason: e.to_string(),
                        variable,
                    }
                })?;
                let missing = |symbol| AppleError::SymbolMissing {
                    symbol,
                    library: path.to_owned(),
                };
                let all = Self {
                    $(
                        // SAFETY: the type is the function's prototype.
                        $field: *unsafe { library.get::<$kind>($name) }
                            .map_err(|_| missing($name))?,
                    )*
                    // SAFETY: as above.
                    last_error_message: unsafe { library.get("e5rt_get_last_error_message") }
                        .ok()
                        .map(|f| *f),
                };
                // The framework has threads of its own, which must not lose their code.
                std::mem::forget(library);
                Ok(all)
            }
        }
    };
}

symbols! {
    config_create: unsafe extern "C" fn(Out) -> i64 = "e5rt_e5_compiler_config_options_create";
    config_set_cache: unsafe extern "C" fn(Object, Text) -> i64
        = "e5rt_e5_compiler_config_options_set_cache_bundle_location";
    config_release: Release = "e5rt_e5_compiler_config_options_release";
    compiler_create: unsafe extern "C" fn(Out, Object) -> i64
        = "e5rt_e5_compiler_create_with_config";
    compiler_release: Release = "e5rt_e5_compiler_release";
    options_create: unsafe extern "C" fn(Out) -> i64 = "e5rt_e5_compiler_options_create";
    options_set_mask: unsafe extern "C" fn(Object, u64) -> i64
        = "e5rt_e5_compiler_options_set_compute_device_types_mask";
    options_set_segmenter: unsafe extern "C" fn(Object, Text) -> i64
        = "e5rt_e5_compiler_options_set_segmenter";
    options_set_custom: unsafe extern "C" fn(Object, Text) -> i64
        = "e5rt_e5_compiler_options_set_custom_ane_compiler_options";
    options_release: Release = "e5rt_e5_compiler_options_release";
    compile: unsafe extern "C" fn(Object, Text, Object, Out) -> i64 = "e5rt_e5_compiler_compile";
    library_release: Release = "e5rt_program_library_release";
    library_retain_function: unsafe extern "C" fn(Object, Text, Out) -> i64
        = "e5rt_program_library_retain_program_function";
    function_release: Release = "e5rt_program_function_release";
    op_options_create: unsafe extern "C" fn(Out, Object) -> i64
        = "e5rt_precompiled_compute_op_create_options_create_with_program_function";
    op_options_set_name: unsafe extern "C" fn(Object, Text) -> i64
        = "e5rt_precompiled_compute_op_create_options_set_operation_name";
    op_options_set_allocate: unsafe extern "C" fn(Object, i32) -> i64
        = "e5rt_precompiled_compute_op_create_options_set_allocate_intermediate_buffers";
    op_options_release: Release = "e5rt_precompiled_compute_op_create_options_release";
    operation_create: unsafe extern "C" fn(Out, Object) -> i64
        = "e5rt_execution_stream_operation_create_precompiled_compute_operation_with_options";
    operation_retain_input: unsafe extern "C" fn(Object, Text, Out) -> i64
        = "e5rt_execution_stream_operation_retain_input_port";
    operation_retain_output: unsafe extern "C" fn(Object, Text, Out) -> i64
        = "e5rt_execution_stream_operation_retain_output_port";
    operation_release: Release = "e5rt_execution_stream_operation_release";
    port_bind: unsafe extern "C" fn(Object, Object) -> i64 = "e5rt_io_port_bind_buffer_object";
    port_release: Release = "e5rt_io_port_release";
    buffer_alloc: unsafe extern "C" fn(Out, u64, u32) -> i64 = "e5rt_buffer_object_alloc";
    buffer_data: unsafe extern "C" fn(Object, Out) -> i64 = "e5rt_buffer_object_get_data_ptr";
    buffer_size: unsafe extern "C" fn(Object, *mut u64) -> i64 = "e5rt_buffer_object_get_size";
    buffer_release: Release = "e5rt_buffer_object_release";
    stream_create: unsafe extern "C" fn(Out) -> i64 = "e5rt_execution_stream_create";
    stream_encode: unsafe extern "C" fn(Object, Object) -> i64
        = "e5rt_execution_stream_encode_operation";
    stream_execute: unsafe extern "C" fn(Object) -> i64 = "e5rt_execution_stream_execute_sync";
    stream_release: Release = "e5rt_execution_stream_release";
}
