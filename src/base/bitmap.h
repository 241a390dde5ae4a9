#pragma once

/* Bitmaps: arrays of u64, bit n in word n / 64. Not synchronized. */

#include "base/types.h"

#define BITMAP_WORDS(bits) (((bits) + 63) / 64)

static inline bool bitmap_test(const u64 *map, size_t bit)
{
	return map[bit / 64] >> (bit % 64) & 1;
}

static inline void bitmap_set(u64 *map, size_t bit)
{
	map[bit / 64] |= 1UL << (bit % 64);
}

static inline void bitmap_clear(u64 *map, size_t bit)
{
	map[bit / 64] &= ~(1UL << (bit % 64));
}

/* The first bit at or after from whose value is set (resp. clear), in a map of bits; bits if there
 * is none. */
static inline size_t bitmap_find(const u64 *map, size_t bits, size_t from, u64 invert)
{
	while (from < bits) {
		u64 word = (map[from / 64] ^ invert) >> (from % 64);

		if (word) {
			from += (size_t)__builtin_ctzl(word);
			return min(from, bits);
		}
		from = (from / 64 + 1) * 64;
	}
	return bits;
}

static inline size_t bitmap_find_set(const u64 *map, size_t bits, size_t from)
{
	return bitmap_find(map, bits, from, 0);
}

static inline size_t bitmap_find_clear(const u64 *map, size_t bits, size_t from)
{
	return bitmap_find(map, bits, from, ~0UL);
}
