/*
 * The program loader over the fake platform, with files that are buffers: headers good and bad,
 * "#!" lines, what is mapped where, the initial stack, and the vDSO, whose functions are called.
 */

#include "unit/mm_fixture.h"

#include <elf.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/auxv.h>
#include <time.h>

#include "host/host.h"
#include "loader/elf.h"
#include "loader/internal.h"
#include "loader/loader.h"
#include "loader/script.h"
#include "vfs/path.h"

/* ---- files ---- */

struct fake_file {
	struct file file;
	const char *path;
	char data[16384];
	size_t size;
	int fd; /* a memfd with the data; -1: not yet */
};

static struct fake_file g_files[8];
static unsigned int g_file_count;

static struct fake_file *fake_of(struct file *f)
{
	return container_of(f, struct fake_file, file);
}

static int fake_file_fd_get(struct file *f, bool shared, int *ret_fd)
{
	struct fake_file *ff = fake_of(f);

	if (ff->fd < 0) {
		ff->fd = memfd_create("fake", 0);
		if (write(ff->fd, ff->data, ff->size) != (ssize_t)ff->size)
			return -EIO;
	}
	*ret_fd = ff->fd;
	return 0;
}

static void fake_file_fd_put(struct file *f, int fd)
{
}

static const struct file_ops fake_file_ops = { .host_fd_get = fake_file_fd_get,
					       .host_fd_put = fake_file_fd_put };

static struct file *file_of(const struct mappable *m)
{
	return container_of(m, struct file, mappable);
}

static void map_get(struct mappable *m)
{
	file_get(file_of(m));
}

static void map_put(struct mappable *m)
{
	file_put(file_of(m));
}

static int map_fd_get(struct mappable *m, bool shared, int *ret_fd)
{
	return fake_file_fd_get(file_of(m), shared, ret_fd);
}

static void map_fd_put(struct mappable *m, int fd)
{
}

static u64 map_identity(const struct mappable *m)
{
	return (u64)(uintptr_t)m;
}

static void map_describe(const struct mappable *m, u32 *ret_dev_major, u32 *ret_dev_minor,
			 u64 *ret_ino, struct strbuf *ret_path)
{
	*ret_dev_major = 8;
	*ret_dev_minor = 1;
	*ret_ino = 1234;
	strbuf_puts(ret_path, fake_of(file_of(m))->path);
}

static const struct mappable_ops fake_mappable_ops = {
	.get = map_get,
	.put = map_put,
	.host_fd_get = map_fd_get,
	.host_fd_put = map_fd_put,
	.identity = map_identity,
	.describe = map_describe,
};

static struct fake_file *add_file(const char *path, const void *data, size_t size)
{
	struct fake_file *f = &g_files[g_file_count++];

	assert_true(g_file_count <= ARRAY_SIZE(g_files) && size <= sizeof(f->data));
	*f = (struct fake_file){ .path = path, .size = size, .fd = -1 };
	refcount_init(&f->file.refs, 1);
	f->file.ops = &fake_file_ops;
	f->file.mappable.ops = &fake_mappable_ops;
	memcpy(f->data, data, size);
	return f;
}

/* Only the test's own references are left. */
static void drop_files(void)
{
	for (unsigned int i = 0; i < g_file_count; i++) {
		assert_int_equal(refcount_read(&g_files[i].file.refs), 1);
		if (g_files[i].fd >= 0)
			close(g_files[i].fd);
	}
	g_file_count = 0;
}

/* What the loader needs of vfs. */
struct file *file_get(struct file *f)
{
	refcount_get(&f->refs);
	return f;
}

void file_put(struct file *f)
{
	if (refcount_put(&f->refs))
		abort();
}

void file_unclaim(struct file *f)
{
}

void uio_init_kernel(struct uio *u, void *buf, size_t size)
{
	*u = (struct uio){ .buf = buf, .left = size };
}

