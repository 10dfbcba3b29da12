/* What C code of the dependencies asks about the system it is compiled for. */
#pragma once
#define TARGET_OS_IPHONE 0
#define TARGET_OS_MAC 1
#define TARGET_OS_OSX 1
