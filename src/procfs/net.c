/* /proc/net: what there is in the network. Formats: proc(5), net/ipv4/tcp_ipv4.c and others. */

#include <errno.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "arena/arena.h"
#include "net/info.h"
#include "net/link.h"
#include "procfs/internal.h"

/* So many fit into what a file of /proc may hold. */
#define SOCKS_MAX 16384U
#define TCP_WIDTH 149
#define UDP_WIDTH 127
/* ---- sockets ---- */

/* Spaces up to width since start, and the end of the line. */
static void pad(struct strbuf *out, size_t start, size_t width)
{
	while (out->length - start < width && !strbuf_error(out))
		strbuf_putc(out, ' ');
	strbuf_putc(out, '\n');
}

static void put_end(struct strbuf *out, const u8 *addr, u16 port, bool v6)
{
	u32 words[4];

	memcpy(words, addr, sizeof(words));
	if (v6)
		strbuf_printf(out, "%08X%08X%08X%08X:%04X", words[0], words[1], words[2], words[3],
			      port);
	else
		strbuf_printf(out, "%08X:%04X", words[3], port);
}

static void put_inet(struct strbuf *out, const struct sock_info *i, u32 nr, bool v6)
{
	bool tcp = i->type == SOCK_STREAM;
	size_t start = out->length;

	strbuf_printf(out, tcp ? "%4u: " : "%5u: ", nr);
	put_end(out, i->local, i->local_port, v6);
	strbuf_putc(out, ' ');
	put_end(out, i->remote, i->remote_port, v6);
	strbuf_printf(out, " %02X %08lX:%08lX 00:00000000 00000000 %5u %8d %lu %u %016x", i->state,
		      tcp && i->listening ? 0 : i->send, i->receive, i->uid, 0, i->inode, i->refs,
		      0);
	if (tcp && i->listening)
		strbuf_puts(out, " 100 0 0 10 0");
	else
		strbuf_puts(out, tcp ? " 20 4 30 10 -1" : " 0");
	pad(out, start, tcp ? TCP_WIDTH : UDP_WIDTH);
}

static int show_inet(struct strbuf *out, int family, u32 protocol)
{
	bool v6 = family == AF_INET6, tcp = protocol == IPPROTO_TCP;
	struct sock_info *list;
	size_t start = out->length;
	u32 count;
	int err = net_list_socks(family, protocol, SOCKS_MAX, &list, &count);

	if (err)
		return err;
	strbuf_printf(
		out,
		v6 ? "%ssl  local_address                         remote_address         "
		     "               st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout "
		     "inode%s" :
		     "%ssl  local_address rem_address   st tx_queue rx_queue tr tm->when "
		     "retrnsmt   uid  timeout inode%s",
		tcp ? "  " :
		v6  ? "  " :
		      "   ",
		tcp ? "" : " ref pointer drops");
	if (v6)
		strbuf_putc(out, '\n');
	else
		pad(out, start, tcp ? TCP_WIDTH : UDP_WIDTH);
	for (u32 i = 0; i < count; i++)
		put_inet(out, &list[i], i, v6);
	arena_free(list);
	return 0;
}

static int show_tcp(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	return show_inet(out, AF_INET, IPPROTO_TCP);
}

static int show_tcp6(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	return show_inet(out, AF_INET6, IPPROTO_TCP);
}

static int show_udp(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	return show_inet(out, AF_INET, IPPROTO_UDP);
}

static int show_udp6(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	return show_inet(out, AF_INET6, IPPROTO_UDP);
}

static int show_udplite(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	return show_inet(out, AF_INET, IPPROTO_UDPLITE);
}

static int show_udplite6(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	return show_inet(out, AF_INET6, IPPROTO_UDPLITE);
}

/* There are no raw sockets. */
static int show_raw(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	return show_inet(out, AF_INET, IPPROTO_RAW);
}

static int show_raw6(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	return show_inet(out, AF_INET6, IPPROTO_RAW);
}

static int show_unix(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	struct sock_info *list;
	u32 count;
	int err = net_list_socks(AF_UNIX, 0, SOCKS_MAX, &list, &count);

	if (err)
		return err;
	strbuf_puts(out, "Num       RefCount Protocol Flags    Type St Inode Path\n");
	for (u32 i = 0; i < count; i++) {
		const struct sock_info *k = &list[i];

		strbuf_printf(out, "%016x: %08X %08X %08X %04X %02X %5lu", 0, k->refs, 0,
			      k->listening ? 0x10000U : 0, k->type, k->state, k->inode);
		if (k->name_size)
			strbuf_putc(out, ' ');
		for (u32 c = 0; c < k->name_size; c++)
			if (k->name[c] || !k->name[0])
				strbuf_putc(out, k->name[c] ? k->name[c] : '@');
		strbuf_putc(out, '\n');
	}
	arena_free(list);
	return 0;
}