ssize_t file_read(struct subject *s, struct file *f, struct uio *to, s64 *pos)
{
	struct fake_file *ff = fake_of(f);
	size_t n;

	if (*pos < 0)
		return -EINVAL;
	if ((size_t)*pos >= ff->size)
		return 0;
	n = min(to->left, ff->size - (size_t)*pos);
	n = min(n, (size_t)1000); /* short reads are allowed */
	memcpy(to->buf, ff->data + *pos, n);
	*pos += (s64)n;
	return (ssize_t)n;
}

int vfs_open(struct subject *s, int dirfd, const char *path, const struct open_how_k *how,
	     struct file **ret)
{
	assert_true(how->walk & WALK_OPEN_EXEC);
	for (unsigned int i = 0; i < g_file_count; i++) {
		if (strcmp(g_files[i].path, path) == 0) {
			*ret = file_get(&g_files[i].file);
			return 0;
		}
	}
	return -ENOENT;
}

/* ---- an ELF program ---- */

struct program {
	Elf64_Ehdr eh;
	Elf64_Phdr ph[6];
	char interp[32];
	char text[64];
	char pad[4096 - 64 - 6 * 56 - 96];
	char data[256]; /* at file offset 4096 */
};

#define TEXT_OFFSET offsetof(struct program, text)
#define VBASE 0x40'0000UL

static struct program make_program(u16 type, u64 vbase, const char *interp)
{
	struct program p = {
		.eh = { .e_ident = ELFMAG,
			.e_type = type,
			.e_machine = EM_X86_64,
			.e_version = 1,
			.e_entry = vbase + TEXT_OFFSET,
			.e_phoff = sizeof(Elf64_Ehdr),
			.e_ehsize = sizeof(Elf64_Ehdr),
			.e_phentsize = sizeof(Elf64_Phdr),
			.e_phnum = 4 },
		.text = "code",
		.data = "data",
	};

	p.eh.e_ident[EI_CLASS] = ELFCLASS64;
	p.eh.e_ident[EI_DATA] = ELFDATA2LSB;
	p.ph[0] = (Elf64_Phdr){ .p_type = PT_LOAD,
				.p_flags = PF_R | PF_X,
				.p_vaddr = vbase,
				.p_filesz = TEXT_OFFSET + 64,
				.p_memsz = TEXT_OFFSET + 64,
				.p_align = PG };
	/* Its pages also hold the end of the file's text: what is past the data must be cleared. */
	p.ph[1] = (Elf64_Phdr){ .p_type = PT_LOAD,
				.p_flags = PF_R | PF_W,
				.p_offset = 4096,
				.p_vaddr = vbase + 0x2000,
				.p_filesz = 100,
				.p_memsz = 3 * PG,
				.p_align = PG };
	p.ph[2] = (Elf64_Phdr){ .p_type = PT_GNU_STACK, .p_flags = PF_R | PF_W };
	p.ph[3] = (Elf64_Phdr){ .p_type = PT_NULL };
	memset(p.data + 100, 'z', sizeof(p.data) - 100);
	if (interp) {
		p.ph[3] = (Elf64_Phdr){ .p_type = PT_INTERP,
					.p_offset = offsetof(struct program, interp),
					.p_filesz = strlen(interp) + 1 };
		snprintf(p.interp, sizeof(p.interp), "%s", interp);
	}
	return p;
}

/* ---- #! ---- */

static int parse_line(const char *text, struct script_line *ret)
{
	char line[SCRIPT_LINE_MAX] = {};
	static char kept[SCRIPT_LINE_MAX];

	memcpy(line, text, strnlen(text, sizeof(line)));
	memcpy(kept, line, sizeof(kept));
	return script_parse(kept, ret);
}

static void check_line(const char *text, const char *interp, const char *arg)
{
	struct script_line l;
	int err = parse_line(text, &l);

	if (!interp) {
		assert_int_equal(err, -ENOEXEC);
		return;
	}
	assert_int_equal(err, 0);
	assert_int_equal(l.interp_len, strlen(interp));
	assert_memory_equal(l.interp, interp, l.interp_len);
	if (!arg) {
		assert_null(l.arg);
		return;
	}
	assert_int_equal(l.arg_len, strlen(arg));
	assert_memory_equal(l.arg, arg, l.arg_len);
}

