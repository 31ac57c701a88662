#include "program_arguments.h"

static int count;
static char **values;

// glibc calls what stands in .init_array with what main gets (_dl_init, __libc_csu_init), before main.
__attribute__((constructor)) static void keep(int argc, char **argv) {
    count = argc;
    values = argv;
}

int aegis_argument_count(void) { return count; }

const char *aegis_argument(int index) { return values[index]; }
