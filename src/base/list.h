#pragma once

/* Doubly linked circular lists, as in Linux. Links may lie in the arena; not synchronized. */

#include "base/types.h"

struct list {
	struct list *next, *prev;
};

static inline void list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}

static inline void list_insert_between(struct list *n, struct list *prev, struct list *next)
{
	n->prev = prev;
	n->next = next;
	prev->next = n;
	next->prev = n;
}

/* Insert n at the head, or at the tail, of the list whose anchor is l. */
static inline void list_add(struct list *l, struct list *n)
{
	list_insert_between(n, l, l->next);
}

static inline void list_add_tail(struct list *l, struct list *n)
{
	list_insert_between(n, l->prev, l);
}

/* Unlink n and leave it initialized (so that a second list_del is harmless). */
static inline void list_del(struct list *n)
{
	n->next->prev = n->prev;
	n->prev->next = n->next;
	list_init(n);
}

/* Move everything on from to the tail of to; from is left empty. */
static inline void list_splice_tail(struct list *to, struct list *from)
{
	if (list_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	list_init(from);
}

#define list_entry(ptr, type, member) container_of(ptr, type, member)
#define list_first(l, type, member) list_entry((l)->next, type, member)
#define list_last(l, type, member) list_entry((l)->prev, type, member)
#define list_next(e, member) list_entry((e)->member.next, typeof(*(e)), member)

#define list_for_each(e, l, member) \
	for ((e) = list_entry((l)->next, typeof(*(e)), member); &(e)->member != (l); \
	     (e) = list_entry((e)->member.next, typeof(*(e)), member))

/* As list_for_each; e may be unlinked and freed in the body. */
#define list_for_each_safe(e, n, l, member) \
	for ((e) = list_entry((l)->next, typeof(*(e)), member), \
	    (n) = list_entry((e)->member.next, typeof(*(e)), member); \
	     &(e)->member != (l); \
	     (e) = (n), (n) = list_entry((n)->member.next, typeof(*(e)), member))