static int show_netlink(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	struct sock_info *list;
	u32 count;
	int err = net_list_socks(AF_NETLINK, 0, SOCKS_MAX, &list, &count);

	if (err)
		return err;
	strbuf_puts(out,
		    "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    "
		    "Drops    Inode\n");
	for (u32 i = 0; i < count; i++)
		strbuf_printf(out, "%016x %-3u %-10u %08x %-8lu %-8d %-5d %-8u %-8d %-8lu\n", 0,
			      list[i].protocol, list[i].port, list[i].groups, list[i].receive, 0, 0,
			      list[i].refs, 0, list[i].inode);
	arena_free(list);
	return 0;
}

/* How many sockets of a protocol have a port. */
static u32 count_of(int family, u32 protocol)
{
	struct sock_info *list;
	u32 count;

	if (net_list_socks(family, protocol, SOCKS_MAX, &list, &count))
		return 0;
	arena_free(list);
	return count;
}

static int show_sockstat(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	u32 tcp = count_of(AF_INET, IPPROTO_TCP), udp = count_of(AF_INET, IPPROTO_UDP);
	u32 lite = count_of(AF_INET, IPPROTO_UDPLITE);
	u32 others = count_of(AF_UNIX, 0) + count_of(AF_NETLINK, 0) + count_of(AF_INET6, 0);

	strbuf_printf(out, "sockets: used %u\n", tcp + udp + lite + others);
	strbuf_printf(out, "TCP: inuse %u orphan 0 tw 0 alloc %u mem 0\n", tcp,
		      tcp + count_of(AF_INET6, IPPROTO_TCP));
	strbuf_printf(out, "UDP: inuse %u mem 0\nUDPLITE: inuse %u\nRAW: inuse 0\n", udp, lite);
	strbuf_puts(out, "FRAG: inuse 0 memory 0\n");
	return 0;
}

static int show_sockstat6(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	strbuf_printf(out, "TCP6: inuse %u\nUDP6: inuse %u\nUDPLITE6: inuse %u\n",
		      count_of(AF_INET6, IPPROTO_TCP), count_of(AF_INET6, IPPROTO_UDP),
		      count_of(AF_INET6, IPPROTO_UDPLITE));
	strbuf_puts(out, "RAW6: inuse 0\nFRAG6: inuse 0 memory 0\n");
	return 0;
}

static int show_protocols(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	static const struct {
		const char *name;
		int family;
		u32 protocol;
	} rows[] = {
		{ "NETLINK", AF_NETLINK, 0 },
		{ "UDPLITEv6", AF_INET6, IPPROTO_UDPLITE },
		{ "UDPv6", AF_INET6, IPPROTO_UDP },
		{ "TCPv6", AF_INET6, IPPROTO_TCP },
		{ "UNIX", AF_UNIX, 0 },
		{ "UDP-Lite", AF_INET, IPPROTO_UDPLITE },
		{ "UDP", AF_INET, IPPROTO_UDP },
		{ "TCP", AF_INET, IPPROTO_TCP },
	};

	strbuf_puts(out, "protocol  size sockets  memory press maxhdr  slab module     cl co di ac "
			 "io in de sh ss gs se re sp bi br ha uh gp em\n");
	for (u32 i = 0; i < ARRAY_SIZE(rows); i++)
		strbuf_printf(out, "%-9s %4d %6u  %6d   %-3s %6d   %-4s%-10s\n", rows[i].name, 1024,
			      count_of(rows[i].family, rows[i].protocol), -1, "NI", 0, "yes",
			      "kernel");
	return 0;
}

static int show_snmp(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	strbuf_puts(out,
		    "Ip: Forwarding DefaultTTL InReceives InHdrErrors InAddrErrors ForwDatagrams "
		    "InUnknownProtos InDiscards InDelivers OutRequests OutDiscards OutNoRoutes "
		    "ReasmTimeout ReasmReqds ReasmOKs ReasmFails FragOKs FragFails FragCreates\n"
		    "Ip: 2 64 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
		    "Icmp: InMsgs InErrors InCsumErrors InDestUnreachs InTimeExcds InParmProbs "
		    "InSrcQuenchs InRedirects InEchos InEchoReps InTimestamps InTimestampReps "
		    "InAddrMasks InAddrMaskReps OutMsgs OutErrors OutDestUnreachs OutTimeExcds "
		    "OutParmProbs OutSrcQuenchs OutRedirects OutEchos OutEchoReps OutTimestamps "
		    "OutTimestampReps OutAddrMasks OutAddrMaskReps\n"
		    "Icmp: 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
		    "Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens AttemptFails "
		    "EstabResets CurrEstab InSegs OutSegs RetransSegs InErrs OutRsts "
		    "InCsumErrors\n");
	strbuf_printf(out, "Tcp: 1 200 120000 -1 0 0 0 0 %u 0 0 0 0 0 0\n",
		      count_of(AF_INET, IPPROTO_TCP));
	strbuf_puts(out, "Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors "
			 "InCsumErrors IgnoredMulti\nUdp: 0 0 0 0 0 0 0 0\n"
			 "UdpLite: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors "
			 "SndbufErrors InCsumErrors IgnoredMulti\nUdpLite: 0 0 0 0 0 0 0 0\n");
	return 0;
}

