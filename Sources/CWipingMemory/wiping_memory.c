#define _DEFAULT_SOURCE
#include "wiping_memory.h"
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

static __thread int wiping;

void aegis_set_wiping(int is_wiping) { wiping = is_wiping; }

void *aegis_wiping_malloc(size_t size, const char *file, int line) {
    (void)file, (void)line;
    return size > 0 ? malloc(size) : NULL;
}

void aegis_wiping_free(void *memory, const char *file, int line) {
    (void)file, (void)line;
    if (wiping && memory) explicit_bzero(memory, malloc_usable_size(memory));
    free(memory);
}

void *aegis_wiping_realloc(void *memory, size_t size, const char *file, int line) {
    if (!wiping && size > 0) return realloc(memory, size);
    size_t usable = memory ? malloc_usable_size(memory) : 0;
    if (memory && size > 0 && size <= usable) return memory;
    // realloc(3) may move the bytes and leave an unwiped copy behind, so the function copies and wipes by itself.
    void *larger = aegis_wiping_malloc(size, file, line);
    if (size > 0 && !larger) return NULL;
    if (larger && memory) memcpy(larger, memory, usable);
    aegis_wiping_free(memory, file, line);
    return larger;
}
