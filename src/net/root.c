/* The one object of net, made at boot. */

#include <errno.h>

#include "arena/arena.h"
#include "arena/slab.h"
#include "host/host.h"
#include "net/internal.h"

SLAB_CLASS(net_root, struct net_root, TRANSIENT(struct net_root, gc_running),
	   TRANSIENT(struct net_root, gc_again), TRANSIENT(struct net_root, gc_not_before));

int net_init(void)
{
	struct net_root *root = slab_alloc(&slab_net_root);

	if (!root)
		return -ENOMEM;
	spin_init(&root->lock);
	host_random(&root->key, sizeof(root->key));
	link_init(&root->lo);
	list_init(&root->time_waits);
	list_init(&root->socks);
	list_init(&root->netlink);
	list_init(&root->doomed);
	list_init(&root->flights);
	list_init(&root->flight_socks);
	for (unsigned int i = 0; i < FLIGHT_BUCKETS; i++)
		list_init(&root->flight_users[i]);
	for (unsigned int i = 0; i < NET_BUCKETS; i++) {
		list_init(&root->unix_names[i]);
		for (unsigned int t = 0; t < PORT_TABLES; t++)
			list_init(&root->ports[t][i]);
	}
	root->autobind = (u32)root->key.k1 & 0xfffff;
	arena_set_root_of(ARENA_ROOT_NET, root);
	return 0;
}

struct net_root *net_root(void)
{
	return arena_root_of(ARENA_ROOT_NET);
}
