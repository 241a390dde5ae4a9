#pragma once

/*
 * A table of names, for directories that are kept in memory: a hash table, and a list in the order
 * of cookies, which rise, so that a readdir goes on at the right place whatever came and went
 * meanwhile. The owner's lock protects it; nothing here parks but nametab_entry_destroy (which may
 * drop an inode's last reference).
 */

#include "base/hash.h"
#include "base/list.h"
#include "base/types.h"

struct inode;

/* Cookies are below this; they are dealt out anew (in the same order) when they reach it. */
#define NAMETAB_COOKIES (1ULL << 31)
#define NAMETAB_FIRST 2 /* after "." and ".." */

struct nametab_entry {
	struct list order; /* in table->entries, by rising cookie */
	struct list hash_link;
	u64 cookie; /* position in readdir */
	struct inode *inode; /* owned; null: the owner's mark that a name is hidden */
	u32 hash;
	u16 len;
	bool covers; /* the owner's: a lower layer has this name too */
	char name[];
};

struct nametab {
	const struct hash_key *key; /* [I] of the super's dcache */
	struct list entries;
	struct list *buckets; /* arena array */
	u32 bucket_count, count;
	u64 next_cookie;
	struct nametab_entry *hint; /* where the last readdir stopped, or null */
};

void nametab_init(struct nametab *t, const struct hash_key *key);
/* Drop all entries, and the table's memory. */
void nametab_fini(struct nametab *t);
struct nametab_entry *nametab_find(const struct nametab *t, const char *name);
/* As nametab_find, of a name of len bytes. */
struct nametab_entry *nametab_find_len(const struct nametab *t, const char *name, size_t len);
/* An entry not yet in t; takes a reference to inode, if there is one. Null when memory is short. */
[[nodiscard]] struct nametab_entry *nametab_entry_create(const struct nametab *t, const char *name,
							 struct inode *inode);
void nametab_entry_destroy(struct nametab_entry *e); /* null is fine */
/* See to it that the next insertion succeeds; -ENOSPC. */
[[nodiscard]] int nametab_reserve(struct nametab *t);
[[nodiscard]] int nametab_insert(struct nametab *t, struct nametab_entry *e);
void nametab_erase(struct nametab *t, struct nametab_entry *e);
/* The first entry with at least this cookie, and the one after e; or null. */
struct nametab_entry *nametab_from(const struct nametab *t, u64 cookie);
struct nametab_entry *nametab_after(const struct nametab *t, struct nametab_entry *e);
