/* User namespaces. So far there is one, the root; ids in credentials are its ids. */

#include "cred/cred.h"

#include <errno.h>

#include "arena/slab.h"

SLAB_CLASS(user_ns, struct user_ns);

int user_ns_create_root(struct user_ns **ret)
{
	struct user_ns *ns = slab_alloc(&slab_user_ns);

	if (!ns)
		return -ENOMEM;
	refcount_init(&ns->refs, 1);
	*ret = ns;
	return 0;
}

void user_ns_get(struct user_ns *ns)
{
	refcount_get(&ns->refs);
}

void user_ns_put(struct user_ns *ns)
{
	while (ns && refcount_put(&ns->refs)) {
		struct user_ns *parent = ns->parent;

		slab_free(&slab_user_ns, ns);
		ns = parent;
	}
}