static void test_script_line(void **state)
{
	char text[300];

	(void)state;
	check_line("#!/bin/sh\n", "/bin/sh", NULL);
	check_line("#! \t/bin/sh \t\n", "/bin/sh", NULL);
	check_line("#!/bin/awk -f x \n", "/bin/awk", "-f x");
	check_line("#!/bin/sh", "/bin/sh", NULL); /* ends with the file */
	check_line("#!/bin/sh\nrest", "/bin/sh", NULL);
	check_line("#!\n", NULL, NULL);
	check_line("#!   \n/bin/sh", NULL, NULL);
	check_line("#!", NULL, NULL);
	check_line("# !/bin/sh\n", NULL, NULL);
	/* A name that may be cut off is refused; an argument is cut off. */
	memset(text, 'a', sizeof(text));
	memcpy(text, "#!/", 3);
	text[299] = '\0';
	check_line(text, NULL, NULL);
	text[254] = ' ';
	{
		struct script_line l;

		assert_int_equal(parse_line(text, &l), 0);
		assert_int_equal(l.interp_len, 252);
		assert_null(l.arg);
		text[10] = ' ';
		text[254] = 'a';
		assert_int_equal(parse_line(text, &l), 0);
		assert_int_equal(l.interp_len, 8);
		assert_int_equal(l.arg_len, 255 - 11);
	}
	/* The last byte is never looked at but for a newline. */
	text[10] = 'a';
	text[255] = '\n';
	{
		char want[254];

		memcpy(want, text + 2, 253);
		want[253] = '\0';
		check_line(text, want, NULL);
	}
}

/* ---- parsing ---- */

static struct program g_image;

static int read_image(struct elf_source *src, void *buf, size_t size, u64 offset)
{
	if (offset > sizeof(g_image) || size > sizeof(g_image) - offset)
		return -EIO;
	memcpy(buf, (const char *)&g_image + offset, size);
	return 0;
}

static struct elf_image g_elf;

static int parse(void)
{
	struct elf_source src = { read_image };

	return elf_parse(&src, &g_image, 64, FAKE_TASK_SIZE, &g_elf);
}

static void reset_image(void)
{
	g_image = make_program(ET_EXEC, VBASE, NULL);
}

#define REFUSED(change, err) \
	do { \
		reset_image(); \
		change; \
		assert_int_equal(parse(), err); \
	} while (0)
#define LATE(change) \
	do { \
		reset_image(); \
		change; \
		assert_int_equal(parse(), 0); \
		assert_int_equal(g_elf.late_error, -EINVAL); \
	} while (0)

static void test_elf_parse(void **state)
{
	Elf64_Phdr *text = &g_image.ph[0], *data = &g_image.ph[1];

	(void)state;
	reset_image();
	assert_int_equal(parse(), 0);
	assert_int_equal(g_elf.late_error, 0);
	assert_int_equal(g_elf.segment_count, 2);
	assert_int_equal(g_elf.phdr, VBASE + 64);
	assert_int_equal(g_elf.low, VBASE);
	assert_int_equal(g_elf.high, VBASE + 0x5000);
	assert_false(g_elf.exec_stack);
	REFUSED(g_image.eh.e_ident[0] = 0, -ENOEXEC);
	REFUSED(g_image.eh.e_type = ET_REL, -ENOEXEC);
	REFUSED(g_image.eh.e_machine = EM_386, -ENOEXEC);
	REFUSED(g_image.eh.e_phentsize = 32, -ENOEXEC);
	REFUSED(g_image.eh.e_phnum = 0, -ENOEXEC);
	REFUSED(g_image.eh.e_phnum = 74, -ENOEXEC);
	REFUSED(g_image.eh.e_phnum = 0xffff, -ENOEXEC);
	REFUSED(g_image.eh.e_phoff = UINT64_MAX, -ENOEXEC);
	REFUSED(g_image.eh.e_phoff = UINT64_MAX - 100, -ENOEXEC);
	REFUSED(g_image.eh.e_phoff = sizeof(g_image) - 10, -ENOEXEC);
	REFUSED((g_image.ph[3] = (Elf64_Phdr){ .p_type = PT_INTERP, .p_filesz = 1 }), -ENOEXEC);
	REFUSED((g_image.ph[3] = (Elf64_Phdr){ .p_type = PT_INTERP, .p_filesz = PATH_MAX + 1 }),
		-ENOEXEC);
	LATE(text->p_type = data->p_type = PT_NULL);
	LATE(data->p_filesz = data->p_memsz + 1);
	LATE(data->p_memsz = UINT64_MAX);
	LATE(data->p_vaddr = UINT64_MAX - 4096);
	LATE(data->p_vaddr = FAKE_TASK_SIZE - PG);
	LATE(data->p_vaddr += 8); /* not congruent with its offset */
	LATE(data->p_offset = UINT64_MAX - 4095);
	LATE(g_image.eh.e_entry = FAKE_TASK_SIZE);
	reset_image();
	text->p_align = 3UL << 20;
	data->p_align = 2UL << 20;
	assert_int_equal(parse(), 0);
	assert_int_equal(g_elf.align, 2UL << 20);
}

