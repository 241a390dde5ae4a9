/* Lists, trees, reference counts, strings, bitmaps, hashes, the log. */

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bitmap.h"
#include "base/bug.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/log.h"
#include "base/rbtree.h"
#include "base/refcount.h"
#include "base/strbuf.h"
#include "base/types.h"

static void test_types(void **state)
{
	assert_int_equal(min(3, max(1, 2)), 2);
	assert_int_equal(align_down(4097, 4096), 4096);
	assert_int_equal(align_up(4097, 4096), 8192);
	assert_int_equal(page_up(UINT64_MAX), 0);
	assert_true(uaddr_is_null(UADDR(0)));
	assert_int_equal(uaddr_add(UADDR(8), 8).v, 16);
}

struct item {
	int n;
	struct list link;
};

static void test_list(void **state)
{
	struct item items[6], *e, *next;
	struct list a, b;
	int want = 0;

	list_init(&a);
	list_init(&b);
	for (int i = 0; i < 6; i++) {
		items[i].n = i;
		list_add_tail(i < 3 ? &a : &b, &items[i].link);
	}
	list_splice_tail(&a, &b);
	assert_true(list_empty(&b));
	list_for_each(e, &a, link)
		assert_int_equal(e->n, want++);
	list_for_each_safe(e, next, &a, link) {
		if (e->n % 2)
			list_del(&e->link);
	}
	list_del(&items[1].link);
	assert_int_equal(list_first(&a, struct item, link)->n, 0);
	assert_int_equal(list_next(&items[0], link)->n, 2);
	assert_int_equal(list_last(&a, struct item, link)->n, 4);
}

/* ---- trees, with the largest key of a subtree's `extra` kept ---- */

struct node {
	struct rb_node rb;
	int key;
	int extra, max_extra;
	bool in;
};

static int node_max(const struct rb_node *rb)
{
	return rb ? rb_entry(rb, struct node, rb)->max_extra : -1;
}

static void node_update(struct rb_node *rb)
{
	struct node *n = rb_entry(rb, struct node, rb);

	n->max_extra = max(n->extra, max(node_max(rb->left), node_max(rb->right)));
}

static void node_insert(struct rb_root *root, struct node *n)
{
	struct rb_node **link = &root->node, *parent = NULL;

	while (*link) {
		parent = *link;
		link = n->key < rb_entry(parent, struct node, rb)->key ? &parent->left :
									 &parent->right;
	}
	rb_link(&n->rb, parent, link);
	rb_insert(root, &n->rb, node_update);
	n->in = true;
}

/* Checks colors, order, parents and caches; returns the black height. */
static int tree_check(const struct rb_node *rb, const struct rb_node *parent)
{
	int left, right;
	const struct node *n;

	if (!rb)
		return 1;
	n = rb_entry(rb, struct node, rb);
	assert_ptr_equal(rb_parent(rb), parent);
	if (rb->parent_red & 1)
		assert_false(parent == NULL || (parent->parent_red & 1));
	if (rb->left)
		assert_true(rb_entry(rb->left, struct node, rb)->key < n->key);
	if (rb->right)
		assert_true(rb_entry(rb->right, struct node, rb)->key > n->key);
	assert_int_equal(n->max_extra, max(n->extra, max(node_max(rb->left), node_max(rb->right))));
	left = tree_check(rb->left, rb);
	right = tree_check(rb->right, rb);
	assert_int_equal(left, right);
	return left + !(rb->parent_red & 1);
}

