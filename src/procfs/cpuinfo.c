/* /proc/cpuinfo, from CPUID: the CPUs are the host's, and the guest can ask them itself. */

#include <cpuid.h>
#include <string.h>

#include "kernel/task.h"
#include "procfs/internal.h"

struct cpu_flag {
	u8 word; /* index in the words below */
	u8 bit;
	const char *name;
};

/* Words: 0 1.edx, 1 1.ecx, 2 7.ebx, 3 7.ecx, 4 7.edx, 5 80000001.edx, 6 80000001.ecx, 7 d.1.eax. */
enum { WORDS = 8 };

static const struct cpu_flag flags[] = {
	{ 0, 0, "fpu" },
	{ 0, 1, "vme" },
	{ 0, 2, "de" },
	{ 0, 3, "pse" },
	{ 0, 4, "tsc" },
	{ 0, 5, "msr" },
	{ 0, 6, "pae" },
	{ 0, 7, "mce" },
	{ 0, 8, "cx8" },
	{ 0, 9, "apic" },
	{ 0, 11, "sep" },
	{ 0, 12, "mtrr" },
	{ 0, 13, "pge" },
	{ 0, 14, "mca" },
	{ 0, 15, "cmov" },
	{ 0, 16, "pat" },
	{ 0, 17, "pse36" },
	{ 0, 19, "clflush" },
	{ 0, 23, "mmx" },
	{ 0, 24, "fxsr" },
	{ 0, 25, "sse" },
	{ 0, 26, "sse2" },
	{ 0, 27, "ss" },
	{ 0, 28, "ht" },
	{ 5, 11, "syscall" },
	{ 5, 20, "nx" },
	{ 5, 26, "pdpe1gb" },
	{ 5, 27, "rdtscp" },
	{ 5, 29, "lm" },
	{ 1, 0, "pni" },
	{ 1, 1, "pclmulqdq" },
	{ 1, 9, "ssse3" },
	{ 1, 12, "fma" },
	{ 1, 13, "cx16" },
	{ 1, 17, "pcid" },
	{ 1, 19, "sse4_1" },
	{ 1, 20, "sse4_2" },
	{ 1, 21, "x2apic" },
	{ 1, 22, "movbe" },
	{ 1, 23, "popcnt" },
	{ 1, 25, "aes" },
	{ 1, 26, "xsave" },
	{ 1, 28, "avx" },
	{ 1, 29, "f16c" },
	{ 1, 30, "rdrand" },
	{ 1, 31, "hypervisor" },
	{ 6, 0, "lahf_lm" },
	{ 6, 5, "abm" },
	{ 6, 6, "sse4a" },
	{ 6, 7, "misalignsse" },
	{ 6, 8, "3dnowprefetch" },
	{ 2, 0, "fsgsbase" },
	{ 2, 3, "bmi1" },
	{ 2, 4, "hle" },
	{ 2, 5, "avx2" },
	{ 2, 7, "smep" },
	{ 2, 8, "bmi2" },
	{ 2, 9, "erms" },
	{ 2, 10, "invpcid" },
	{ 2, 11, "rtm" },
	{ 2, 16, "avx512f" },
	{ 2, 17, "avx512dq" },
	{ 2, 18, "rdseed" },
	{ 2, 19, "adx" },
	{ 2, 20, "smap" },
	{ 2, 21, "avx512ifma" },
	{ 2, 23, "clflushopt" },
	{ 2, 24, "clwb" },
	{ 2, 28, "avx512cd" },
	{ 2, 29, "sha_ni" },
	{ 2, 30, "avx512bw" },
	{ 2, 31, "avx512vl" },
	{ 7, 0, "xsaveopt" },
	{ 7, 1, "xsavec" },
	{ 7, 2, "xgetbv1" },
	{ 7, 3, "xsaves" },
	{ 3, 1, "avx512vbmi" },
	{ 3, 2, "umip" },
	{ 3, 3, "pku" },
	{ 3, 6, "avx512_vbmi2" },
	{ 3, 8, "gfni" },
	{ 3, 9, "vaes" },
	{ 3, 10, "vpclmulqdq" },
	{ 3, 11, "avx512_vnni" },
	{ 3, 12, "avx512_bitalg" },
	{ 3, 14, "avx512_vpopcntdq" },
	{ 3, 22, "rdpid" },
	{ 4, 4, "fsrm" },
	{ 4, 14, "serialize" },
	{ 4, 22, "amx_bf16" },
	{ 4, 24, "amx_tile" },
	{ 4, 25, "amx_int8" },
};

struct cpu {
	char vendor[13], model_name[49];
	u32 family, model, stepping, cache_line, cache_kb, mhz, phys_bits, virt_bits, level;
	u32 word[WORDS];
};

