/* /proc/net: our own sockets are in it, with their inode, state and names. */
#include "tap.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static unsigned long inode_of(int fd)
{
	struct stat st;

	need(!fstat(fd, &st));
	return st.st_ino;
}

/* The line of path that has inode as its field number column (from 0) goes to line. */
static bool find(const char *path, unsigned long inode, int column, char *line, size_t size)
{
	FILE *f = fopen(path, "r");
	char *word, *rest, copy[512];
	bool found = false;

	need(f);
	while (!found && fgets(line, size, f)) {
		int i = 0;

		snprintf(copy, sizeof(copy), "%s", line);
		for (word = strtok_r(copy, " \n", &rest); word; word = strtok_r(NULL, " \n", &rest))
			if (i++ == column)
				found = strtoul(word, NULL, 10) == inode;
	}
	fclose(f);
	return found;
}

static int bound(int family, int type, int protocol)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	struct sockaddr_in6 a6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int s = socket(family, type, protocol);

	need(s >= 0);
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (family == AF_INET)
		need(!bind(s, (void *)&a, sizeof(a)));
	else
		need(!bind(s, (void *)&a6, sizeof(a6)));
	return s;
}

static void inet(void)
{
	int l = bound(AF_INET, SOCK_STREAM, 0), l6 = bound(AF_INET6, SOCK_STREAM, 0);
	int u = bound(AF_INET, SOCK_DGRAM, 0), u6 = bound(AF_INET6, SOCK_DGRAM, 0);
	char line[512], local[32], remote[32];
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	unsigned state;
	int c;

	need(!listen(l, 5) && !listen(l6, 5) && !getsockname(l, (void *)&a, &len));
	ok(find("/proc/net/tcp", inode_of(l), 9, line, sizeof(line)), "a listener");
	is_int(strlen(line), 150, "the width of a line");
	need(sscanf(line, "%*d: %31s %31s %x", local, remote, &state) == 3);
	is_int(state, 10, "it listens");
	ok(!strncmp(local, "0100007F:", 9), "at 127.0.0.1");
	is_int(strtol(local + 9, NULL, 16), ntohs(a.sin_port), "its port");
	is_str(remote, "00000000:0000", "its peer");
	c = socket(AF_INET, SOCK_STREAM, 0);
	need(!connect(c, (void *)&a, len));
	ok(find("/proc/net/tcp", inode_of(c), 9, line, sizeof(line)), "a connection");
	need(sscanf(line, "%*d: %31s %31s %x", local, remote, &state) == 3);
	is_int(state, 1, "it is established");
	is_int(strtol(remote + 9, NULL, 16), ntohs(a.sin_port), "its peer's port");
	ok(find("/proc/net/tcp6", inode_of(l6), 9, line, sizeof(line)), "a listener of IPv6");
	ok(strstr(line, " 00000000000000000000000001000000:"), "at ::1");
	ok(find("/proc/net/udp", inode_of(u), 9, line, sizeof(line)), "a UDP socket");
	ok(find("/proc/self/net/udp6", inode_of(u6), 9, line, sizeof(line)), "one of IPv6");
	close(l);
	ok(!find("/proc/net/tcp", inode_of(u), 9, line, sizeof(line)), "others are not there");
	close(c);
	close(l6);
	close(u);
	close(u6);
}

static void others(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX, .sun_path = "\0donjon.procnet" };
	int s = socket(AF_UNIX, SOCK_SEQPACKET, 0), n = socket(AF_NETLINK, SOCK_RAW, 0);
	struct sockaddr_nl nl = { .nl_family = AF_NETLINK };
	char line[512];

	need(!bind(s, (void *)&a, sizeof(sa_family_t) + 15) && !listen(s, 1));
	ok(find("/proc/net/unix", inode_of(s), 6, line, sizeof(line)), "a unix socket");
	ok(strstr(line, " @donjon.procnet\n"), "its name");
	ok(strstr(line, " 00010000 0005 01 "), "it listens");
	need(!bind(n, (void *)&nl, sizeof(nl)));
	ok(find("/proc/net/netlink", inode_of(n), 9, line, sizeof(line)), "a netlink socket");
	close(s);
	close(n);
}

static void has(const char *path, const char *text)
{
	static char buf[65536];
	int fd = open(path, O_RDONLY);
	ssize_t n, size = 0;

	need(fd >= 0);
	while ((n = read(fd, buf + size, sizeof(buf) - 1 - size)) > 0)
		size += n;
	buf[size] = '\0';
	ok(strstr(buf, text), "%s", path);
	close(fd);
}

int main(void)
{
	tap_begin();
	inet();
	others();
	has("/proc/net/dev", "    lo:");
	has("/proc/net/if_inet6", "00000000000000000000000000000001 01 80 10 80       lo\n");
	has("/proc/net/ipv6_route", "00000000000000000000000000000001 80 ");
	has("/proc/net/route", "Iface\tDestination\tGateway");
	has("/proc/net/arp", "IP address ");
	has("/proc/net/sockstat", "TCP: inuse ");
	has("/proc/net/sockstat6", "UDP6: inuse ");
	has("/proc/net/snmp", "Tcp: RtoAlgorithm ");
	has("/proc/net/netstat", "IpExt: ");
	has("/proc/net/protocols", "NETLINK ");
	has("/proc/net/ptype", "ip_rcv");
	has("/proc/sys/net/core/somaxconn", "4096");
	return tap_end();
}