static void test_rbtree(void **state)
{
	enum { N = 300 };
	static struct node nodes[N];
	struct rb_root root = RB_ROOT;
	unsigned int seed = 1;
	int count = 0;

	assert_null(rb_first(&root));
	for (int step = 0; step < 6000; step++) {
		struct node *n = &nodes[rand_r(&seed) % N];

		if (n->in) {
			rb_erase(&root, &n->rb, node_update);
			n->in = false;
			count--;
		} else {
			n->key = (int)(n - nodes);
			n->extra = rand_r(&seed) % 1000;
			node_insert(&root, n);
			count++;
		}
		tree_check(root.node, NULL);
	}
	for (int i = 0; i < N; i++) {
		if (nodes[i].in) {
			nodes[i].extra = 2000 + i;
			rb_propagate(&nodes[i].rb, node_update);
		}
	}
	tree_check(root.node, NULL);
	for (struct rb_node *rb = rb_first(&root); rb; rb = rb_next(rb), count--) {
		assert_true(rb_entry(rb, struct node, rb)->in);
		if (rb_prev(rb))
			assert_true(rb_entry(rb_prev(rb), struct node, rb)->key <
				    rb_entry(rb, struct node, rb)->key);
	}
	assert_int_equal(count, 0);
	while (!rb_empty(&root)) {
		struct node copy;

		/* Replace the root, then erase the replacement. */
		copy = *rb_entry(root.node, struct node, rb);
		rb_replace(&root, root.node, &copy.rb, node_update);
		tree_check(root.node, NULL);
		rb_erase(&root, &copy.rb, node_update);
		tree_check(root.node, NULL);
	}
}

static void expect_panic(void (*fn)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		close(1);
		close(2);
		signal(SIGABRT, SIG_DFL);
		fn();
		_exit(0);
	}
	waitpid(pid, &status, 0);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void do_get_dead(void)
{
	struct refcount r;

	refcount_init(&r, 0);
	refcount_get(&r);
}

static void do_put_dead(void)
{
	struct refcount r;

	refcount_init(&r, 0);
	(void)!refcount_put(&r);
}

static void do_bug(void)
{
	BUG_ON(1 + 1 == 2);
}

static void test_refcount(void **state)
{
	struct refcount r;

	refcount_init(&r, 1);
	refcount_get(&r);
	assert_true(refcount_get_unless_zero(&r));
	assert_int_equal(refcount_read(&r), 3);
	assert_false(refcount_put(&r));
	assert_false(refcount_put(&r));
	assert_true(refcount_put(&r));
	assert_false(refcount_get_unless_zero(&r));
	/* An overflow sticks. */
	refcount_init(&r, REFCOUNT_MAX);
	refcount_get(&r);
	for (int i = 0; i < 10; i++)
		assert_false(refcount_put(&r));
	refcount_get(&r);
	assert_true(refcount_get_unless_zero(&r));
	assert_true(refcount_read(&r) > REFCOUNT_MAX);
	expect_panic(do_get_dead);
	expect_panic(do_put_dead);
	expect_panic(do_bug);
}

static void test_strbuf(void **state)
{
	struct strbuf sb;
	char fixed[8];

	strbuf_init(&sb, 10000);
	assert_string_equal(strbuf_str(&sb), "");
	strbuf_printf(&sb, "%s", "");
	for (int i = 0; i < 1000; i++)
		strbuf_printf(&sb, "%d,", i % 10);
	strbuf_putc(&sb, '!');
	strbuf_puts(&sb, "end");
	strbuf_append(&sb, "\0x", 2);
	assert_int_equal(strbuf_error(&sb), 0);
	assert_int_equal(sb.length, 2006);
	assert_memory_equal(strbuf_str(&sb) + 1998, "9,!end\0x", 9);
	for (int i = 0; i < 100; i++)
		strbuf_printf(&sb, "%100d", i);
	assert_int_equal(strbuf_error(&sb), -ENOSPC);
	assert_true(sb.length < 10000);
	assert_int_equal(strlen(strbuf_str(&sb) + 2006) + 2006, sb.length);
	strbuf_reset(&sb);
	assert_int_equal(strbuf_error(&sb), 0);
	assert_string_equal(strbuf_str(&sb), "");
	strbuf_fini(&sb);

	strbuf_init_fixed(&sb, fixed, sizeof(fixed));
	strbuf_puts(&sb, "1234567");
	assert_int_equal(strbuf_error(&sb), 0);
	strbuf_putc(&sb, '8');
	assert_int_equal(strbuf_error(&sb), -ENOSPC);
	assert_string_equal(fixed, "1234567");
	strbuf_reset(&sb);
	strbuf_puts(&sb, "ab");
	strbuf_printf(&sb, "%d", 1234567);
	assert_int_equal(strbuf_error(&sb), -ENOSPC);
	assert_string_equal(fixed, "ab");
	strbuf_fini(&sb);
}

