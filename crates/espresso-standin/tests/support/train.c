/*
 * Trains a two-layer network through the e5rt functions, from their prototypes alone.
 *
 *     train LIBRARY MODEL.MIL CACHE FOLDER STEPS [in-place]
 *
 * Initial tensors are read from FOLDER/<port>.bin, the trained ones written to FOLDER/<port>.out. State never leaves its
 * buffers: one operation reads A and writes B, the other reads B and writes A; in place, A and B are the same buffer. The
 * last two steps run asynchronously.
 */
#include <string.h>

#include "e5rt.h"

#define FUNCTIONS(f) \
    f(e5rt_get_last_error_message) \
    f(e5rt_e5_compiler_config_options_create) \
    f(e5rt_e5_compiler_config_options_set_cache_bundle_location) \
    f(e5rt_e5_compiler_config_options_release) \
    f(e5rt_e5_compiler_create_with_config) \
    f(e5rt_e5_compiler_compile) \
    f(e5rt_e5_compiler_release) \
    f(e5rt_e5_compiler_options_create) \
    f(e5rt_e5_compiler_options_set_compute_device_types_mask) \
    f(e5rt_e5_compiler_options_set_segmenter) \
    f(e5rt_e5_compiler_options_set_custom_ane_compiler_options) \
    f(e5rt_e5_compiler_options_release) \
    f(e5rt_program_library_get_num_functions) \
    f(e5rt_program_library_get_function_names) \
    f(e5rt_program_library_retain_program_function) \
    f(e5rt_program_library_release) \
    f(e5rt_program_function_release) \
    f(e5rt_precompiled_compute_op_create_options_create_with_program_function) \
    f(e5rt_precompiled_compute_op_create_options_set_operation_name) \
    f(e5rt_precompiled_compute_op_create_options_set_allocate_intermediate_buffers) \
    f(e5rt_precompiled_compute_op_create_options_release) \
    f(e5rt_execution_stream_operation_create_precompiled_compute_operation_with_options) \
    f(e5rt_execution_stream_operation_retain_input_port) \
    f(e5rt_execution_stream_operation_retain_output_port) \
    f(e5rt_execution_stream_operation_prepare_op_for_encode) \
    f(e5rt_execution_stream_operation_release) \
    f(e5rt_io_port_bind_buffer_object) \
    f(e5rt_io_port_release) \
    f(e5rt_buffer_object_alloc) \
    f(e5rt_buffer_object_get_data_ptr) \
    f(e5rt_buffer_object_get_size) \
    f(e5rt_buffer_object_release) \
    f(e5rt_execution_stream_create) \
    f(e5rt_execution_stream_encode_operation) \
    f(e5rt_execution_stream_execute_sync) \
    f(e5rt_execution_stream_submit_async) \
    f(e5rt_execution_stream_reset) \
    f(e5rt_execution_stream_release) \
    f(e5rt_async_event_create) \
    f(e5rt_async_event_signal) \
    f(e5rt_async_event_sync_wait) \
    f(e5rt_async_event_release)

#include "calls.h"

/* Tensors of fp16, by port and number of elements. */
struct tensor {
    const char *name;
    const char *next; /* the output with its next value */
    unsigned elements;
};

enum { BATCH = 16, INPUTS = 32, HIDDEN = 24, CLASSES = 8 };

static const struct tensor data[] = {
    {"x", 0, BATCH * INPUTS},
    {"t", 0, BATCH * CLASSES},
};
static const struct tensor state[] = {
    {"w0", "w0_next", INPUTS * HIDDEN},
    {"b0", "b0_next", HIDDEN},
    {"w1", "w1_next", HIDDEN * CLASSES},
    {"b1", "b1_next", CLASSES},
};
static const struct tensor loss = {"loss", 0, 1};

#define COUNT(a) (sizeof(a) / sizeof(*(a)))

static const char *folder;

static void transfer(const struct tensor *tensor, const char *ending, void *memory, int out) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s.%s", folder, tensor->name, ending);
    FILE *file = fopen(path, out ? "wb" : "rb");
    size_t bytes = 2 * (size_t)tensor->elements;
    size_t done = !file ? 0 : out ? fwrite(memory, 1, bytes, file) : fread(memory, 1, bytes, file);
    if (done != bytes || fclose(file)) {
        perror(path);
        exit(2);
    }
}

static void *memory_of(void *buffer) {
    void *memory;
    CALL(e5rt_buffer_object_get_data_ptr, buffer, &memory);
    return memory;
}

static void *buffer_for(const struct tensor *tensor, int filled) {
    void *buffer;
    uint64_t size;
    CALL(e5rt_buffer_object_alloc, &buffer, 2 * (uint64_t)tensor->elements, E5RT_BUFFER_IOSURFACE);
    CALL(e5rt_buffer_object_get_size, buffer, &size);
    if (size < 2 * (uint64_t)tensor->elements) {
        fprintf(stderr, "the buffer of %s is too small\n", tensor->name);
        exit(1);
    }
    if (filled)
        transfer(tensor, "bin", memory_of(buffer), 0);
    return buffer;
}

static void bind(void *operation, const char *name, int is_input, void *buffer) {
    void *port;
    if (is_input)
        CALL(e5rt_execution_stream_operation_retain_input_port, operation, name, &port);
    else
        CALL(e5rt_execution_stream_operation_retain_output_port, operation, name, &port);
    CALL(e5rt_io_port_bind_buffer_object, port, buffer);
    CALL(e5rt_io_port_release, &port);
}

struct completion {
    struct e5rt_block block;
    void *event;
    int64_t code;
};

