/*
 * Finds the functions that FUNCTIONS lists, which has to be defined before, in a library; calls them and looks at codes.
 */
#ifndef CALLS_H
#define CALLS_H

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#include "e5rt.h"

#define DECLARE(name) static __typeof__(&name) p_##name;
FUNCTIONS(DECLARE)

static void load(const char *path) {
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        fprintf(stderr, "%s\n", dlerror());
        exit(2);
    }
#define FIND(name) \
    *(void **)&p_##name = dlsym(library, #name); \
    if (!p_##name) { \
        fprintf(stderr, "%s has no " #name "\n", path); \
        exit(2); \
    }
    FUNCTIONS(FIND)
}

static void check(int64_t code, const char *call) {
    if (code) {
        fprintf(stderr, "%s returned %lld: %s\n", call, (long long)code, p_e5rt_get_last_error_message());
        exit(1);
    }
}

#define CALL(name, ...) check(p_##name(__VA_ARGS__), #name)

#endif
