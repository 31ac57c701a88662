#include "program_arguments.h"

static int count;
static char **values;

// glibc calls constructors before main, with main's arguments (_dl_init, __libc_csu_init).
__attribute__((constructor)) static void keep(int argc, char **argv) {
    count = argc;
    values = argv;
}

int aegis_argument_count(void) { return count; }

const char *aegis_argument(int index) { return values[index]; }