/* ---- the interface, addresses, routes ---- */

static int show_if_inet6(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	struct net_link l;

	link_get(&l);
	for (u32 i = 0; i < l.addr_count; i++) {
		const struct link_addr *a = &l.addrs[i];

		if (a->v4)
			continue;
		for (u32 b = 0; b < sizeof(a->addr); b++)
			strbuf_printf(out, "%02x", a->addr[b]);
		strbuf_printf(out, " %02x %02x %02x %02x %8s\n", LO_INDEX, a->prefix,
			      a->scope == RT_SCOPE_HOST ? 0x10 : 0, 0x80, LO_NAME);
	}
	return 0;
}

static int show_ipv6_route(struct subject *s, struct proc_ctx *ctx, struct strbuf *out)
{
	struct net_link l;

	link_get(&l);
	for (u32 i = 0; l.up && i < l.addr_count; i++) {
		if (l.addrs[i].v4)
			continue;
		for (u32 b = 0; b < sizeof(l.addrs[i].addr); b++)
			strbuf_printf(out, "%02x", l.addrs[i].addr[b]);
		strbuf_printf(out, " 80 %032x 00 %032x %08x %08x %08x %08x %8s\n", 0, 0, 0, 1, 0,
			      0x80200001, LO_NAME);
	}
	return 0;
}

#define IFACE_ZEROS "       0       0    0    0    0     0          0         0"

const struct proc_row proc_net_rows[PROC_NET_ROWS] = {
	FILE_TEXT("arp", "IP address       HW type     Flags       HW address            Mask     "
			 "Device\n"),
	FILE_TEXT("dev",
		  "Inter-|   Receive                                                |  "
		  "Transmit\n"
		  " face |bytes    packets errs drop fifo frame compressed multicast|bytes    "
		  "packets errs drop fifo colls carrier compressed\n"
		  "    lo:" IFACE_ZEROS
		  "        0       0    0    0    0     0       0          0\n"),
	FILE_TEXT("dev_mcast", ""),
	FILE_SHOW("if_inet6", 0444, show_if_inet6),
	FILE_SHOW("ipv6_route", 0444, show_ipv6_route),
	FILE_TEXT("igmp", "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n"),
	FILE_TEXT("netstat",
		  "TcpExt: SyncookiesSent SyncookiesRecv SyncookiesFailed ListenOverflows "
		  "ListenDrops\nTcpExt: 0 0 0 0 0\n"
		  "IpExt: InNoRoutes InTruncatedPkts InMcastPkts OutMcastPkts InOctets "
		  "OutOctets\nIpExt: 0 0 0 0 0 0\n"),
	FILE_SHOW("netlink", 0444, show_netlink),
	FILE_TEXT("packet", "sk               RefCnt Type Proto  Iface R Rmem   User   Inode\n"),
	FILE_SHOW("protocols", 0444, show_protocols),
	FILE_TEXT("ptype", "Type Device      Function\n0800          ip_rcv\n86dd          "
			   "ipv6_rcv\n"),
	FILE_SHOW("raw", 0444, show_raw),
	FILE_SHOW("raw6", 0444, show_raw6),
	FILE_TEXT("route", "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\t"
			   "Window\tIRTT                                                       \n"),
	FILE_SHOW("snmp", 0444, show_snmp),
	FILE_SHOW("sockstat", 0444, show_sockstat),
	FILE_SHOW("sockstat6", 0444, show_sockstat6),
	FILE_SHOW("tcp", 0444, show_tcp),
	FILE_SHOW("tcp6", 0444, show_tcp6),
	FILE_SHOW("udp", 0444, show_udp),
	FILE_SHOW("udp6", 0444, show_udp6),
	FILE_SHOW("udplite", 0444, show_udplite),
	FILE_SHOW("udplite6", 0444, show_udplite6),
	FILE_SHOW("unix", 0444, show_unix),
};
