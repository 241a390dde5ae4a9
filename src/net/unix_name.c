/*
 * Names of unix-domain sockets: paths, which are inodes of type socket; abstract ones, a table of
 * the network namespace; and none.
 *
 * One table finds both: by the inode's address, or by a hash of the name. Each type of socket has
 * abstract names of its own. A name in the file system is held by its socket (path), so the inode's
 * address is not reused while the socket has it.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "arena/slab.h"
#include "net/internal.h"
#include "sched/fiber.h"

#define NAME_AT offsetof(struct sockaddr_un, sun_path)

SLAB_CLASS(unix_addr, struct unix_addr);

struct unix_addr *unix_addr_get(struct unix_addr *a)
{
	if (a)
		refcount_get(&a->refs);
	return a;
}

void unix_addr_put(struct unix_addr *a)
{
	if (a && refcount_put(&a->refs))
		slab_free(&slab_unix_addr, a);
}

struct unix_addr *unix_sock_addr(struct sock *sk)
{
	struct unix_addr *a;

	sock_lock(sk);
	a = unix_addr_get(sk->addr);
	sock_unlock(sk);
	return a;
}

void unix_name(const struct unix_addr *a, struct sockname *ret)
{
	if (!a) {
		ret->size = 0;
		return;
	}
	ret->size = a->size;
	memcpy(ret->raw, &a->name, min((size_t)a->size, sizeof(a->name)));
	if (a->size > sizeof(a->name))
		ret->raw[sizeof(a->name)] = '\0';
}

static bool is_abstract(const struct sockname *name)
{
	return name->raw[NAME_AT] == '\0';
}

/* -EINVAL unless name is a unix address with something in it. */
static int name_check(const struct sockname *name)
{
	if (name->size <= NAME_AT || name->size > sizeof(struct sockaddr_un) ||
	    name->sa.sa_family != AF_UNIX)
		return -EINVAL;
	return 0;
}

static u32 abstract_hash(const struct unix_addr *a)
{
	return (u32)hash_bytes(&net_root()->key, &a->name, a->size);
}

static struct unix_addr *addr_create(const struct sockname *name)
{
	struct unix_addr *a = slab_alloc(&slab_unix_addr);
	size_t len;

	if (!a)
		return NULL;
	refcount_init(&a->refs, 1);
	memcpy(&a->name, name->raw, name->size);
	a->size = name->size;
	if (is_abstract(name)) {
		a->hash = abstract_hash(a);
		return a;
	}
	/* A path's size counts its NUL, which may be one byte beyond the struct. */
	len = strnlen(a->name.sun_path, name->size - NAME_AT);
	a->size = (u32)(NAME_AT + len + 1);
	return a;
}

static struct list *inode_bucket(const struct inode *inode)
{
	return &net_root()->unix_names[hash_u64((u64)(uintptr_t)inode) % NET_BUCKETS];
}

static struct list *hash_bucket(u32 hash)
{
	return &net_root()->unix_names[hash % NET_BUCKETS];
}

static bool addr_equal(const struct unix_addr *a, const struct unix_addr *b)
{
	return a->size == b->size && !memcmp(&a->name, &b->name, a->size);
}

/* Who of this type has abstract name a. */
static struct sock *abstract_find(const struct unix_addr *a, int type) REQUIRES(lc_net)
{
	struct sock *sk;

	list_for_each(sk, hash_bucket(a->hash), name_link)
		if (!sk->path.dentry && sk->type == type && addr_equal(sk->addr, a))
			return sk;
	return NULL;
}

/* ---- bind ---- */

/* Give sk the name a (a reference is taken over on success) at path (likewise; null: abstract). */
static int name_set(struct sock *sk, struct unix_addr *a, const struct path *path)
{
	int err = 0;

	net_lock();
	sock_lock(sk);
	if (sk->addr) {
		err = -EINVAL;
	} else if (!path && abstract_find(a, sk->type)) {
		err = -EADDRINUSE;
	} else {
		sk->addr = a;
		if (path)
			sk->path = *path;
		list_add_tail(path ? inode_bucket(path->dentry->inode) : hash_bucket(a->hash),
			      &sk->name_link);
		sk->hashed = true;
	}
	sock_unlock(sk);
	net_unlock();
	return err;
}

