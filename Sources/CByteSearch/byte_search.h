// Searches sixteen bytes at a time. Written in C, since Swift 6.3 compares the elements of a SIMD vector one by one.
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

// The index of the first of sixteen bytes that is a control byte (0-31, 127) or `stop`; 16 if none is.
static inline size_t aegis_first_control_of_16(const uint8_t *bytes, uint8_t stop) {
    aegis_bytes16 chunk;
    memcpy(&chunk, bytes, sizeof chunk);
    // Each byte that matches becomes 0xFF, each other byte 0.
    aegis_words2 found = (aegis_words2)((chunk < 0x20) | (chunk == 0x7F) | (chunk == stop));
#ifdef __SSE2__
    // One bit for each byte, so a single instruction finds the first match.
    unsigned bits = (unsigned)_mm_movemask_epi8((__m128i)found);
    return bits ? (size_t)__builtin_ctz(bits) : 16;
#else
    if (found[0]) return (size_t)__builtin_ctzll(found[0]) / 8;
    if (found[1]) return 8 + (size_t)__builtin_ctzll(found[1]) / 8;
    return 16;
#endif
}

// The index of the first byte from `start` to below `count` that is a control byte or `stop`; `count` if none is.
static inline size_t aegis_first_control(const uint8_t *bytes, size_t start, size_t count, uint8_t stop) {
    while (start + 16 <= count) {
        size_t found = aegis_first_control_of_16(bytes + start, stop);
        if (found < 16) return start + found;
        start += 16;
    }
    if (start >= count) return count;
    // The zeros after the remaining bytes are control bytes, so the first zero ends the search at `count`.
    uint8_t rest[16] = {0};
    memcpy(rest, bytes + start, count - start);
    return start + aegis_first_control_of_16(rest, stop);
}
#endif
