/* Sending, queueing, masking and taking signals, between tasks that have no guest. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "arena/arena.h"
#include "arena/slab.h"
#include "cred/user.h"
#include "kernel/lifecycle.h"
#include "kernel/pid.h"
#include "kernel/signal.h"
#include "sched/sched.h"

/* A process whose threads are all run by the calling fiber. */
static struct task *process_create(struct task *parent)
{
	struct kernel *k = kernel_get();
	struct task *t = task_alloc();

	assert_non_null(t);
	t->tg = thread_group_alloc();
	t->sighand = sighand_create(0);
	assert_int_equal(
		cred_create(k->user_ns, 1000, 1000, NULL, 0, (struct cred **)&t->subject.cred), 0);
	t->user = user_usage_find(k->users, 1000);
	rlimits_init(&t->tg->rlimits);
	t->subject.rlimits = &t->tg->rlimits;
	assert_int_equal(pid_alloc(k->pid_ns, NULL, 0, &t->pid), 0);
	pid_get(t->pid);
	t->tg->pid = t->pid;
	t->exit_signal = SIGCHLD;
	t->subject.fiber = fiber_current();
	tasks_lock();
	task_link(t);
	group_link(t->tg, t, parent);
	tasks_unlock();
	return t;
}

static struct task *thread_create(struct task *leader)
{
	struct kernel *k = kernel_get();
	struct task *t = task_alloc();

	assert_non_null(t);
	thread_group_get(leader->tg);
	t->tg = leader->tg;
	sighand_get(leader->sighand);
	t->sighand = leader->sighand;
	t->subject.cred = cred_get(leader->subject.cred);
	t->user = user_usage_get(leader->user);
	t->subject.rlimits = leader->subject.rlimits;
	assert_int_equal(pid_alloc(k->pid_ns, NULL, 0, &t->pid), 0);
	t->subject.fiber = fiber_current();
	tasks_lock();
	task_link(t);
	tasks_unlock();
	return t;
}

static void task_free(struct task *t)
{
	tasks_lock();
	t->exit_notified = true;
	task_release(t);
	tasks_unlock();
	task_put(t);
}

static void send(struct task *t, int sig, int code, int value, bool group, int want)
{
	siginfo_t info = { .si_signo = sig, .si_code = code };

	info.si_value.sival_int = value;
	assert_int_equal(group ? signal_send_group(t->tg, &info) : signal_send_task(t, &info),
			 want);
}

static void block(struct task *t, sigset64 mask)
{
	signal_set_blocked(t, mask);
}

static int take(struct task *t, siginfo_t *info)
{
	return signal_dequeue(t, ~0UL, info);
}

static void body_order(void *arg)
{
	u64 before = slab_count_all();
	struct task *t = process_create(NULL);
	siginfo_t info;

	block(t, ~0UL);
	assert_false(t->blocked & SIGMASK(SIGKILL));
	send(t, 40, SI_QUEUE, 1, true, 0);
	send(t, 40, SI_QUEUE, 2, true, 0);
	send(t, SIGUSR1, SI_USER, 0, true, 0);
	send(t, SIGUSR1, SI_USER, 0, true, 0);
	send(t, SIGSEGV, SI_USER, 0, true, 0);
	send(t, SIGUSR2, SI_TKILL, 0, false, 0);
	send(t, SIGWINCH, SI_USER, 0, true, 0);
	assert_int_equal(signal_pending_set(t), SIGMASK(40) | SIGMASK(SIGUSR1) | SIGMASK(SIGSEGV) |
							SIGMASK(SIGUSR2) | SIGMASK(SIGWINCH));
	/* The thread's own first, faults first, then by number; real-time ones in order. */
	assert_int_equal(take(t, &info), SIGUSR2);
	assert_int_equal(info.si_code, SI_TKILL);
	assert_int_equal(take(t, &info), SIGSEGV);
	assert_int_equal(take(t, &info), SIGUSR1);
	assert_int_equal(take(t, &info), SIGWINCH);
	assert_int_equal(take(t, &info), 40);
	assert_int_equal(info.si_value.sival_int, 1);
	assert_int_equal(take(t, &info), 40);
	assert_int_equal(info.si_value.sival_int, 2);
	assert_int_equal(take(t, &info), 0);
	task_free(t);
	assert_int_equal(slab_count_all(), before);
}