static int bind_path(struct subject *s, struct sock *sk, struct unix_addr *a)
{
	char name[sizeof(a->name.sun_path) + 1];
	struct path path;
	int err;

	memcpy(name, a->name.sun_path, sizeof(a->name.sun_path));
	name[sizeof(name) - 1] = '\0';
	err = vfs_mknod(s, AT_FDCWD, name, S_IFSOCK | 0777, 0);
	if (err)
		return err == -EEXIST ? -EADDRINUSE : err;
	err = path_walk(s, AT_FDCWD, name, 0, &path);
	if (err)
		return err;
	err = S_ISSOCK(path.dentry->inode->mode) ? name_set(sk, a, &path) : -EADDRINUSE;
	if (err) {
		path_put(&path);
		(void)!vfs_unlink(s, AT_FDCWD, name);
	}
	return err;
}

int unix_autobind(struct sock *sk)
{
	struct sockname name = { .size = NAME_AT + 6, .sa.sa_family = AF_UNIX };
	struct net_root *root = net_root();
	struct unix_addr *a;
	char text[8];
	u32 n;
	int err;

	for (u32 i = 0; i < 0x10'0000; i++) {
		net_lock();
		n = root->autobind++ & 0xfffff;
		net_unlock();
		snprintf(text, sizeof(text), "%05x", n);
		memcpy(name.raw + NAME_AT + 1, text, 5);
		a = addr_create(&name);
		if (!a)
			return -ENOMEM;
		err = name_set(sk, a, NULL);
		if (err)
			unix_addr_put(a);
		if (err == -EINVAL)
			return 0; /* it has one meanwhile */
		if (err != -EADDRINUSE)
			return err;
		fiber_yield();
	}
	return -ENOSPC;
}

int unix_bind(struct subject *s, struct sock *sk, const struct sockname *name)
{
	struct unix_addr *a;
	int err;

	if (name->size == NAME_AT && name->sa.sa_family == AF_UNIX)
		return unix_autobind(sk);
	err = name_check(name);
	if (err)
		return err;
	a = addr_create(name);
	if (!a)
		return -ENOMEM;
	err = is_abstract(name) ? name_set(sk, a, NULL) : bind_path(s, sk, a);
	if (err)
		unix_addr_put(a);
	return err;
}

void unix_unbind(struct sock *sk)
{
	struct path path = {};

	net_lock();
	sk->listener = NULL;
	if (sk->hashed) {
		list_del(&sk->name_link);
		sk->hashed = false;
	}
	sock_lock(sk);
	path = sk->path;
	sk->path = (struct path){};
	sock_unlock(sk);
	net_unlock();
	if (path.dentry)
		path_put(&path);
}

/* ---- finding ---- */

static struct sock *find_inode(const struct inode *inode)
{
	struct sock *sk, *found = NULL;

	net_lock();
	list_for_each(sk, inode_bucket(inode), name_link) {
		if (sk->path.dentry && sk->path.dentry->inode == inode) {
			found = sock_get(sk);
			break;
		}
	}
	net_unlock();
	return found;
}

static int find_path(struct subject *s, const struct unix_addr *a, struct sock **ret)
{
	char name[sizeof(a->name.sun_path) + 1];
	struct path path;
	int err;

	memcpy(name, a->name.sun_path, sizeof(a->name.sun_path));
	name[sizeof(name) - 1] = '\0';
	err = path_walk(s, AT_FDCWD, name, WALK_FOLLOW, &path);
	if (err)
		return err;
	err = vfs_permission(s, &path, W_OK);
	if (!err && !S_ISSOCK(path.dentry->inode->mode))
		err = -ECONNREFUSED;
	if (!err)
		*ret = find_inode(path.dentry->inode);
	path_put(&path);
	if (err)
		return err;
	return *ret ? 0 : -ECONNREFUSED;
}

int unix_find(struct subject *s, const struct sockname *name, int type, struct sock **ret)
{
	struct unix_addr *a;
	struct sock *sk = NULL;
	int err = name_check(name);

	if (err)
		return err;
	a = addr_create(name);
	if (!a)
		return -ENOMEM;
	if (is_abstract(name)) {
		net_lock();
		sk = abstract_find(a, type);
		if (sk)
			sock_get(sk);
		net_unlock();
		err = sk ? 0 : -ECONNREFUSED;
	} else {
		err = find_path(s, a, &sk);
	}
	unix_addr_put(a);
	if (!err && sk->type != type) {
		sock_put(sk);
		err = -EPROTOTYPE;
	}
	if (!err)
		*ret = sk;
	return err;
}