/* ---- whole programs ---- */

static void add_strings(struct exec_strings *x)
{
	exec_strings_init(x);
	assert_int_equal(exec_strings_add(x, "prog", 4), 0);
	assert_int_equal(exec_strings_add(x, "", 0), 0);
	assert_int_equal(exec_strings_add(x, "A=1", 3), 0);
	x->argc = 2;
	x->envc = 1;
}

static int plan_file(struct fake_file *f, struct exec_strings *x, struct exec_plan *plan)
{
	return loader_plan(&g_subject, file_get(&f->file), f->path, x, plan);
}

static u64 read64(u64 addr)
{
	u64 v = 0;

	assert_int_equal(copy_in(&g_subject, &v, UADDR(addr), 8), 0);
	return v;
}

static u64 find_auxv(u64 at, u64 type)
{
	for (; read64(at) != AT_NULL; at += 16) {
		if (read64(at) == type)
			return read64(at + 8);
	}
	return UINT64_MAX;
}

static void check_string(u64 addr, const char *want)
{
	char buf[64] = {};

	assert_int_equal(copy_in_string(&g_subject, buf, UADDR(addr), sizeof(buf)), strlen(want));
	assert_string_equal(buf, want);
}

/* The stack of add_strings, for a program with this name; returns where its auxv is. */
static u64 check_stack(u64 sp, const char *name)
{
	u64 auxv = sp + 6 * 8;

	assert_int_equal(sp & 15, 0);
	assert_int_equal(read64(sp), 2);
	check_string(read64(sp + 8), "prog");
	check_string(read64(sp + 16), "");
	assert_int_equal(read64(sp + 24), 0);
	check_string(read64(sp + 32), "A=1");
	assert_int_equal(read64(sp + 40), 0);
	check_string(find_auxv(auxv, AT_EXECFN), name);
	check_string(find_auxv(auxv, AT_PLATFORM), "x86_64");
	assert_int_equal(find_auxv(auxv, AT_PAGESZ), PG);
	assert_int_equal(find_auxv(auxv, AT_UID), 1000);
	assert_int_equal(find_auxv(auxv, AT_SECURE), 1);
	assert_true(read64(find_auxv(auxv, AT_RANDOM)) != 0);
	return auxv;
}

