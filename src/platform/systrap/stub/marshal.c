/* See marshal.h. A byte that cannot be read or written makes its item be absent. */

#include "platform/systrap/stub/stub.h"

struct marshal_row {
	u16 nr;
	s8 cmd_arg; /* number of the argument that has to equal cmd, or -1 */
	u8 late; /* outputs may follow the call */
	u32 cmd;
	u32 arg[MARSHAL_ITEMS];
};

#define MARSHAL(nr, cmd_arg, cmd, late, a0, a1, a2, a3) \
	{ nr, cmd_arg, late, cmd, { a0, a1, a2, a3 } },

/* Rows of one number follow each other. */
static const struct marshal_row rows[] = {
#include "marshal.h"
	/* clone3: what its structure holds depends on its size */
	MARSHAL(435, -1, 0, 0, MARSHAL_IN_COUNT(0, 1, 1), MARSHAL_NONE, MARSHAL_NONE, MARSHAL_NONE)
};

#undef MARSHAL
#define MARSHAL(nr, cmd_arg, cmd, late, a0, a1, a2, a3) [nr] = __COUNTER__ - FIRST + 1,

enum { FIRST = __COUNTER__ + 1 };

/* 1 + index of a number's last row. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init"
static const u8 last_row[512] = {
#include "marshal.h"
	[435] = ARRAY_SIZE(rows),
};
#pragma GCC diagnostic pop

_Static_assert(ARRAY_SIZE(rows) < 256, "row numbers");

struct marshal {
	struct lane *lane;
	u64 args[6];
	u32 count, used;
};

static const struct marshal_row *find_row(u64 nr, const u64 *args)
{
	if (nr >= ARRAY_SIZE(last_row))
		return 0;
	for (u32 i = last_row[nr]; i > 0 && rows[i - 1].nr == nr; i--)
		if (rows[i - 1].cmd_arg < 0 ||
		    (u32)args[(u32)rows[i - 1].cmd_arg] == rows[i - 1].cmd)
			return &rows[i - 1];
	return 0;
}

static void add(struct marshal *m, u64 addr, u64 size, u32 offset)
{
	m->lane->inputs.item[m->count++] = (struct marshal_item){ addr, (u32)size, offset };
	if (offset != MARSHAL_TOUCHED)
		m->used += (u32)(size + 7) & ~7U;
}

static void carry(struct marshal *m, const struct marshal_row *row, u32 code)
{
	u32 kind = code & 15, k = code >> 8 & 15;
	u64 addr = m->args[(code >> 4 & 15) % 6], size = code >> 12, room;
	u8 *to = m->lane->marshal + m->used;

	room = m->used < MARSHAL_SIZE ? MARSHAL_SIZE - m->used : 0;
	if (k != MARSHAL_FIXED)
		size = m->args[k % 6] <= MARSHAL_SIZE ? size * m->args[k % 6] : room + 1;
	if (!addr || size > room)
		return;
	if (kind == MARSHAL_KIND_STRING) {
		s64 n = guest_string((char *)to, (const char *)addr, room);

		if (n > 0 && !to[n - 1])
			add(m, addr, (u64)n, m->used);
	} else if (kind == MARSHAL_KIND_IN) {
		if (size && !guest_copy(to, (const void *)addr, size))
			add(m, addr, size, m->used);
	} else if (row->late && size) {
		if (!guest_touch((u8 *)addr) && !guest_touch((u8 *)addr + size - 1))
			add(m, addr, size, MARSHAL_TOUCHED);
	}
}

void marshal_inputs(struct lane *lane)
{
	const struct guest_regs *r = &lane->regs;
	struct marshal m = { .lane = lane,
			     .args = { r->rdi, r->rsi, r->rdx, r->r10, r->r8, r->r9 } };
	const struct marshal_row *row = find_row(r->orig_rax, m.args);

	for (u32 i = 0; row && i < MARSHAL_ITEMS && row->arg[i]; i++)
		carry(&m, row, row->arg[i]);
	lane->inputs.count = m.count;
}

void marshal_outputs(struct lane *lane)
{
	u32 count = lane->outputs.count;

	if (!count)
		return;
	lane->outputs.count = 0;
	for (u32 i = 0; i < min(count, MARSHAL_OUTPUTS); i++) {
		const struct marshal_item *item = &lane->outputs.item[i];

		(void)guest_copy((void *)item->addr, lane->marshal + item->offset % MARSHAL_SIZE,
				 item->size);
	}
}
