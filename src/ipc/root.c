/* The one object of ipc. It is found by its slab class, which holds nothing else. */

#include "ipc/root.h"

#include "arena/arena.h"
#include "arena/slab.h"

SLAB_CLASS(ipc_root, struct ipc_root);

static void root_found(void *obj, void *arg)
{
	*(struct ipc_root **)arg = obj;
}

static struct ipc_root *root_create(void)
{
	struct ipc_root *root;
	struct futex_bucket *buckets = arena_alloc(FUTEX_BUCKETS * sizeof(*buckets));

	if (!buckets)
		return NULL;
	for (unsigned int i = 0; i < FUTEX_BUCKETS; i++) {
		spin_init(&buckets[i].lock);
		list_init(&buckets[i].waiters);
	}
	root = slab_alloc(&slab_ipc_root);
	if (!root) {
		arena_free(buckets);
		return NULL;
	}
	mutex_init(&root->epoll_graph);
	root->futexes = buckets;
	return root;
}

struct ipc_root *ipc_root(void)
{
	struct ipc_root *root = NULL;

	slab_for_each(&slab_ipc_root, root_found, &root)
		;
	return root ? root : root_create();
}
