/*
 * Calls the e5rt functions that training does not need, and looks at what each of them does.
 *
 *     rest LIBRARY MODEL.MIL CACHE
 *
 * The program has a port x and a port y = x + x, of 32 elements of fp16. CACHE is an empty directory. The second
 * compilation is planned to fail, which tells one that was done from one that a bundle saved.
 */
#include <glob.h>
#include <string.h>

#include "e5rt.h"

#define FUNCTIONS(f) \
    f(e5rt_get_last_error_message) \
    f(e5rt_e5_compiler_config_options_create) \
    f(e5rt_e5_compiler_config_options_set_cache_bundle_location) \
    f(e5rt_e5_compiler_config_options_release) \
    f(e5rt_e5_compiler_create) \
    f(e5rt_e5_compiler_create_with_config) \
    f(e5rt_e5_compiler_compile) \
    f(e5rt_e5_compiler_release) \
    f(e5rt_e5_compiler_options_create) \
    f(e5rt_e5_compiler_options_set_compute_device_types_mask) \
    f(e5rt_e5_compiler_options_set_force_recompilation) \
    f(e5rt_e5_compiler_options_set_force_bnns_graph) \
    f(e5rt_e5_compiler_options_release) \
    f(e5rt_program_library_create) \
    f(e5rt_program_library_retain_program_function) \
    f(e5rt_program_library_release) \
    f(e5rt_program_function_release) \
    f(e5rt_precompiled_compute_op_create_options_create_with_program_function) \
    f(e5rt_precompiled_compute_op_create_options_release) \
    f(e5rt_execution_stream_operation_create_precompiled_compute_operation_with_options) \
    f(e5rt_execution_stream_operation_retain_input_port) \
    f(e5rt_execution_stream_operation_retain_output_port) \
    f(e5rt_execution_stream_operation_prepare_op_for_encode) \
    f(e5rt_execution_stream_operation_bind_completion_event) \
    f(e5rt_execution_stream_operation_bind_dependent_events) \
    f(e5rt_execution_stream_operation_release) \
    f(e5rt_io_port_bind_buffer_object) \
    f(e5rt_io_port_release) \
    f(e5rt_buffer_object_alloc) \
    f(e5rt_buffer_object_get_data_ptr) \
    f(e5rt_buffer_object_release) \
    f(e5rt_execution_stream_create) \
    f(e5rt_execution_stream_encode_operation) \
    f(e5rt_execution_stream_execute_sync) \
    f(e5rt_execution_stream_submit_async) \
    f(e5rt_execution_stream_reset) \
    f(e5rt_execution_stream_set_ane_execution_priority) \
    f(e5rt_execution_stream_set_quality_of_service) \
    f(e5rt_execution_stream_release) \
    f(e5rt_async_event_create) \
    f(e5rt_async_event_signal) \
    f(e5rt_async_event_sync_wait) \
    f(e5rt_async_event_get_last_signaled_value) \
    f(e5rt_async_event_release)

#include "calls.h"

enum { ELEMENTS = 32, MEANINGLESS = 2, STALE = 3, TOO_EARLY = 6, NO_BUNDLE = 9, PLANNED = 12 };

#define REFUSED(expected, name, ...) \
    do { \
        int64_t code = p_##name(__VA_ARGS__); \
        if (code != (expected)) { \
            fprintf(stderr, "line %d: " #name " returned %lld\n", __LINE__, (long long)code); \
            exit(1); \
        } \
    } while (0)

#define EXPECT(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "line %d: expected " #condition "\n", __LINE__); \
            exit(1); \
        } \
    } while (0)

static const char *mil, *cache;

/* The first bundle in the cache whose name fits, or an empty text, and how many do. */
static char bundle[4096];
static size_t bundles(const char *pattern) {
    char path[4096];
    glob_t found;
    snprintf(path, sizeof path, "%s/%s", cache, pattern);
    if (glob(path, 0, 0, &found))
        return bundle[0] = 0;
    snprintf(bundle, sizeof bundle, "%s", found.gl_pathv[0]);
    size_t count = found.gl_pathc;
    globfree(&found);
    return count;
}

