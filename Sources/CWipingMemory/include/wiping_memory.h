// Memory functions for OpenSSL, in the form of CRYPTO_set_mem_functions(3). They wipe the memory that a thread frees
// while it handles a key. Other memory is not wiped, since TLS allocates and frees its record buffers with every read.
#ifndef AEGIS_WIPING_MEMORY_H
#define AEGIS_WIPING_MEMORY_H
#include <stddef.h>

/// Sets whether this thread's frees are wiped from now on.
void aegis_set_wiping(int is_wiping);

void *aegis_wiping_malloc(size_t size, const char *file, int line);
void *aegis_wiping_realloc(void *memory, size_t size, const char *file, int line);
void aegis_wiping_free(void *memory, const char *file, int line);
#endif