static void completed(struct e5rt_block *self, int64_t code) {
    struct completion *completion = (struct completion *)self;
    completion->code = code;
    CALL(e5rt_async_event_signal, completion->event);
}

static void *compiled(const char *mil, const char *cache) {
    void *config, *compiler, *options, *library;
    CALL(e5rt_e5_compiler_config_options_create, &config);
    CALL(e5rt_e5_compiler_config_options_set_cache_bundle_location, config, cache);
    CALL(e5rt_e5_compiler_create_with_config, &compiler, config);
    CALL(e5rt_e5_compiler_options_create, &options);
    CALL(e5rt_e5_compiler_options_set_compute_device_types_mask, options, E5RT_DEVICE_ANE);
    CALL(e5rt_e5_compiler_options_set_segmenter, options, "graph");
    CALL(e5rt_e5_compiler_options_set_custom_ane_compiler_options, options, "TargetArchitecture=h16");
    CALL(e5rt_e5_compiler_compile, compiler, mil, options, &library);
    CALL(e5rt_e5_compiler_options_release, &options);
    CALL(e5rt_e5_compiler_release, &compiler);
    CALL(e5rt_e5_compiler_config_options_release, &config);
    return library;
}

int main(int argc, char **argv) {
    int in_place = argc == 7 && !strcmp(argv[6], "in-place");
    if (argc != 6 + in_place) {
        fprintf(stderr, "train LIBRARY MODEL.MIL CACHE FOLDER STEPS [in-place]\n");
        return 2;
    }
    load(argv[1]);
    folder = argv[4];
    long steps = atol(argv[5]);

    void *library = compiled(argv[2], argv[3]);
    uint64_t functions;
    const char *name;
    CALL(e5rt_program_library_get_num_functions, library, &functions);
    if (functions != 1)
        return 1;
    CALL(e5rt_program_library_get_function_names, library, functions, &name);
    if (strcmp(name, "main"))
        return 1;
    void *function;
    CALL(e5rt_program_library_retain_program_function, library, name, &function);

    void *fixed[COUNT(data)], *sides[2][COUNT(state)], *losses = buffer_for(&loss, 0);
    for (size_t i = 0; i < COUNT(data); i++)
        fixed[i] = buffer_for(&data[i], 1);
    for (size_t i = 0; i < COUNT(state); i++) {
        sides[0][i] = buffer_for(&state[i], 1);
        sides[1][i] = in_place ? sides[0][i] : buffer_for(&state[i], 0);
    }

    void *operations[2];
    for (int from = 0; from < 2; from++) {
        void *options, *operation;
        CALL(e5rt_precompiled_compute_op_create_options_create_with_program_function, &options, function);
        CALL(e5rt_precompiled_compute_op_create_options_set_operation_name, options, from ? "b to a" : "a to b");
        CALL(e5rt_precompiled_compute_op_create_options_set_allocate_intermediate_buffers, options, 1);
        CALL(e5rt_execution_stream_operation_create_precompiled_compute_operation_with_options, &operation, options);
        CALL(e5rt_precompiled_compute_op_create_options_release, &options);
        for (size_t i = 0; i < COUNT(data); i++)
            bind(operation, data[i].name, 1, fixed[i]);
        for (size_t i = 0; i < COUNT(state); i++) {
            bind(operation, state[i].name, 1, sides[from][i]);
            bind(operation, state[i].next, 0, sides[!from][i]);
        }
        bind(operation, loss.name, 0, losses);
        operations[from] = operation;
    }

    void *stream;
    CALL(e5rt_execution_stream_create, &stream);
    for (int from = 0; from < 2; from++)
        CALL(e5rt_execution_stream_encode_operation, stream, operations[from]);
    for (long step = 0; step + 2 < steps; step += 2)
        CALL(e5rt_execution_stream_execute_sync, stream);

    CALL(e5rt_execution_stream_reset, stream);
    for (int from = 0; from < 2; from++) {
        CALL(e5rt_execution_stream_operation_prepare_op_for_encode, operations[from]);
        CALL(e5rt_execution_stream_encode_operation, stream, operations[from]);
    }
    static const struct e5rt_block_descriptor descriptor = {0, sizeof(struct completion)};
    struct completion completion = {{0, E5RT_BLOCK_IS_GLOBAL, 0, completed, &descriptor}, 0, -1};
    CALL(e5rt_async_event_create, &completion.event, "trained", 0);
    CALL(e5rt_execution_stream_submit_async, stream, &completion.block);
    CALL(e5rt_async_event_sync_wait, completion.event);
    check(completion.code, "the asynchronous execution");
    CALL(e5rt_execution_stream_reset, stream);
    CALL(e5rt_async_event_release, &completion.event);

    transfer(&loss, "out", memory_of(losses), 1);
    for (size_t i = 0; i < COUNT(state); i++)
        transfer(&state[i], "out", memory_of(sides[0][i]), 1);
    printf("loss %04x after %ld steps\n", *(uint16_t *)memory_of(losses), steps);

    CALL(e5rt_execution_stream_release, &stream);
    for (int from = 0; from < 2; from++) {
        CALL(e5rt_execution_stream_operation_release, &operations[from]);
        for (size_t i = 0; i < COUNT(state); i++)
            if (!from || !in_place)
                CALL(e5rt_buffer_object_release, &sides[from][i]);
    }
    for (size_t i = 0; i < COUNT(data); i++)
        CALL(e5rt_buffer_object_release, &fixed[i]);
    CALL(e5rt_buffer_object_release, &losses);
    CALL(e5rt_program_function_release, &function);
    CALL(e5rt_program_library_release, &library);
    return library || function || stream;
}