static void compilations(void) {
    void *config, *compiler, *options, *library;
    CALL(e5rt_e5_compiler_config_options_create, &config);
    CALL(e5rt_e5_compiler_config_options_set_cache_bundle_location, config, cache);
    CALL(e5rt_e5_compiler_create_with_config, &compiler, config);
    CALL(e5rt_e5_compiler_config_options_release, &config);
    CALL(e5rt_e5_compiler_options_create, &options);
    CALL(e5rt_e5_compiler_options_set_compute_device_types_mask, options, E5RT_DEVICE_ANE | E5RT_DEVICE_CPU);

    /* The second time the bundle saves the compilation, until it is forced. */
    for (int i = 0; i < 2; i++) {
        CALL(e5rt_e5_compiler_compile, compiler, mil, options, &library);
        CALL(e5rt_program_library_release, &library);
    }
    CALL(e5rt_e5_compiler_options_set_force_recompilation, options, 1);
    REFUSED(PLANNED, e5rt_e5_compiler_compile, compiler, mil, options, &library);
    EXPECT(!library);
    CALL(e5rt_e5_compiler_options_set_force_recompilation, options, 0);
    CALL(e5rt_e5_compiler_compile, compiler, mil, options, &library);
    CALL(e5rt_program_library_release, &library);
    REFUSED(MEANINGLESS, e5rt_e5_compiler_options_set_force_recompilation, options, 2);

    /* The engine is asked first, the processor when it is forced. */
    EXPECT(bundles("*.bundle") == 1 && bundles("*.software.bundle") == 0);
    CALL(e5rt_e5_compiler_options_set_force_bnns_graph, options, 1);
    CALL(e5rt_e5_compiler_compile, compiler, mil, options, &library);
    CALL(e5rt_program_library_release, &library);
    EXPECT(bundles("*.bundle") == 2 && bundles("*.software.bundle") == 1);
    REFUSED(MEANINGLESS, e5rt_e5_compiler_options_set_force_bnns_graph, options, -1);

    /* A compiler without a cache finds none and leaves none. */
    void *without;
    CALL(e5rt_e5_compiler_create, &without);
    CALL(e5rt_e5_compiler_compile, without, mil, options, &library);
    CALL(e5rt_program_library_release, &library);
    EXPECT(bundles("*.bundle") == 2);
    CALL(e5rt_e5_compiler_release, &without);
    CALL(e5rt_e5_compiler_options_release, &options);
    CALL(e5rt_e5_compiler_release, &compiler);
}

/* The function of the engine's bundle, which needs no compiler. */
static void *opened(void) {
    void *untouched = (void *)&cache, *library = untouched, *function;
    char nowhere[4096];
    snprintf(nowhere, sizeof nowhere, "%s/nowhere.bundle", cache);
    REFUSED(NO_BUNDLE, e5rt_program_library_create, &library, nowhere);
    EXPECT(library == untouched);
    EXPECT(strstr(p_e5rt_get_last_error_message(), nowhere));
    REFUSED(NO_BUNDLE, e5rt_program_library_create, &library, cache);
    EXPECT(bundles("*.h16.bundle") == 1);
    CALL(e5rt_program_library_create, &library, bundle);
    CALL(e5rt_program_library_retain_program_function, library, "main", &function);
    CALL(e5rt_program_library_release, &library);
    return function;
}

struct buffer {
    void *handle;
    uint16_t *elements;
};

static struct buffer buffer(uint16_t bits) {
    struct buffer made;
    CALL(e5rt_buffer_object_alloc, &made.handle, 2 * ELEMENTS, E5RT_BUFFER_CPU);
    CALL(e5rt_buffer_object_get_data_ptr, made.handle, (void **)&made.elements);
    for (int i = 0; i < ELEMENTS; i++)
        made.elements[i] = bits;
    return made;
}

static int holds(struct buffer buffer, uint16_t bits) {
    for (int i = 0; i < ELEMENTS; i++)
        if (buffer.elements[i] != bits)
            return 0;
    return 1;
}

