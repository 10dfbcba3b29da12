/* C code of the dependencies is compiled here to be linked, not run, so it asserts nothing. */
#pragma once
#define assert(condition) ((void)0)