static void body_ignored(void *arg)
{
	struct task *t = process_create(NULL);
	const struct sigaction_k ignore = { .handler = SIG_IGN_K }, none = {};
	struct sigaction_k old;

	send(t, SIGCHLD, SI_USER, 0, true, 0);
	send(t, SIGCONT, SI_USER, 0, true, 0);
	assert_int_equal(signal_pending_set(t), 0);
	assert_int_equal(signal_action(t, SIGTERM, &ignore, NULL), 0);
	send(t, SIGTERM, SI_USER, 0, true, 0);
	assert_int_equal(signal_pending_set(t), 0);
	block(t, SIGMASK(SIGTERM) | SIGMASK(SIGCHLD));
	send(t, SIGTERM, SI_USER, 0, true, 0);
	send(t, SIGCHLD, SI_USER, 0, true, 0);
	assert_int_equal(signal_pending_set(t), SIGMASK(SIGTERM) | SIGMASK(SIGCHLD));
	assert_false(signal_pending(t));
	/* Setting an action that ignores drops what waits. */
	assert_int_equal(signal_action(t, SIGTERM, &ignore, &old), 0);
	assert_int_equal(old.handler, SIG_IGN_K);
	assert_int_equal(signal_action(t, SIGCHLD, &none, NULL), 0);
	assert_int_equal(signal_pending_set(t), 0);
	assert_int_equal(signal_action(t, SIGKILL, &ignore, NULL), -EINVAL);
	assert_int_equal(signal_action(t, SIGKILL, NULL, &old), 0);
	assert_int_equal(signal_action(t, 65, NULL, &old), -EINVAL);
	assert_int_equal(signal_action(t, 0, NULL, &old), -EINVAL);
	task_free(t);
}

static void body_limit(void *arg)
{
	struct task *t = process_create(NULL);
	struct rlimit64_pair two = { 2, 2 };
	siginfo_t info;

	assert_int_equal(rlimit_set(&t->tg->rlimits, RLIMIT_SIGPENDING, two, t->subject.cred), 0);
	block(t, ~0UL);
	send(t, 50, SI_QUEUE, 1, true, 0);
	send(t, 50, SI_QUEUE, 2, true, 0);
	send(t, 50, SI_QUEUE, 3, true, -EAGAIN);
	/* kill never fails for that; it loses its siginfo. */
	send(t, 51, SI_USER, 9, true, 0);
	send(t, SIGUSR1, SI_USER, 0, true, 0);
	assert_int_equal(take(t, &info), SIGUSR1);
	assert_int_equal(take(t, &info), 50);
	assert_int_equal(take(t, &info), 50);
	assert_int_equal(take(t, &info), 51);
	assert_int_equal(info.si_code, SI_USER);
	assert_int_equal(atomic_load(&t->user->sigpending), 0);
	task_free(t);
}

static void body_threads(void *arg)
{
	struct task *a = process_create(NULL), *b = thread_create(a);
	const struct sigaction_k handler = { .handler = 0x1000 };

	assert_int_equal(signal_action(a, SIGUSR1, &handler, NULL), 0);
	block(a, SIGMASK(SIGUSR1));
	send(a, SIGUSR1, SI_USER, 0, true, 0);
	assert_false(signal_pending(a));
	assert_true(signal_pending(b));
	/* b blocks what it was to take; a, unblocking, is made to look. */
	block(b, SIGMASK(SIGUSR1));
	assert_false(signal_pending(b));
	block(a, 0);
	assert_true(signal_pending(a));
	/* One that kills without a core ends the group at once. */
	send(b, SIGTERM, SI_USER, 0, false, 0);
	assert_true(a->tg->exiting);
	assert_int_equal(a->tg->exit_status, SIGTERM);
	assert_true(signal_pending(a) && signal_pending(b));
	task_free(b);
	task_free(a);
}

