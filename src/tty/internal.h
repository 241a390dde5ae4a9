#pragma once

/* Pseudo-terminals: what the files of src/tty share. */

#include <asm/ioctls.h>
#include <asm/termbits.h>

#include "kernel/ctty.h"
#include "sched/lock_order.h"
#include "sched/waitq.h"
#include "tty/ldisc.h"
#include "vfs/vfs.h"

struct devpts;

#define PTY_BACKLOG_SIZE 8192 /* a power of two */
#define PTY_SLAVE_MAJOR 136
#define TTYAUX_MAJOR 5

struct winsize_k {
	u16 row, col, xpixel, ypixel;
};

enum tty_side { TTY_MASTER, TTY_SLAVE };

/* Events of a side's wait queue besides those of poll(2), whose idea of readable is another than
 * read(2)'s. */
enum {
	TTY_WAKE_READER = 1 << 20, /* there is something new to read */
	TTY_WAKE_TURN = 1 << 21, /* a turn has ended */
};

/*
 * A pair of pseudo-terminals: the slave is the terminal, the master its line. References: the open
 * files of both sides, the slave's inode, and whoever uses it for a while.
 */
struct tty {
	struct refcount refs;
	struct ctty ctty; /* lc_tasks: the slave as a controlling terminal */
	struct mutex lock; /* class lc_tty: protects what is marked [L] */
	struct ldisc ldisc; /* [L] of the slave */
	struct byte_ring backlog; /* [L] written to the master, not yet taken by the ldisc */
	struct winsize_k winsize; /* [L] */
	u32 slave_count; /* [L] open files of the slave */
	bool master_closed; /* [L] */
	bool slave_closed; /* [L] was open, and is not any more */
	bool locked; /* [L] TIOCSPTLCK */
	bool exclusive[2]; /* [L] TIOCEXCL, by side */
	bool master_stopped; /* [L] TCOOFF of the master */
	bool turn[2][2]; /* [L] someone reads (0), writes (1), by side */
	_Atomic u32 hangups[2]; /* [a] how often files of a side were hung up */
	_Atomic u32 ready[2]; /* [a] what poll(2) says, by side; set by tty_unlock */
	struct waitq waitq[2]; /* by side; see TTY_WAKE_* too */
	u32 index; /* [I] once entered in fs */
	struct devpts *fs; /* [I] holds fs->sb */
	struct inode *inode; /* [fs] of the slave; owned until the master is closed */
};

/* What an open file has. */
struct tty_file {
	struct tty *tty; /* [I] owned */
	enum tty_side side; /* [I] */
	u32 hangups; /* [I] count of hang-ups at open: hung up if it has changed */
};

DECLARE_OPS(struct file_ops, tty_file_ops);
DECLARE_OPS(struct super_ops, devpts_super_ops);

void tty_lock(struct tty *tty) ACQUIRE(lc_tty);
/* Publishes what has changed, and wakes those who wait for it. */
void tty_unlock(struct tty *tty) RELEASE(lc_tty);

/* ---- pty.c ---- */

/* A new pair, its master open; its index is the caller's to find. */
[[nodiscard]] int tty_create(struct devpts *fs, struct tty **ret);
void tty_get(struct tty *tty);
void tty_put(struct tty *tty); /* null is fine; parks */
/* A file f, whose inode is being opened, becomes one of this side. Takes its own reference. */
[[nodiscard]] int tty_file_attach(struct tty *tty, enum tty_side side, struct file *f);
static inline struct tty_file *tty_file_of(const struct file *f)
{
	return f->private;
}
bool tty_file_hung_up(const struct tty_file *tf);
/* Open the slave: counts, checks, and takes it as controlling terminal if noctty is false. */
[[nodiscard]] int tty_open_slave(struct subject *s, struct tty *tty, struct file *f, bool noctty);
/* The master is gone: the name vanishes, the slave's files are hung up. */
void tty_close_master(struct tty *tty);
/* Hang up the files of a side, as vhangup(2). */
void tty_hangup(struct tty *tty, enum tty_side side);
/* Let the ldisc take of the backlog what it can; sends signals. */
void tty_pump(struct tty *tty) REQUIRES(lc_tty);
/* Bytes from the line. Returns how many were taken. */
size_t tty_receive(struct tty *tty, const u8 *data, size_t size) REQUIRES(lc_tty);
/* As TIOCSWINSZ. */
void tty_resize(struct tty *tty, const struct winsize_k *size);

/* ---- io.c ---- */

ssize_t tty_read(struct subject *s, struct file *f, struct uio *to, s64 *pos);
ssize_t tty_write(struct subject *s, struct file *f, struct uio *from, s64 *pos);

/* ---- ioctl.c, modes.c ---- */

long tty_ioctl(struct subject *s, struct file *f, u32 cmd, u64 arg);
/* Commands that look at or set the termios; -ENOTTY: not one of these. */
long tty_mode_ioctl(struct subject *s, struct tty *tty, u32 cmd, struct uaddr arg);
/* speed from the bits of c_cflag, or as given with BOTHER. */
void termios_fill_speeds(struct termios2 *t);

/* ---- devpts.c ---- */

/* A mounted devpts. */
struct devpts {
	struct super *sb; /* [I] not owned: sb->private is this */
	struct spin lock; /* class lc_fs */
	struct tty **ptys; /* [lock] by index: arena array, not owned; null where there is none */
	u32 max; /* [I] */
	struct devpts_options *options; /* [I] owned */
	struct inode *ptmx; /* [I] owned */
};
/* Open a new pair's master as f. -ENOSPC, -ENOMEM. */
[[nodiscard]] int devpts_open_ptmx(struct subject *s, struct devpts *fs, struct file *f);
/* A new pair, with an inode, its master held by the caller (a reference). */
[[nodiscard]] int devpts_new_pty(struct subject *s, struct devpts *fs, struct tty **ret);
/* The pair's name goes; its index is free. */
void devpts_remove(struct tty *tty);
/* The devpts that sb is; null: it is none. */
struct devpts *devpts_of(const struct super *sb);
