/* Red-black trees with parent pointers: Cormen, Leiserson, Rivest, Stein, Introduction to
 * Algorithms, chapter 13. */

#include "base/rbtree.h"

static bool rb_is_red(const struct rb_node *n)
{
	return n && (n->parent_red & 1);
}

static void rb_set_red(struct rb_node *n, bool red)
{
	n->parent_red = (n->parent_red & ~(uintptr_t)1) | red;
}

static void rb_set_parent(struct rb_node *n, struct rb_node *parent)
{
	n->parent_red = (uintptr_t)parent | (n->parent_red & 1);
}

/* Make new the child of parent (or the root) where old was. */
static void rb_change_child(struct rb_root *root, struct rb_node *parent, struct rb_node *old,
			    struct rb_node *new)
{
	if (!parent)
		root->node = new;
	else if (parent->left == old)
		parent->left = new;
	else
		parent->right = new;
}

/* Rotate n down to the left (or right); its right (left) child takes its place. */
static void rb_rotate(struct rb_root *root, struct rb_node *n, bool left, rb_update_fn *update)
{
	struct rb_node *up = left ? n->right : n->left;
	struct rb_node *middle = left ? up->left : up->right;
	struct rb_node *parent = rb_parent(n);

	if (left) {
		n->right = middle;
		up->left = n;
	} else {
		n->left = middle;
		up->right = n;
	}
	if (middle)
		rb_set_parent(middle, n);
	rb_set_parent(up, parent);
	rb_change_child(root, parent, n, up);
	rb_set_parent(n, up);
	if (update) {
		update(n);
		update(up);
	}
}

void rb_propagate(struct rb_node *n, rb_update_fn *update)
{
	for (; n && update; n = rb_parent(n))
		update(n);
}

void rb_link(struct rb_node *n, struct rb_node *parent, struct rb_node **link)
{
	n->parent_red = (uintptr_t)parent | 1;
	n->left = n->right = NULL;
	*link = n;
}

void rb_insert(struct rb_root *root, struct rb_node *n, rb_update_fn *update)
{
	struct rb_node *parent;

	rb_propagate(n, update);
	while ((parent = rb_parent(n)) && rb_is_red(parent)) {
		struct rb_node *grand = rb_parent(parent);
		bool left = parent == grand->left;
		struct rb_node *uncle = left ? grand->right : grand->left;

		if (rb_is_red(uncle)) {
			rb_set_red(parent, false);
			rb_set_red(uncle, false);
			rb_set_red(grand, true);
			n = grand;
			continue;
		}
		if (n == (left ? parent->right : parent->left)) {
			rb_rotate(root, parent, left, update);
			parent = n;
		}
		rb_set_red(parent, false);
		rb_set_red(grand, true);
		rb_rotate(root, grand, !left, update);
		break;
	}
	rb_set_red(root->node, false);
}

/* The subtree n (perhaps null) below parent lacks one black node. */
static void rb_erase_fix(struct rb_root *root, struct rb_node *n, struct rb_node *parent,
			 rb_update_fn *update)
{
	while (parent && !rb_is_red(n)) {
		bool left = n == parent->left;
		struct rb_node *sib = left ? parent->right : parent->left;
		struct rb_node *near, *far;

		if (rb_is_red(sib)) {
			rb_set_red(sib, false);
			rb_set_red(parent, true);
			rb_rotate(root, parent, left, update);
			sib = left ? parent->right : parent->left;
		}
		near = left ? sib->left : sib->right;
		far = left ? sib->right : sib->left;
		if (!rb_is_red(near) && !rb_is_red(far)) {
			rb_set_red(sib, true);
			n = parent;
			parent = rb_parent(n);
			continue;
		}
		if (!rb_is_red(far)) {
			rb_set_red(near, false);
			rb_set_red(sib, true);
			rb_rotate(root, sib, !left, update);
			sib = near;
			far = left ? sib->right : sib->left;
		}
		rb_set_red(sib, rb_is_red(parent));
		rb_set_red(parent, false);
		rb_set_red(far, false);
		rb_rotate(root, parent, left, update);
		return;
	}
	if (n)
		rb_set_red(n, false);
}

void rb_erase(struct rb_root *root, struct rb_node *n, rb_update_fn *update)
{
	struct rb_node *child, *parent;
	bool black;

	if (n->left && n->right) {
		/* The successor, which has no left child, takes n's place. */
		struct rb_node *next = n->right;

		while (next->left)
			next = next->left;
		child = next->right;
		parent = rb_parent(next);
		black = !rb_is_red(next);
		if (parent == n) {
			parent = next;
		} else {
			parent->left = child;
			if (child)
				rb_set_parent(child, parent);
			next->right = n->right;
			rb_set_parent(next->right, next);
		}
		next->left = n->left;
		rb_set_parent(next->left, next);
		next->parent_red = n->parent_red;
		rb_change_child(root, rb_parent(n), n, next);
	} else {
		child = n->left ? n->left : n->right;
		parent = rb_parent(n);
		black = !rb_is_red(n);
		if (child)
			rb_set_parent(child, parent);
		rb_change_child(root, parent, n, child);
	}
	rb_propagate(parent, update);
	if (black)
		rb_erase_fix(root, child, parent, update);
	*n = (struct rb_node){};
}

void rb_replace(struct rb_root *root, struct rb_node *old, struct rb_node *new,
		rb_update_fn *update)
{
	*new = *old;
	rb_change_child(root, rb_parent(old), old, new);
	if (new->left)
		rb_set_parent(new->left, new);
	if (new->right)
		rb_set_parent(new->right, new);
	rb_propagate(new, update);
}

struct rb_node *rb_first(const struct rb_root *root)
{
	struct rb_node *n = root->node;

	while (n && n->left)
		n = n->left;
	return n;
}

struct rb_node *rb_last(const struct rb_root *root)
{
	struct rb_node *n = root->node;

	while (n && n->right)
		n = n->right;
	return n;
}

struct rb_node *rb_next(const struct rb_node *n)
{
	const struct rb_node *up;

	if (n->right) {
		n = n->right;
		while (n->left)
			n = n->left;
		return (struct rb_node *)n;
	}
	while ((up = rb_parent(n)) && n == up->right)
		n = up;
	return (struct rb_node *)up;
}

struct rb_node *rb_prev(const struct rb_node *n)
{
	const struct rb_node *up;

	if (n->left) {
		n = n->left;
		while (n->right)
			n = n->right;
		return (struct rb_node *)n;
	}
	while ((up = rb_parent(n)) && n == up->left)
		n = up;
	return (struct rb_node *)up;
}
