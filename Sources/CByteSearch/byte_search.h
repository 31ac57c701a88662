// Searches for control bytes in steps of sixteen bytes. The module is written in C because Swift 6.3 compares the
// elements of a SIMD vector one by one.
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

// Returns the index of the first control byte (0-31, 127) or byte equal to `stop` among sixteen bytes. Returns 16 if
// there is none.
static inline size_t aegis_first_control_of_16(const uint8_t *bytes, uint8_t stop) {
    aegis_bytes16 chunk;
    memcpy(&chunk, bytes, sizeof chunk);
    // The comparisons set each matching byte to 0xFF and each other byte to 0.
    aegis_words2 found = (aegis_words2)((chunk < 0x20) | (chunk == 0x7F) | (chunk == stop));
#ifdef __SSE2__
    // The instruction packs the matches into one bit per byte, so the number of trailing zeros is the first match's
    // index.
    unsigned bits = (unsigned)_mm_movemask_epi8((__m128i)found);
    return bits ? (size_t)__builtin_ctz(bits) : 16;
#else
    if (found[0]) return (size_t)__builtin_ctzll(found[0]) / 8;
    if (found[1]) return 8 + (size_t)__builtin_ctzll(found[1]) / 8;
    return 16;
#endif
}

// Returns the index of the first control byte or byte equal to `stop` from `start` on. Returns `count` if there is
// none.
static inline size_t aegis_first_control(const uint8_t *bytes, size_t start, size_t count, uint8_t stop) {
    while (start + 16 <= count) {
        size_t found = aegis_first_control_of_16(bytes + start, stop);
        if (found < 16) return start + found;
        start += 16;
    }
    if (start >= count) return count;
    // The copy is padded with zeros, which are control bytes. If the copied bytes have no match, the search finds the
    // first zero and returns `count`.
    uint8_t rest[16] = {0};
    memcpy(rest, bytes + start, count - start);
    return start + aegis_first_control_of_16(rest, stop);
}
#endif
