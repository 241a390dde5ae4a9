#pragma once

/*
 * Hashes. hash_u64 mixes a word whose values no guest chooses freely; hash_bytes is SipHash-1-3
 * (Aumasson, Bernstein) for tables whose keys a guest does choose: the key is random and secret.
 */

#include <string.h>

#include "base/types.h"

struct hash_key {
	u64 k0, k1;
};

/* The finalizer of MurmurHash3: a bijection whose every output bit depends on every input bit. */
static inline u64 hash_u64(u64 x)
{
	x ^= x >> 33;
	x *= 0xff51'afd7'ed55'8ccdUL;
	x ^= x >> 33;
	x *= 0xc4ce'b9fe'1a85'ec53UL;
	x ^= x >> 33;
	return x;
}

static inline u64 hash_combine(u64 a, u64 b)
{
	return hash_u64(a ^ (b + 0x9e37'79b9'7f4a'7c15UL + (a << 6) + (a >> 2)));
}

static inline u64 hash_rotl(u64 x, int n)
{
	return x << n | x >> (64 - n);
}

static inline void hash_sip_round(u64 v[4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = hash_rotl(v[1], 13) ^ v[0];
	v[3] = hash_rotl(v[3], 16) ^ v[2];
	v[0] = hash_rotl(v[0], 32);
	v[2] += v[1];
	v[0] += v[3];
	v[1] = hash_rotl(v[1], 17) ^ v[2];
	v[3] = hash_rotl(v[3], 21) ^ v[0];
	v[2] = hash_rotl(v[2], 32);
}

static inline u64 hash_bytes(const struct hash_key *key, const void *data, size_t size)
{
	u64 v[4] = { key->k0 ^ 0x736f'6d65'7073'6575UL, key->k1 ^ 0x646f'7261'6e64'6f6dUL,
		     key->k0 ^ 0x6c79'6765'6e65'7261UL, key->k1 ^ 0x7465'6462'7974'6573UL };
	const char *p = data;
	size_t left = size;
	u64 word;

	for (; left >= 8; left -= 8, p += 8) {
		memcpy(&word, p, 8);
		v[3] ^= word;
		hash_sip_round(v);
		v[0] ^= word;
	}
	word = 0;
	if (left)
		memcpy(&word, p, left);
	word |= (u64)size << 56;
	v[3] ^= word;
	hash_sip_round(v);
	v[0] ^= word;
	v[2] ^= 0xff;
	for (int i = 0; i < 3; i++)
		hash_sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}
