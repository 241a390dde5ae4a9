/* The one object of ipc, made at boot. */

#include "ipc/root.h"

#include <errno.h>

#include "arena/arena.h"
#include "arena/slab.h"

SLAB_CLASS(ipc_root, struct ipc_root);

int ipc_init(void)
{
	struct futex_bucket *buckets = arena_alloc(FUTEX_BUCKETS * sizeof(*buckets));
	struct list *pi = arena_alloc(FUTEX_BUCKETS * sizeof(*pi));
	struct ipc_root *root = slab_alloc(&slab_ipc_root);

	if (!buckets || !pi || !root) {
		arena_free(buckets);
		arena_free(pi);
		slab_free(&slab_ipc_root, root);
		return -ENOMEM;
	}
	for (unsigned int i = 0; i < FUTEX_BUCKETS; i++) {
		spin_init(&buckets[i].lock);
		list_init(&buckets[i].waiters);
		list_init(&pi[i]);
	}
	mutex_init(&root->epoll_graph);
	root->futexes = buckets;
	root->pi_waiters = pi;
	spin_init(&root->pi_lock);
	arena_set_root_of(ARENA_ROOT_IPC, root);
	return 0;
}

struct ipc_root *ipc_root(void)
{
	return arena_root_of(ARENA_ROOT_IPC);
}
