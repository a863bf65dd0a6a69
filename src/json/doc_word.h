/*
 * Eight bytes at a time: find the first byte of a kind in a word. The first byte in memory is made
 * the lowest, so the lowest mark is the first match. A mark above the lowest one may be wrong,
 * because the subtraction borrows; therefore only the first is ever used.
 */
#ifndef JSON_DOC_WORD_H
#define JSON_DOC_WORD_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

#define DOC_WORD_ONES UINT64_C(0x0101010101010101)
#define DOC_WORD_HIGH UINT64_C(0x8080808080808080)

static inline uint64_t doc_word_load(const void *bytes)
{
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
    return le64toh(word);
}

/* Mark bytes below `bound`, which is at most 0x80. */
static inline uint64_t doc_word_below(uint64_t word, unsigned char bound)
{
    return (word - DOC_WORD_ONES * bound) & ~word & DOC_WORD_HIGH;
}

static inline uint64_t doc_word_equal(uint64_t word, unsigned char byte)
{
    return doc_word_below(word ^ (DOC_WORD_ONES * byte), 1);
}

static inline uint64_t doc_word_not_ascii(uint64_t word)
{
    return word & DOC_WORD_HIGH;
}

/* How many bytes come before the first mark; there must be one. */
static inline unsigned doc_word_first(uint64_t marks)
{
    return (unsigned)__builtin_ctzll(marks) / 8;
}

#endif
