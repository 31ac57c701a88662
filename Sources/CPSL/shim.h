// libpsl, a library for the public suffix list (https://rockdaboot.github.io/libpsl/).
#ifndef AEGIS_CPSL_H
#define AEGIS_CPSL_H
#include <libpsl.h>
#endif
