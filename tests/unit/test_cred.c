/* Credentials, user counts and resource limits. */

#include <errno.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "arena/arena.h"
#include "arena/slab.h"
#include "cred/cred.h"
#include "cred/rlimit.h"
#include "cred/user.h"

#define CAP(n) (1ULL << (n))

static struct cred *make(u32 uid, u32 gid, const u32 *groups, u32 count)
{
	struct user_ns *ns;
	struct cred *c;

	assert_int_equal(user_ns_create_root(&ns), 0);
	assert_int_equal(cred_create(ns, uid, gid, groups, count, &c), 0);
	user_ns_put(ns);
	return c;
}

static void test_create(void **state)
{
	const u32 groups[] = { 30, 10, 20 };
	u64 before = slab_count_all();
	struct cred *user = make(1000, 1001, groups, 3), *root = make(0, 0, NULL, 0), *copy;

	assert_int_equal(user->cap_permitted, 0);
	assert_false(cred_has_cap(user, user->user_ns, CAP_KILL));
	assert_true(cred_has_cap(root, root->user_ns, CAP_KILL));
	assert_false(cred_has_cap(root, root->user_ns, 63));
	assert_true(cred_in_group(user, 1001));
	assert_true(cred_in_group(user, 10));
	assert_true(cred_in_group(user, 30));
	assert_false(cred_in_group(user, 15));
	assert_false(cred_in_group(root, 10));
	copy = cred_dup(user);
	assert_non_null(copy);
	assert_int_equal(cred_set_groups(copy, groups, 1), 0);
	assert_true(cred_in_group(copy, 30));
	assert_false(cred_in_group(copy, 10));
	assert_true(cred_in_group(user, 10));
	assert_int_equal(cred_set_groups(copy, groups, NGROUPS_MAX_GUEST + 1), -EINVAL);
	cred_put(cred_get(copy));
	cred_put(copy);
	cred_put(user);
	cred_put(root);
	cred_put(NULL);
	assert_int_equal(slab_count_all(), before);
}

/* capabilities(7), "Effect of user ID changes on capabilities". */
static void test_setuid_caps(void **state)
{
	struct cred *root = make(0, 0, NULL, 0), *c = cred_dup(root);

	c->uid = c->euid = c->suid = c->fsuid = 1000;
	c->cap_ambient = CAP(CAP_KILL);
	cred_fix_caps_after_setuid(c, root);
	assert_int_equal(c->cap_permitted, 0);
	assert_int_equal(c->cap_effective, 0);
	assert_int_equal(c->cap_ambient, 0);
	cred_put(c);

	c = cred_dup(root);
	c->euid = c->fsuid = 1000;
	cred_fix_caps_after_setuid(c, root);
	assert_int_equal(c->cap_permitted, root->cap_permitted);
	assert_int_equal(c->cap_effective, 0);
	cred_put(c);

	c = cred_dup(root);
	c->keep_caps = true;
	c->uid = c->euid = c->suid = c->fsuid = 1000;
	cred_fix_caps_after_setuid(c, root);
	assert_int_equal(c->cap_permitted, root->cap_permitted);
	assert_int_equal(c->cap_effective, 0);
	cred_put(c);

	c = cred_dup(root);
	c->securebits = SECBIT_NO_SETUID_FIXUP;
	c->uid = c->euid = c->suid = c->fsuid = 1000;
	cred_fix_caps_after_setuid(c, root);
	assert_int_equal(c->cap_effective, root->cap_effective);
	cred_put(c);

	c = cred_dup(root);
	c->fsuid = 1000;
	cred_fix_caps_after_setuid(c, root);
	assert_false(c->cap_effective & CAP(CAP_CHOWN));
	assert_true(c->cap_effective & CAP(CAP_KILL));
	cred_put(c);
	cred_put(root);
}

static void test_rlimits(void **state)
{
	struct cred *user = make(1000, 1000, NULL, 0), *root = make(0, 0, NULL, 0);
	struct rlimits r, copy;

	rlimits_init(&r);
	assert_int_equal(rlimit_get(&r, RLIMIT_STACK), 8 << 20);
	assert_int_equal(rlimit_set(&r, RLIMIT_STACK, (struct rlimit64_pair){ 2, 1 }, root),
			 -EINVAL);
	assert_int_equal(rlimit_set(&r, RLIMIT_COUNT, (struct rlimit64_pair){ 1, 1 }, root),
			 -EINVAL);
	assert_int_equal(rlimit_set(&r, RLIMIT_NOFILE, (struct rlimit64_pair){ 10, 20 }, user), 0);
	assert_int_equal(rlimit_set(&r, RLIMIT_NOFILE, (struct rlimit64_pair){ 20, 20 }, user), 0);
	assert_int_equal(rlimit_set(&r, RLIMIT_NOFILE, (struct rlimit64_pair){ 20, 21 }, user),
			 -EPERM);
	assert_int_equal(rlimit_set(&r, RLIMIT_NOFILE, (struct rlimit64_pair){ 20, 21 }, root), 0);
	assert_int_equal(
		rlimit_set(&r, RLIMIT_NOFILE, (struct rlimit64_pair){ 1, 1UL << 40 }, root),
		-EPERM);
	rlimits_copy(&copy, &r);
	assert_int_equal(rlimit_read(&copy, RLIMIT_NOFILE).max, 21);
	cred_put(user);
	cred_put(root);
}

static void test_users(void **state)
{
	u64 before = slab_count_all();
	struct user_table *table = user_table_create();
	struct user_usage *a = user_usage_find(table, 5), *b = user_usage_find(table, 6);

	assert_ptr_not_equal(a, b);
	assert_ptr_equal(user_usage_find(table, 5), a);
	assert_ptr_equal(user_usage_get(a), a);
	user_usage_put(table, a);
	user_usage_put(table, a);
	user_usage_put(table, a);
	user_usage_put(table, b);
	user_usage_put(table, NULL);
	user_table_destroy(table);
	assert_int_equal(slab_count_all(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_create),
		cmocka_unit_test(test_setuid_caps),
		cmocka_unit_test(test_rlimits),
		cmocka_unit_test(test_users),
	};

	if (arena_create())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
