#pragma once

/*
 * Intrusive red-black trees, as in Linux: the user searches and links by hand, the tree rebalances.
 * Nodes may lie in the arena. Not synchronized.
 *
 *	struct rb_node **link = &root->node, *parent = NULL;
 *	while (*link) {
 *		parent = *link;
 *		link = key < rb_entry(parent, struct thing, rb)->key ? &parent->left :
 *&parent->right;
 *	}
 *	rb_link(&thing->rb, parent, link);
 *	rb_insert(root, &thing->rb, NULL);
 *
 * An augmented tree passes update, which computes what a node caches about its subtree from the
 * node and its children's caches; a user who changes a node's own part calls rb_propagate.
 */

#include "base/types.h"

struct rb_node {
	uintptr_t parent_red; /* the parent's address; bit 0: red */
	struct rb_node *left, *right;
};

struct rb_root {
	struct rb_node *node;
};

typedef void rb_update_fn(struct rb_node *n);

#define RB_ROOT ((struct rb_root){})
#define rb_entry(ptr, type, member) container_of(ptr, type, member)
/* As rb_entry; null stays null. */
#define rb_entry_safe(ptr, type, member) \
	({ \
		typeof(ptr) ptr_ = (ptr); \
		ptr_ ? rb_entry(ptr_, type, member) : (type *)NULL; \
	})

static inline struct rb_node *rb_parent(const struct rb_node *n)
{
	return (struct rb_node *)(n->parent_red &
				  ~(uintptr_t)1); // NOLINT(performance-no-int-to-ptr)
}

static inline bool rb_empty(const struct rb_root *root)
{
	return !root->node;
}

/* Put n at *link below parent (null: at the root); rb_insert must follow. */
void rb_link(struct rb_node *n, struct rb_node *parent, struct rb_node **link);
void rb_insert(struct rb_root *root, struct rb_node *n, rb_update_fn *update);
void rb_erase(struct rb_root *root, struct rb_node *n, rb_update_fn *update);
/* Put new in the place of old, whose key it shares. */
void rb_replace(struct rb_root *root, struct rb_node *old, struct rb_node *new,
		rb_update_fn *update);
/* Update n and all its ancestors. */
void rb_propagate(struct rb_node *n, rb_update_fn *update);

/* In key order; null at the end or in an empty tree. */
struct rb_node *rb_first(const struct rb_root *root);
struct rb_node *rb_last(const struct rb_root *root);
struct rb_node *rb_next(const struct rb_node *n);
struct rb_node *rb_prev(const struct rb_node *n);