static void *doubling(void *function, struct buffer x, struct buffer y) {
    void *options, *operation, *port;
    CALL(e5rt_precompiled_compute_op_create_options_create_with_program_function, &options, function);
    CALL(e5rt_execution_stream_operation_create_precompiled_compute_operation_with_options, &operation, options);
    CALL(e5rt_precompiled_compute_op_create_options_release, &options);
    CALL(e5rt_execution_stream_operation_retain_input_port, operation, "x", &port);
    CALL(e5rt_io_port_bind_buffer_object, port, x.handle);
    CALL(e5rt_io_port_release, &port);
    CALL(e5rt_execution_stream_operation_retain_output_port, operation, "y", &port);
    CALL(e5rt_io_port_bind_buffer_object, port, y.handle);
    CALL(e5rt_io_port_release, &port);
    return operation;
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

static struct completion completion(const char *name) {
    static const struct e5rt_block_descriptor descriptor = {0, sizeof(struct completion)};
    struct completion made = {{0, E5RT_BLOCK_IS_GLOBAL, 0, completed, &descriptor}, 0, -1};
    CALL(e5rt_async_event_create, &made.event, name, 0);
    return made;
}

static uint64_t last_signaled(void *event) {
    uint64_t value = 1000;
    CALL(e5rt_async_event_get_last_signaled_value, event, &value);
    return value;
}

/* 2.0, 4.0, 8.0 and NaN in fp16. */
enum { TWO = 0x4000, FOUR = 0x4400, EIGHT = 0x4800, NOTHING = 0x7e00 };

/* The second stream is submitted first and has to wait for the first one, which waits for the gates. */
static void events(void *function) {
    struct buffer a = buffer(TWO), b = buffer(NOTHING), c = buffer(NOTHING);
    void *first = doubling(function, a, b), *second = doubling(function, b, c);
    void *gates[2], *between, *end, *streams[2];
    CALL(e5rt_async_event_create, &gates[0], "gate", 7);
    CALL(e5rt_async_event_create, &gates[1], "other gate", 0);
    CALL(e5rt_async_event_create, &between, "between", 0);
    CALL(e5rt_async_event_create, &end, "end", 0);
    CALL(e5rt_execution_stream_operation_bind_dependent_events, first, gates, 2);
    CALL(e5rt_execution_stream_operation_bind_completion_event, first, between);
    CALL(e5rt_execution_stream_operation_bind_dependent_events, second, &between, 1);
    CALL(e5rt_execution_stream_operation_bind_completion_event, second, end);
    for (int i = 0; i < 2; i++)
        CALL(e5rt_execution_stream_create, &streams[i]);
    CALL(e5rt_execution_stream_encode_operation, streams[0], first);
    CALL(e5rt_execution_stream_encode_operation, streams[1], second);
    REFUSED(TOO_EARLY, e5rt_execution_stream_operation_bind_completion_event, first, end);
    REFUSED(TOO_EARLY, e5rt_execution_stream_operation_bind_dependent_events, first, &end, 1);

    struct completion first_done = completion("first done"), second_done = completion("second done");
    CALL(e5rt_execution_stream_submit_async, streams[0], &first_done.block);
    CALL(e5rt_execution_stream_submit_async, streams[1], &second_done.block);
    EXPECT(last_signaled(gates[0]) == 7 && last_signaled(gates[1]) == 0);
    CALL(e5rt_async_event_signal, gates[0]);
    EXPECT(last_signaled(gates[0]) == 8 && last_signaled(gates[1]) == 0);
    EXPECT(last_signaled(between) == 0 && last_signaled(end) == 0);
    EXPECT(holds(b, NOTHING) && holds(c, NOTHING));
    CALL(e5rt_async_event_signal, gates[1]);
    CALL(e5rt_async_event_sync_wait, end);
    EXPECT(holds(b, FOUR) && holds(c, EIGHT));
    EXPECT(last_signaled(between) == 1 && last_signaled(end) == 1);
    CALL(e5rt_async_event_sync_wait, first_done.event);
    CALL(e5rt_async_event_sync_wait, second_done.event);
    EXPECT(first_done.code == 0 && second_done.code == 0);

    /* Without dependents the second runs though nothing is signalled; its completion still is. */
    CALL(e5rt_execution_stream_reset, streams[1]);
    CALL(e5rt_execution_stream_operation_prepare_op_for_encode, second);
    CALL(e5rt_execution_stream_operation_bind_dependent_events, second, 0, 0);
    CALL(e5rt_execution_stream_encode_operation, streams[1], second);
    CALL(e5rt_execution_stream_execute_sync, streams[1]);
    EXPECT(last_signaled(between) == 1 && last_signaled(end) == 2);

    for (int i = 0; i < 2; i++) {
        CALL(e5rt_execution_stream_release, &streams[i]);
        CALL(e5rt_async_event_release, &gates[i]);
    }
    void *released[] = {between, end, first_done.event, second_done.event};
    for (size_t i = 0; i < sizeof released / sizeof *released; i++)
        CALL(e5rt_async_event_release, &released[i]);
    REFUSED(STALE, e5rt_async_event_get_last_signaled_value, end, &(uint64_t){0});
    CALL(e5rt_execution_stream_operation_release, &first);
    CALL(e5rt_execution_stream_operation_release, &second);
    CALL(e5rt_buffer_object_release, &a.handle);
    CALL(e5rt_buffer_object_release, &b.handle);
    CALL(e5rt_buffer_object_release, &c.handle);
}

/* Hints change no result, before and between executions. */
static void hints(void *function) {
    struct buffer x = buffer(TWO), y = buffer(NOTHING);
    void *operation = doubling(function, x, y), *stream;
    CALL(e5rt_execution_stream_create, &stream);
    CALL(e5rt_execution_stream_encode_operation, stream, operation);
    for (uint64_t hint = 0; hint < 64; hint += 21) {
        CALL(e5rt_execution_stream_set_ane_execution_priority, stream, hint);
        CALL(e5rt_execution_stream_set_quality_of_service, stream, hint);
        y.elements[0] = NOTHING;
        CALL(e5rt_execution_stream_execute_sync, stream);
        EXPECT(holds(y, FOUR));
    }
    REFUSED(MEANINGLESS, e5rt_execution_stream_set_quality_of_service, stream, 64);
    void *stale = stream;
    CALL(e5rt_execution_stream_release, &stream);
    REFUSED(STALE, e5rt_execution_stream_set_ane_execution_priority, stale, 0);
    REFUSED(STALE, e5rt_execution_stream_set_quality_of_service, stale, 0);
    CALL(e5rt_execution_stream_operation_release, &operation);
    CALL(e5rt_buffer_object_release, &x.handle);
    CALL(e5rt_buffer_object_release, &y.handle);
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "rest LIBRARY MODEL.MIL CACHE\n");
        return 2;
    }
    load(argv[1]);
    mil = argv[2];
    cache = argv[3];
    compilations();
    void *function = opened();
    events(function);
    hints(function);
    CALL(e5rt_program_function_release, &function);
    return 0;
}
