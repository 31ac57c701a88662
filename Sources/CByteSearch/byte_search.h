// Looks at sixteen bytes at a time. In C, since Swift's own vectors compare one element after the other (6.3).
#ifndef AEGIS_CBYTESEARCH_H
#define AEGIS_CBYTESEARCH_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

typedef uint8_t aegis_bytes16 __attribute__((vector_size(16)));
typedef uint64_t aegis_words2 __attribute__((vector_size(16)));

// Where the lowest of sixteen bytes is that is a control byte (0-31, 127) or `stop`; 16 if none is.
static inline size_t aegis_first_control_of_16(const uint8_t *bytes, uint8_t stop) {
    aegis_bytes16 chunk;
    memcpy(&chunk, bytes, sizeof chunk);
    // A comparison gives a byte of ones where it holds.
    aegis_words2 found = (aegis_words2)((chunk < 0x20) | (chunk == 0x7F) | (chunk == stop));
#ifdef __SSE2__
    // A bit of each byte: one look at all sixteen.
    unsigned bits = (unsigned)_mm_movemask_epi8((__m128i)found);
    return bits ? (size_t)__builtin_ctz(bits) : 16;
#else
    if (found[0]) return (size_t)__builtin_ctzll(found[0]) / 8;
    if (found[1]) return 8 + (size_t)__builtin_ctzll(found[1]) / 8;
    return 16;
#endif
}

// The first byte from `start` to below `count` that is a control byte or `stop`; `count` if there is none.
static inline size_t aegis_first_control(const uint8_t *bytes, size_t start, size_t count, uint8_t stop) {
    while (start + 16 <= count) {
        size_t found = aegis_first_control_of_16(bytes + start, stop);
        if (found < 16) return start + found;
        start += 16;
    }
    if (start >= count) return count;
    // The zeros behind the rest are control bytes: at the latest the first of them is found.
    uint8_t rest[16] = {0};
    memcpy(rest, bytes + start, count - start);
    return start + aegis_first_control_of_16(rest, stop);
}
#endif
