// Memory functions for OpenSSL, with the signatures that CRYPTO_set_mem_functions(3) requires. While a thread handles a
// key, the functions wipe all memory that the thread frees. Other memory is not wiped: TLS frees a record buffer after
// every read, and wiping each buffer would be slow.
#ifndef AEGIS_WIPING_MEMORY_H
#define AEGIS_WIPING_MEMORY_H
#include <stddef.h>

/// Sets whether memory that the calling thread frees from now on is wiped.
void aegis_set_wiping(int is_wiping);

void *aegis_wiping_malloc(size_t size, const char *file, int line);
void *aegis_wiping_realloc(void *memory, size_t size, const char *file, int line);
void aegis_wiping_free(void *memory, const char *file, int line);
#endif
