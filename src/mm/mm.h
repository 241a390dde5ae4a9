#pragma once

/*
 * Address spaces: which mappings a guest process has, and guest memory. mm decides, the platform
 * does.
 *
 * Functions that take a subject are called by its own fiber, act on its mm through its platform
 * thread, may park, and fail with -ESRCH when the space is dead. Guest memory is never touched with
 * a lock held, but that map operations run under the mm lock (lc_mm).
 */

#include "base/refcount.h"
#include "base/types.h"
#include "cred/subject.h"
#include "platform/platform.h"
#include "sched/lock_order.h"

struct mappable;
struct mm;
struct strbuf;
struct vma;

/* Something that can be mapped: an open file, a shared-memory object. Embedded in its owner (struct
 * file). */
struct mappable_ops {
	/* References. get is called with short locks held, put with none (it may park). */
	void (*get)(struct mappable *m);
	void (*put)(struct mappable *m);
	/*
	 * A host descriptor to map the object with, open until host_fd_put. Shared: of the same
	 * mode as the guest file; for a private mapping a readable one is enough. -ENODEV if it
	 * cannot be mapped. May park.
	 */
	int (*host_fd_get)(struct mappable *m, bool shared, int *ret_fd);
	void (*host_fd_put)(struct mappable *m, int fd);
	/*
	 * Identity for futex keys and mincore: equal for all mappables of one object, and unique
	 * while one lives: the address of an arena object. Called with short locks held.
	 */
	u64 (*identity)(const struct mappable *m);
	/* What /proc/PID/maps shows. */
	void (*describe)(const struct mappable *m, u32 *ret_dev_major, u32 *ret_dev_minor,
			 u64 *ret_ino, struct strbuf *ret_path);
	/* Write back for msync(MS_SYNC); null if nothing is to do. */
	int (*sync)(struct mappable *m, u64 offset, u64 size);
};

struct mappable {
	const struct mappable_ops *ops; /* [I] */
};

struct mmap_args {
	u64 addr, size; /* as the guest gave them */
	int prot, flags; /* PROT_*, MAP_* */
	struct mappable *file; /* borrowed; null for anonymous */
	u64 offset;
	/*
	 * Of a file, what its mode permits: PROT_READ if it is open for reading, PROT_WRITE for
	 * writing, PROT_EXEC unless its mount is noexec. From it follow EACCES, EPERM and what
	 * mprotect may later give.
	 */
	int max_prot;
	const char *name; /* for /proc/PID/maps: "[vdso]" or "[vvar]"; else null */
};

/* ---- life ---- */

/* An empty mm over a fresh platform space. The thread is the one to run and to operate with. */
[[nodiscard]] int mm_create(struct mm **ret_mm, struct pf_thread **ret_thread);
/* Copy the subject's mm (fork). */
[[nodiscard]] int mm_fork(struct subject *s, struct mm **ret_mm, struct pf_thread **ret_thread);
void mm_get(struct mm *mm);
/* The last put frees the VMAs; the caller must have destroyed its pf_thread before. */
void mm_put(struct mm *mm);
struct pf_space *mm_space(struct mm *mm);
/* Unique number of this mm for private futex keys. */
u64 mm_id(const struct mm *mm);

/* ---- system call level; arguments as the guest gave them; Linux's errors ---- */

/* Returns 0 and the address. Checks everything, RLIMIT_AS and DATA included. */
[[nodiscard]] int mm_mmap(struct subject *s, const struct mmap_args *args, u64 *ret_addr);
[[nodiscard]] int mm_munmap(struct subject *s, u64 addr, u64 size);
[[nodiscard]] int mm_mprotect(struct subject *s, u64 addr, u64 size, int prot);
[[nodiscard]] int mm_mremap(struct subject *s, u64 old_addr, u64 old_size, u64 new_size, int flags,
			    u64 new_addr, u64 *ret_addr);
u64 mm_brk(struct subject *s, u64 brk);
/*
 * For a platform that answers brk calls which change no mapping (struct pf_quick), while no other
 * task uses s->mm: false if it must not. What comes back is hostile, and dropped if it is no such
 * change.
 */
bool mm_brk_lend(struct subject *s, u64 *ret_start, u64 *ret_brk);
void mm_brk_back(struct mm *mm, u64 brk);
[[nodiscard]] int mm_madvise(struct subject *s, u64 addr, u64 size, int advice);
[[nodiscard]] int mm_msync(struct subject *s, u64 addr, u64 size, int flags);
[[nodiscard]] int mm_mincore(struct subject *s, u64 addr, u64 size, struct uaddr vec);
[[nodiscard]] int mm_mlock(struct subject *s, u64 addr, u64 size, int flags);
[[nodiscard]] int mm_munlock(struct subject *s, u64 addr, u64 size);
[[nodiscard]] int mm_mlockall(struct subject *s, int flags);
[[nodiscard]] int mm_munlockall(struct subject *s);

/*
 * A fault that the guest took. Returns 0 if it was ours to mend (stack growth) and the guest can go
 * on; else fills in the signal to send: *signo, *code (SEGV_MAPERR or ACCERR, BUS_ADRERR) and
 * returns -EFAULT.
 */
[[nodiscard]] int mm_handle_fault(struct subject *s, const struct pf_fault *fault, u64 rsp,
				  int *ret_signo, int *ret_code);

/* ---- building an image (exec); before the first pf_run ---- */

/* Place nothing at random (ADDR_NO_RANDOMIZE). First of all. */
void mm_fix_layout(struct mm *mm);

