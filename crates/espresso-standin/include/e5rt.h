/*
 * The e5rt functions of Espresso.framework, as far as public reports describe them, for programs that load
 * libespresso_standin.so. Apple publishes no header; parameter names and remarks are ours.
 *
 * Every function but the one for messages returns 0 on success. Handles are opaque. A create function writes the new handle through its first
 * parameter; retain functions and e5rt_e5_compiler_compile write it through their last one. A release function takes the
 * address of the variable that holds the handle, and clears it.
 */
#ifndef E5RT_H
#define E5RT_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Compute devices, to be added up in a mask. */
#define E5RT_DEVICE_CPU 1u
#define E5RT_DEVICE_GPU 2u
#define E5RT_DEVICE_ANE 4u

/* Types of buffers; the reports do not say what 1 is. */
#define E5RT_BUFFER_CPU 0u
#define E5RT_BUFFER_IOSURFACE 2u

/* What a block begins with. The stand-in takes global blocks and blocks on the heap; it copies none, so a block must
 * live until it has been called. It is called as if it were void (^)(int64_t code). Captured variables follow the
 * descriptor, which must be there; its size is that of the block with its variables. */
#define E5RT_BLOCK_NEEDS_FREE (1 << 24)
#define E5RT_BLOCK_IS_GLOBAL (1 << 28)
struct e5rt_block_descriptor {
    unsigned long reserved;
    unsigned long size;
};
struct e5rt_block {
    const void *isa;
    int flags;
    int reserved;
    void (*invoke)(struct e5rt_block *self, int64_t code);
    const struct e5rt_block_descriptor *descriptor;
};

/* Why the last call on this thread that failed did so; never null, and valid until another call fails. */
const char *e5rt_get_last_error_message(void);

/* Configuration of compilers: where bundles of compiled programs are kept. */
int64_t e5rt_e5_compiler_config_options_create(void **out);
int64_t e5rt_e5_compiler_config_options_set_cache_bundle_location(void *config, const char *location);
int64_t e5rt_e5_compiler_config_options_release(void **object);

/* Compilers. */
int64_t e5rt_e5_compiler_create(void **out);
int64_t e5rt_e5_compiler_create_with_config(void **out, void *config);
int64_t e5rt_e5_compiler_compile(void *compiler, const char *mil_path, void *options, void **out_library);
int64_t e5rt_e5_compiler_release(void **object);

/* Options of compilations. The custom options name a chip: "TargetArchitecture=h16". */
int64_t e5rt_e5_compiler_options_create(void **out);
int64_t e5rt_e5_compiler_options_set_compute_device_types_mask(void *options, uint64_t mask);
int64_t e5rt_e5_compiler_options_set_force_recompilation(void *options, int force);
int64_t e5rt_e5_compiler_options_set_force_bnns_graph(void *options, int force);
int64_t e5rt_e5_compiler_options_set_segmenter(void *options, const char *segmenter);
int64_t e5rt_e5_compiler_options_set_custom_ane_compiler_options(void *options, const char *custom);
int64_t e5rt_e5_compiler_options_release(void **object);

/* Libraries: what a compiler makes, or finds in a bundle. Names live as long as the library. */
int64_t e5rt_program_library_create(void **out, const char *bundle_path);
int64_t e5rt_program_library_get_num_functions(void *library, uint64_t *out);
int64_t e5rt_program_library_get_function_names(void *library, uint64_t count, const char **names);
int64_t e5rt_program_library_retain_program_function(void *library, const char *name, void **out);
int64_t e5rt_program_library_release(void **object);
int64_t e5rt_program_function_release(void **object);

/* Operations: a function with buffers at its ports. An operation that has been encoded is prepared, after the reset of
 * its stream, before it is encoded again; one that never was cannot be prepared. */
int64_t e5rt_precompiled_compute_op_create_options_create_with_program_function(void **out, void *function);
int64_t e5rt_precompiled_compute_op_create_options_set_operation_name(void *options, const char *name);
int64_t e5rt_precompiled_compute_op_create_options_set_allocate_intermediate_buffers(void *options, int allocate);
int64_t e5rt_precompiled_compute_op_create_options_release(void **object);
int64_t e5rt_execution_stream_operation_create_precompiled_compute_operation_with_options(void **out, void *options);
int64_t e5rt_execution_stream_operation_retain_input_port(void *operation, const char *name, void **out);
int64_t e5rt_execution_stream_operation_retain_output_port(void *operation, const char *name, void **out);
int64_t e5rt_execution_stream_operation_prepare_op_for_encode(void *operation);
int64_t e5rt_execution_stream_operation_bind_completion_event(void *operation, void *event);
int64_t e5rt_execution_stream_operation_bind_dependent_events(void *operation, void **events, uint64_t count);
int64_t e5rt_execution_stream_operation_release(void **object);
int64_t e5rt_io_port_bind_buffer_object(void *port, void *buffer);
int64_t e5rt_io_port_release(void **object);

/* Buffers: dense memory. There is none before something was compiled, and its address need not be a multiple of anything. */
int64_t e5rt_buffer_object_alloc(void **out, uint64_t size, uint32_t type);
int64_t e5rt_buffer_object_get_data_ptr(void *buffer, void **out);
int64_t e5rt_buffer_object_get_size(void *buffer, uint64_t *out);
int64_t e5rt_buffer_object_release(void **object);

/* Streams: encode, execute as often as wanted, reset. A stream that nothing was encoded into cannot be reset. */
int64_t e5rt_execution_stream_create(void **out);
int64_t e5rt_execution_stream_encode_operation(void *stream, void *operation);
int64_t e5rt_execution_stream_execute_sync(void *stream);
int64_t e5rt_execution_stream_submit_async(void *stream, void *block);
int64_t e5rt_execution_stream_reset(void *stream);
int64_t e5rt_execution_stream_set_ane_execution_priority(void *stream, uint64_t priority);
int64_t e5rt_execution_stream_set_quality_of_service(void *stream, uint64_t quality);
int64_t e5rt_execution_stream_release(void **object);

/* Events. */
int64_t e5rt_async_event_create(void **out, const char *name, uint32_t initial);
int64_t e5rt_async_event_signal(void *event);
int64_t e5rt_async_event_sync_wait(void *event);
int64_t e5rt_async_event_get_last_signaled_value(void *event, uint64_t *out);
int64_t e5rt_async_event_release(void **object);

#ifdef __cplusplus
}
#endif

#endif
