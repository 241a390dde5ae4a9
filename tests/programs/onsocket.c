/*
 * onsocket TYPE TEXT CMD [ARG...]: run CMD with a socket (stream or seqpacket) as its standard
 * input and output; send TEXT, shut the sending side down, print what comes back.
 */

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	char buf[4096];
	int fds[2], status;
	ssize_t n;

	if (argc < 4)
		return 2;
	if (socketpair(AF_UNIX, strcmp(argv[1], "stream") ? SOCK_SEQPACKET : SOCK_STREAM, 0, fds))
		return 2;
	if (fork() == 0) {
		dup2(fds[1], 0);
		dup2(fds[1], 1);
		close(fds[0]);
		close(fds[1]);
		execvp(argv[3], argv + 3);
		_exit(127);
	}
	close(fds[1]);
	if (write(fds[0], argv[2], strlen(argv[2])) < 0)
		return 2;
	shutdown(fds[0], SHUT_WR);
	while ((n = read(fds[0], buf, sizeof(buf))) > 0)
		if (write(1, buf, (size_t)n) != n)
			return 2;
	wait(&status);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