static void body_static(void)
{
	struct program p = make_program(ET_EXEC, VBASE, NULL);
	struct fake_file *f = add_file("/bin/static", &p, sizeof(p));
	struct guest_regs regs;
	struct mm_layout l;
	struct exec_strings x;
	struct exec_plan plan;
	unsigned int before;
	u64 auxv, brk;
	char *maps;

	add_strings(&x);
	assert_int_equal(vdso_init(false), 0);
	assert_int_equal(plan_file(f, &x, &plan), 0);
	assert_string_equal(plan.comm, "static");
	before = g_fake.operations;
	assert_int_equal(loader_map(&g_subject, &plan, "/bin/static", true, &regs), 0);
	/* stack, text, data, bss, vvar, vdso */
	assert_int_equal(g_fake.operations, before + 6);
	exec_plan_fini(&plan);
	exec_strings_fini(&x);
	assert_int_equal(regs.rip, VBASE + TEXT_OFFSET);
	auxv = check_stack(regs.rsp, "/bin/static");
	assert_int_equal(find_auxv(auxv, AT_ENTRY), regs.rip);
	assert_int_equal(find_auxv(auxv, AT_PHDR), VBASE + 64);
	assert_int_equal(find_auxv(auxv, AT_PHNUM), 4);
	assert_int_equal(find_auxv(auxv, AT_BASE), 0);
	assert_true(find_auxv(auxv, AT_MINSIGSTKSZ) > 2696 + 440);
	check_string(VBASE + 0x2000, "data");
	/* The rest of the data's page and the pages after it are clear, as far as they go. */
	for (u64 a = VBASE + 0x2000 + 104; a < VBASE + 0x5000; a += 8)
		assert_int_equal(read64(a), 0);
	assert_int_equal(clear_out(&g_subject, UADDR(VBASE + 0x5000), 1), -EFAULT);
	assert_int_equal(clear_out(&g_subject, UADDR(VBASE), 1), -EFAULT); /* text is read-only */
	brk = mm_brk(&g_subject, 0);
	assert_true(brk > VBASE + 0x5000 && brk < VBASE + (64UL << 20));
	l = mm_layout(g_subject.mm);
	assert_int_equal(l.start_brk, brk);
	assert_int_equal(l.start_code, VBASE);
	assert_int_equal(l.end_data, VBASE + 0x2000 + 100);
	assert_int_equal(l.start_stack, regs.rsp);
	check_string(l.arg_start, "prog");
	check_string(l.env_start, "A=1");
	assert_int_equal(l.env_end - l.env_start, 4);
	maps = maps_text(g_subject.mm);
	assert_non_null(strstr(maps, "00400000-00401000 r-xp 00000000 08:01 1234 "));
	assert_non_null(strstr(maps, "/bin/static\n"));
	assert_non_null(strstr(maps, "[vvar]\n"));
	assert_non_null(strstr(maps, "[vdso]\n"));
	assert_non_null(strstr(maps, "[stack]\n"));
	free(maps);
	mm_set_exe(g_subject.mm, NULL);
	assert_int_equal(mm_munmap(&g_subject, PF_MMAP_MIN, FAKE_TASK_SIZE - PF_MMAP_MIN), 0);
	drop_files();
	vdso_fini();
}

static void body_dynamic(void)
{
	struct program p = make_program(ET_DYN, 0, "/lib/ld.so"),
		       ld = make_program(ET_DYN, 0, NULL);
	struct fake_file *f = add_file("/bin/dynamic", &p, sizeof(p));
	struct guest_regs regs;
	struct exec_strings x;
	struct exec_plan plan;
	u64 auxv, base;

	ld.ph[1].p_align = 2UL << 20;
	add_file("/lib/ld.so", &ld, sizeof(ld));
	add_strings(&x);
	assert_int_equal(plan_file(f, &x, &plan), 0);
	assert_ptr_equal(plan.interp, &g_files[1].file);
	assert_int_equal(loader_map(&g_subject, &plan, "/bin/dynamic", true, &regs), 0);
	exec_plan_fini(&plan);
	exec_strings_fini(&x);
	auxv = check_stack(regs.rsp, "/bin/dynamic");
	base = find_auxv(auxv, AT_BASE);
	assert_int_equal(base & ((2UL << 20) - 1), 0);
	assert_int_equal(regs.rip, base + TEXT_OFFSET);
	assert_true(find_auxv(auxv, AT_PHDR) >= FAKE_TASK_SIZE / 3 * 2 - PG);
	assert_int_equal(find_auxv(auxv, AT_ENTRY), find_auxv(auxv, AT_PHDR) - 64 + TEXT_OFFSET);
	check_string(base + 0x2000, "data");
	mm_set_exe(g_subject.mm, NULL);
	assert_int_equal(mm_munmap(&g_subject, PF_MMAP_MIN, FAKE_TASK_SIZE - PF_MMAP_MIN), 0);
	drop_files();
}