static void test_bitmap(void **state)
{
	u64 map[BITMAP_WORDS(130)] = {};

	assert_int_equal(bitmap_find_set(map, 130, 0), 130);
	assert_int_equal(bitmap_find_clear(map, 130, 129), 129);
	bitmap_set(map, 64);
	bitmap_set(map, 129);
	assert_true(bitmap_test(map, 64));
	assert_int_equal(bitmap_find_set(map, 130, 0), 64);
	assert_int_equal(bitmap_find_set(map, 130, 65), 129);
	assert_int_equal(bitmap_find_clear(map, 130, 129), 130);
	bitmap_clear(map, 64);
	assert_int_equal(bitmap_find_set(map, 129, 0), 129);
	memset(map, 0xff, sizeof(map));
	assert_int_equal(bitmap_find_clear(map, 130, 0), 130);
	bitmap_clear(map, 63);
	assert_int_equal(bitmap_find_clear(map, 130, 3), 63);
}

static void test_hash(void **state)
{
	struct hash_key key = { 0x0706050403020100UL, 0x0f0e0d0c0b0a0908UL };
	u8 data[16];

	for (u8 i = 0; i < 16; i++)
		data[i] = i;
	/* The values of OpenBSD's SipHash-1-3 (as in CPython's and Rust's tests). */
	assert_int_equal(hash_bytes(&key, data, 0), 0xabac0158050fc4dcUL);
	assert_int_equal(hash_bytes(&key, data, 1), 0xc9f49bf37d57ca93UL);
	for (size_t i = 1; i < 16; i++)
		assert_int_not_equal(hash_bytes(&key, data, i), hash_bytes(&key, data, i + 1));
	assert_int_not_equal(hash_u64(1), hash_u64(2));
	assert_int_not_equal(hash_combine(1, 2), hash_combine(2, 1));
}

static char g_line[4096];
static size_t g_line_size;

static ssize_t capture(int fd, const void *buf, size_t size)
{
	assert_true(size <= sizeof(g_line));
	memcpy(g_line, buf, size);
	g_line_size = size;
	return (ssize_t)size;
}

static void test_log(void **state)
{
	static char text[3000];

	memset(text, 'x', sizeof(text) - 1);
	log_info("nothing is set up");
	log_setup(7, LOG_INFO, capture);
	assert_true(log_enabled(LOG_INFO));
	assert_false(log_enabled(LOG_DEBUG));
	log_debug("not this %d", 1);
	assert_int_equal(g_line_size, 0);
	log_info("this %d", 2);
	assert_memory_equal(g_line + g_line_size - 9, "I this 2\n", 9);
	log_warn("%s", text);
	assert_int_equal(g_line[g_line_size - 1], '\n');
	assert_int_equal(g_line[g_line_size - 2], 'x');
	assert_true(g_line_size < 1100);
	log_setup(-1, LOG_DEBUG, capture);
	assert_false(log_enabled(LOG_ERROR));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_types),  cmocka_unit_test(test_list),
		cmocka_unit_test(test_rbtree), cmocka_unit_test(test_refcount),
		cmocka_unit_test(test_strbuf), cmocka_unit_test(test_bitmap),
		cmocka_unit_test(test_hash),   cmocka_unit_test(test_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
