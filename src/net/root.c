/* The one object of net, made at boot. */

#include <errno.h>

#include "arena/arena.h"
#include "arena/slab.h"
#include "host/host.h"
#include "net/internal.h"

SLAB_CLASS(net_root, struct net_root);

int net_init(void)
{
	struct net_root *root = slab_alloc(&slab_net_root);

	if (!root)
		return -ENOMEM;
	spin_init(&root->lock);
	host_random(&root->key, sizeof(root->key));
	list_init(&root->doomed);
	for (unsigned int i = 0; i < NET_BUCKETS; i++) {
		list_init(&root->unix_names[i]);
		list_init(&root->ports[0][i]);
		list_init(&root->ports[1][i]);
	}
	root->autobind = (u32)root->key.k1 & 0xfffff;
	arena_set_root_of(ARENA_ROOT_NET, root);
	return 0;
}

struct net_root *net_root(void)
{
	return arena_root_of(ARENA_ROOT_NET);
}