struct mm_layout {
	u64 start_code, end_code, start_data, end_data, start_brk;
	u64 start_stack, arg_start, arg_end, env_start, env_end;
};
void mm_set_layout(struct mm *mm, const struct mm_layout *layout);
struct mm_layout mm_layout(struct mm *mm);
/* The auxiliary vector as given to the program, for /proc/PID/auxv and prctl; count u64 pairs, at
 * most 32. */
#define MM_AUXV_MAX 32
void mm_set_auxv(struct mm *mm, const u64 *auxv, unsigned int count);
/* Returns the number of pairs. */
unsigned int mm_get_auxv(struct mm *mm, u64 ret_auxv[2 * MM_AUXV_MAX]);
/*
 * Map the initial stack just below the (randomised) top: room for the size bytes that exec puts
 * there and 128 KiB more, but not more than RLIMIT_STACK (-ENOMEM if size does not fit). First of
 * all: the mmap base follows from the limit. Returns its top.
 */
[[nodiscard]] int mm_setup_stack(struct subject *s, bool executable, u64 size, u64 *ret_top);
/* Fix the brk area to start at start (page-aligned up, randomised). */
void mm_setup_brk(struct mm *mm, u64 start);
/* Place where an ET_DYN object of this size goes (program: true for the program, false for its
 * interpreter); align is a power of two. 0 if there is none. */
u64 mm_pick_dyn_base(struct mm *mm, bool program, u64 size, u64 align);
/* The executable, for /proc/PID/exe: takes a reference to, gives a borrowed pointer to. */
void mm_set_exe(struct mm *mm, struct mappable *exe);
struct mappable *mm_get_exe(struct mm *mm); /* with a reference, or null */

/* ---- guest memory; as pf_copy_*, but with stack growth and, for the caller's own mm ---- */

[[nodiscard]] int copy_in(struct subject *s, void *dst, struct uaddr src, size_t size);
[[nodiscard]] int copy_out(struct subject *s, struct uaddr dst, const void *src, size_t size);
/* May be written only when the call returns: for outputs after which nothing can fail. Same errors
 * if known now. */
[[nodiscard]] int copy_out_late(struct subject *s, struct uaddr dst, const void *src, size_t size);
[[nodiscard]] ssize_t copy_in_partial(struct subject *s, void *dst, struct uaddr src, size_t size);
[[nodiscard]] ssize_t copy_out_partial(struct subject *s, struct uaddr dst, const void *src,
				       size_t size);
/* As copy_out_partial, from a mapped file: see pf_copy_out_mapped. Grows no stack. */
[[nodiscard]] ssize_t copy_out_mapped(struct subject *s, struct uaddr dst, const void *src,
				      size_t size);
[[nodiscard]] ssize_t copy_in_string(struct subject *s, char *dst, struct uaddr src, size_t size);
[[nodiscard]] int clear_out(struct subject *s, struct uaddr dst, size_t size);
[[nodiscard]] int load_in32(struct subject *s, struct uaddr addr, u32 *ret);
[[nodiscard]] int cmpxchg_in32(struct subject *s, struct uaddr addr, u32 old, u32 new,
			       u32 *ret_old);
/* True if [addr, addr+size) lies in the guest's range (access_ok). */
bool uaddr_ok(struct uaddr addr, u64 size);

/* Another process's memory (process_vm_*, /proc/PID/mem, cmdline, environ). Bytes copied or an
 * error. Parks. */
[[nodiscard]] ssize_t mm_read_other(struct mm *mm, void *dst, struct uaddr src, size_t size);
[[nodiscard]] ssize_t mm_write_other(struct mm *mm, struct uaddr dst, const void *src, size_t size);

/* ---- futex keys ---- */

struct futex_key {
	u64 object; /* mm_id, or the identity of the mapped object */
	u64 offset; /* address, or offset in the object */
	bool shared;
};
/* private_: the caller asked for a private futex. -EFAULT if nothing is mapped there (shared only).
 */
[[nodiscard]] int mm_futex_key(struct subject *s, struct uaddr addr, bool private_,
			       struct futex_key *ret_key);

/* ---- looking ---- */

/* False: no memory of mm is locked, nor was when its task last left the kernel. */
bool mm_may_have_locked(const struct mm *mm);

struct mm_usage {
	u64 total, data, stack, text, shared, locked; /* bytes of address space */
	u64 peak_total;
};
struct mm_usage mm_usage(struct mm *mm);
bool mm_is_mapped(struct mm *mm, u64 addr);
/* /proc/PID/maps text of mm appended to out. May park. */
[[nodiscard]] int mm_format_maps(struct mm *mm, struct strbuf *out);
/* The text of smaps, or only its sum; and of numa_maps. May park. */
[[nodiscard]] int mm_format_smaps(struct mm *mm, bool rollup, struct strbuf *out);
[[nodiscard]] int mm_format_numa_maps(struct mm *mm, struct strbuf *out);
/* An estimate of the resident set in bytes: no call of the host. */
u64 mm_rss(struct mm *mm);
/* What is in memory as the host sees it; may call the host, never parks. */
struct mm_resident {
	u64 anonymous, file, shmem, swap, page_tables, peak; /* bytes */
};
struct mm_resident mm_resident(struct mm *mm);
/* Bytes of anonymous memory, swapped out too, of which pages that n spaces share count as their nth
 * part. Slower than mm_resident; may park. */
u64 mm_anonymous_share(struct mm *mm);

/* Anonymous shared memory as a mappable (shared anonymous mmap, later SysV shm); one reference for
 * the caller. */
[[nodiscard]] int shm_object_create(u64 size, struct mappable **ret);