static void expect_plan(struct fake_file *f, int want)
{
	struct exec_strings x;
	struct exec_plan plan;

	add_strings(&x);
	assert_int_equal(plan_file(f, &x, &plan), want);
	if (!want)
		exec_plan_fini(&plan);
	exec_strings_fini(&x);
}

static void body_errors(void)
{
	struct program p = make_program(ET_EXEC, VBASE, "/lib/none"),
		       bad = make_program(ET_DYN, 0, NULL);
	struct fake_file *f;
	struct guest_regs regs;
	struct exec_strings x;
	struct exec_plan plan;

	expect_plan(add_file("/empty", "", 0), -ENOEXEC);
	expect_plan(add_file("/text", "echo hello\n", 11), -ENOEXEC);
	expect_plan(add_file("/nointerp", "#!/bin/none\n", 12), -ENOENT);
	expect_plan(add_file("/elf", &p, sizeof(p)), -ENOENT);
	drop_files();
	/* A bad interpreter; and one that is too short to have a header. */
	bad.eh.e_machine = EM_386;
	add_file("/lib/none", &bad, sizeof(bad));
	expect_plan(add_file("/elf", &p, sizeof(p)), -ELIBBAD);
	drop_files();
	add_file("/lib/none", &bad, 10);
	expect_plan(add_file("/elf", &p, sizeof(p)), -EIO);
	drop_files();
	p.ph[3].p_filesz = 5; /* not terminated */
	expect_plan(add_file("/elf", &p, sizeof(p)), -ENOEXEC);
	p.ph[3].p_offset = 1 << 20;
	expect_plan(add_file("/elf2", &p, sizeof(p)), -EIO);
	drop_files();
	/* Found when it is mapped: too low, or what Linux kills for. */
	p = make_program(ET_EXEC, 0x1000, NULL);
	f = add_file("/low", &p, sizeof(p));
	add_strings(&x);
	assert_int_equal(plan_file(f, &x, &plan), 0);
	assert_int_equal(loader_map(&g_subject, &plan, "/low", false, &regs), -EPERM);
	exec_plan_fini(&plan);
	exec_strings_fini(&x);
	drop_files();
	/* Too many strings for a small stack. */
	exec_strings_init(&x);
	for (int i = 0; i < 2; i++) {
		static char big[100'000];

		memset(big, 'b', sizeof(big));
		assert_int_equal(exec_strings_add(&x, big, sizeof(big)), 0);
		x.argc++;
	}
	assert_int_equal(exec_strings_add(&x, "", 32 * PG), -E2BIG);
	set_limit(RLIMIT_STACK, 256UL << 10);
	p = make_program(ET_EXEC, VBASE, NULL);
	f = add_file("/elf", &p, sizeof(p));
	assert_int_equal(plan_file(f, &x, &plan), -E2BIG);
	exec_strings_fini(&x);
	drop_files();
}

static void body_scripts(void)
{
	struct program p = make_program(ET_EXEC, VBASE, NULL);
	static const char *names[] = { "/s1", "/s2", "/s3", "/s4", "/s5", "/s6" };
	struct exec_strings x;
	struct exec_plan plan;
	char line[64];

	add_file("/bin/sh", &p, sizeof(p));
	for (int i = 0; i < 6; i++) {
		int n = snprintf(line, sizeof(line), "#!%s -%d\n", i ? names[i - 1] : "/bin/sh", i);

		add_file(names[i], line, (size_t)n);
	}
	add_strings(&x);
	assert_int_equal(plan_file(&g_files[2], &x, &plan), 0); /* s2: s1 with -1: sh with -0 */
	assert_ptr_equal(plan.program, &g_files[0].file);
	assert_ptr_equal(plan.named, &g_files[2].file);
	assert_string_equal(plan.comm, "s2");
	assert_int_equal(x.argc, 6);
	assert_memory_equal(x.data, "/bin/sh\0-0\0/s1\0-1\0/s2\0\0A=1", 27);
	assert_int_equal(x.size, 27);
	exec_plan_fini(&plan);
	exec_strings_fini(&x);
	expect_plan(&g_files[5], 0); /* five deep */
	expect_plan(&g_files[6], -ELOOP);
	drop_files();
}

/* ---- the vDSO, called where the loader has mapped it ---- */

static const void *vdso_symbol(const char *image, const char *name)
{
	const Elf64_Ehdr *eh = (const void *)image;
	const Elf64_Phdr *ph = (const void *)(image + eh->e_phoff);
	const Elf64_Dyn *dyn = NULL;
	const Elf64_Sym *sym = NULL;
	const char *str = NULL;
	const u32 *hash = NULL;

	for (int i = 0; i < eh->e_phnum; i++) {
		if (ph[i].p_type == PT_DYNAMIC)
			dyn = (const void *)(image + ph[i].p_vaddr);
	}
	assert_non_null(dyn);
	for (; dyn->d_tag != DT_NULL; dyn++) {
		if (dyn->d_tag == DT_SYMTAB)
			sym = (const void *)(image + dyn->d_un.d_ptr);
		else if (dyn->d_tag == DT_STRTAB)
			str = image + dyn->d_un.d_ptr;
		else if (dyn->d_tag == DT_HASH)
			hash = (const void *)(image + dyn->d_un.d_ptr);
	}
	assert_true(sym && str && hash);
	for (u32 i = 0; i < hash[1]; i++) {
		if (strcmp(str + sym[i].st_name, name) == 0)
			return image + sym[i].st_value;
	}
	return NULL;
}

static int host_calls;

static int counting_gettime(clockid_t id, struct timespec *ts)
{
	host_calls++;
	return clock_gettime(id, ts);
}

static void use_vdso(bool with_host)
{
	int (*gettime)(clockid_t, struct timespec *), (*getres)(clockid_t, struct timespec *);
	int (*cpu)(unsigned int *, unsigned int *, void *);
	struct timespec a, b;
	unsigned int n = 9999;
	const char *image;
	u64 addr;

	g_fake.vdso = (struct pf_host_vdso){};
	if (with_host)
		g_fake.vdso.clock_gettime = (u64)(uintptr_t)counting_gettime;
	assert_int_equal(vdso_init(false), 0);
	assert_int_equal(vdso_map(&g_subject, &addr), 0);
	image = fake_at(addr);
	assert_memory_equal(image, ELFMAG, SELFMAG);
	gettime = vdso_symbol(image, "__vdso_clock_gettime");
	getres = vdso_symbol(image, "clock_getres");
	cpu = vdso_symbol(image, "__vdso_getcpu");
	assert_true(gettime && getres && cpu && vdso_symbol(image, "__vdso_time") &&
		    vdso_symbol(image, "__vdso_gettimeofday"));
	host_calls = 0;
	for (int id = 0; id < 12; id++) {
		if (id == 10)
			continue;
		assert_int_equal(clock_gettime(id, &a) ? -errno : 0, gettime(id, &b));
		assert_true(a.tv_sec - b.tv_sec <= 1 && b.tv_sec - a.tv_sec <= 1);
	}
	assert_int_equal(host_calls, with_host ? 7 : 0);
	assert_int_equal(gettime(12345, &b), -EINVAL);
	assert_int_equal(getres(CLOCK_MONOTONIC, &b), 0);
	assert_int_equal(b.tv_nsec, 1);
	assert_int_equal(cpu(&n, NULL, NULL), 0);
	assert_true(n < 9999);
}

static void body_vdso(void)
{
	use_vdso(false);
	use_vdso(true);
	assert_int_equal(mm_munmap(&g_subject, PF_MMAP_MIN, FAKE_TASK_SIZE - PF_MMAP_MIN), 0);
	vdso_fini();
}

#define TEST(name) \
	static void test_##name(void **state) \
	{ \
		(void)state; \
		fixture_run(body_##name, 1000); \
	}

TEST(static)
TEST(dynamic)
TEST(errors)
TEST(scripts)
TEST(vdso)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_script_line), cmocka_unit_test(test_elf_parse),
		cmocka_unit_test(test_static),	    cmocka_unit_test(test_dynamic),
		cmocka_unit_test(test_errors),	    cmocka_unit_test(test_scripts),
		cmocka_unit_test(test_vdso),
	};

	if (arena_create())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