static void body_stop(void *arg)
{
	struct task *p = process_create(NULL), *a = process_create(p), *b;
	struct process_group *g = pgrp_alloc();
	struct session *s = session_alloc();
	const struct wait_args both = { .type = P_ALL,
					.options = WUNTRACED | WCONTINUED | WNOHANG };
	struct wait_result got;
	struct ksignal k;

	tasks_lock();
	session_found(s, p->tg->pid);
	pgrp_found(g, p->tg->pid, s);
	pgrp_join(p->tg, g);
	pgrp_join(a->tg, g);
	tasks_unlock();
	b = thread_create(a);
	send(a, SIGSTOP, SI_USER, 0, true, 0);
	assert_int_equal(signal_get(a, &k), -1);
	assert_int_equal(atomic_load(&a->stop), STOP_GROUP);
	assert_int_equal(task_wait(p, &both, &got), 0);
	assert_int_equal(signal_get(b, &k), -1);
	assert_int_equal(task_wait(p, &both, &got), 1);
	assert_int_equal(got.code, CLD_STOPPED);
	assert_true(WIFSTOPPED(got.status) && WSTOPSIG(got.status) == SIGSTOP);
	assert_int_equal(task_wait(p, &both, &got), 0);
	send(a, SIGCONT, SI_USER, 0, true, 0);
	assert_int_equal(atomic_load(&a->stop), STOP_NONE);
	assert_int_equal(atomic_load(&b->stop), STOP_NONE);
	assert_int_equal(task_wait(p, &both, &got), 1);
	assert_int_equal(got.code, CLD_CONTINUED);
	/* A stop that SIGCONT overtakes. */
	send(a, SIGTSTP, SI_USER, 0, true, 0);
	send(a, SIGCONT, SI_USER, 0, true, 0);
	assert_int_equal(signal_get(a, &k), 0);
	task_free(b);
	task_free(a);
	task_free(p);
	pgrp_put(g);
	session_put(s);
}

static void body_forced(void *arg)
{
	struct task *t = process_create(NULL);
	struct sigaction_k handler = { .handler = 0x1000, .flags = SA_RESETHAND };
	struct ksignal k;
	siginfo_t info;

	assert_int_equal(signal_action(t, SIGSEGV, &handler, NULL), 0);
	siginfo_kernel(&info, SIGSEGV);
	info.si_code = SEGV_MAPERR;
	send(t, 3, SI_USER, 0, true, 0);
	signal_force(t, &info);
	assert_int_equal(signal_get(t, &k), 1);
	assert_int_equal(k.sig, SIGSEGV);
	assert_int_equal(k.info.si_code, SEGV_MAPERR);
	assert_int_equal(t->sighand->action[SIGSEGV - 1].handler, SIG_DFL_K);
	/* Blocked: it kills. */
	assert_int_equal(signal_action(t, SIGSEGV, &handler, NULL), 0);
	block(t, SIGMASK(SIGSEGV) | SIGMASK(3));
	signal_force(t, &info);
	assert_int_equal(signal_get(t, &k), -1);
	assert_int_equal(atomic_load(&t->run_state), RUN_EXIT_MAIN);
	assert_int_equal(t->exit_status, SIGSEGV);
	task_free(t);
}

#define TEST(name) \
	static void test_##name(void **state) \
	{ \
		assert_int_equal(sched_run_fiber(1, body_##name, NULL), 0); \
	}

TEST(order)
TEST(ignored)
TEST(limit)
TEST(threads)
TEST(stop)
TEST(forced)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order), cmocka_unit_test(test_ignored),
		cmocka_unit_test(test_limit), cmocka_unit_test(test_threads),
		cmocka_unit_test(test_stop),  cmocka_unit_test(test_forced),
	};
	const struct kernel_args args = {};

	if (arena_create() || kernel_create(&args))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
