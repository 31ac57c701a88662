// Memory functions for OpenSSL, in the form of CRYPTO_set_mem_functions(3), that wipe what a thread frees while it handles
// a key. All else is left alone: the record buffers of TLS come and go with every read.
#ifndef AEGIS_WIPING_MEMORY_H
#define AEGIS_WIPING_MEMORY_H
#include <stddef.h>

/// Says whether this thread's frees are wiped from now on.
void aegis_set_wiping(int is_wiping);

void *aegis_wiping_malloc(size_t size, const char *file, int line);
void *aegis_wiping_realloc(void *memory, size_t size, const char *file, int line);
void aegis_wiping_free(void *memory, const char *file, int line);
#endif