static void read_words(struct cpu *c)
{
	u32 a, b, cx, d;

	if (__get_cpuid_count(7, 0, &a, &b, &cx, &d)) {
		c->word[2] = b;
		c->word[3] = cx;
		c->word[4] = d;
	}
	if (__get_cpuid(0x80000001, &a, &b, &cx, &d)) {
		c->word[5] = d;
		c->word[6] = cx;
	}
	if (__get_cpuid_count(0xd, 1, &a, &b, &cx, &d))
		c->word[7] = a;
}

/* In KB: that of the last level, or with AMD the second, as Linux has it. */
static u32 cache_size(bool amd)
{
	u32 a, b, cx, d, kb = 0;

	for (u32 i = 0; i < 8; i++) {
		if (!__get_cpuid_count(amd ? 0x8000'001d : 4, i, &a, &b, &cx, &d) || !(a & 31) ||
		    (amd && (a >> 5 & 7) > 2))
			break;
		kb = (u32)(((u64)(b >> 22) + 1) * ((b >> 12 & 0x3ff) + 1) * ((b & 0xfff) + 1) *
			   ((u64)cx + 1) / 1024);
	}
	return kb;
}

static void read_cpu(struct cpu *c)
{
	u32 a = 0, b = 0, cx = 0, d = 0;

	*c = (struct cpu){ .mhz = 2000, .cache_line = 64, .phys_bits = 46, .virt_bits = 48 };
	__get_cpuid(0, &a, &b, &cx, &d);
	memcpy(c->vendor, &b, 4);
	memcpy(c->vendor + 4, &d, 4);
	memcpy(c->vendor + 8, &cx, 4);
	c->level = a;
	c->cache_kb = cache_size(b == signature_AMD_ebx);
	__get_cpuid(1, &a, &b, &cx, &d);
	c->stepping = a & 15;
	c->family = a >> 8 & 15;
	c->model = a >> 4 & 15;
	if (c->family == 6 || c->family == 15)
		c->model |= a >> 12 & 0xf0;
	if (c->family == 15)
		c->family += a >> 20 & 0xff;
	c->cache_line = (b >> 8 & 0xff) * 8;
	c->word[0] = d;
	c->word[1] = cx;
	read_words(c);
	for (u32 i = 0; i < 3; i++) {
		u32 r[4] = {};

		__get_cpuid(0x80000002 + i, &r[0], &r[1], &r[2], &r[3]);
		memcpy(c->model_name + 16 * (size_t)i, r, 16);
	}
	if (__get_cpuid(0x16, &a, &b, &cx, &d) && a & 0xffff)
		c->mhz = a & 0xffff;
	if (__get_cpuid(0x80000008, &a, &b, &cx, &d)) {
		c->phys_bits = a & 0xff;
		c->virt_bits = a >> 8 & 0xff;
	}
}

static void put_cpu(struct strbuf *out, const struct cpu *c, u32 number, u32 index, u32 count)
{
	strbuf_printf(
		out,
		"processor\t: %u\nvendor_id\t: %s\ncpu family\t: %u\nmodel\t\t: %u\nmodel name\t: %s\n",
		number, c->vendor, c->family, c->model, c->model_name);
	strbuf_printf(
		out,
		"stepping\t: %u\ncpu MHz\t\t: %u.000\ncache size\t: %u KB\nphysical id\t: 0\nsiblings\t: %u\n",
		c->stepping, c->mhz, c->cache_kb, count);
	strbuf_printf(
		out,
		"core id\t\t: %u\ncpu cores\t: %u\napicid\t\t: %u\ninitial apicid\t: %u\nfpu\t\t: yes\nfpu_exception\t: yes\n",
		index, count, index, index);
	strbuf_printf(out, "cpuid level\t: %u\nwp\t\t: yes\nflags\t\t:", c->level);
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
		if (c->word[flags[i].word] >> flags[i].bit & 1)
			strbuf_printf(out, " %s", flags[i].name);
	strbuf_printf(out,
		      "\nbugs\t\t:\nbogomips\t: %u.00\nclflush size\t: %u\ncache_alignment\t: %u\n",
		      2 * c->mhz, c->cache_line, c->cache_line);
	strbuf_printf(out,
		      "address sizes\t: %u bits physical, %u bits virtual\npower management:\n\n",
		      c->phys_bits, c->virt_bits);
}

int proc_show_cpuinfo(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	const struct kernel *k = kernel_get();
	struct cpu c;
	u32 index = 0;

	read_cpu(&c);
	for (u32 cpu = 0; cpu < sizeof(k->cpu_mask) * 8; cpu++)
		if (k->cpu_mask[cpu / 8] >> (cpu % 8) & 1)
			put_cpu(out, &c, cpu, index++, k->cpu_count);
	return 0;
}
