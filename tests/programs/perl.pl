# Run by perl: fork and wait, pipes, files, sockets, signals, sort and regular expressions.
use strict;
use warnings;
use Fcntl qw(:flock :seek);
use File::Temp qw(tempdir);
use IO::Socket::INET;
use IO::Socket::UNIX;
use POSIX qw(:sys_wait_h);
$| = 1;

my $dir = tempdir(CLEANUP => 1);
my %count;
$count{ length $_ }++ for map { "x" x ($_ % 7) } 1 .. 10000;
print join(" ", map { "$_=$count{$_}" } sort keys %count), "\n";

for my $code (0, 1, 200) {
	my $pid = fork // die "fork: $!";
	POSIX::_exit($code) if !$pid;
	waitpid $pid, 0;
	print "child ", $? >> 8, "\n";
}
print "qx: ", qx(echo one; exit 3), $? >> 8, "\n";
open my $pipe, "-|", "seq 1 1000 | sort -rn" or die $!;
my @lines = <$pipe>;
close $pipe;
print scalar @lines, " $lines[0]";

open my $file, "+>", "$dir/file" or die $!;
print $file "line $_\n" for 1 .. 5000;
flock $file, LOCK_EX or die $!;
seek $file, 0, SEEK_SET;
my $sum = 0;
while (<$file>) { $sum += $1 if /line (\d+)/ }
print "sum $sum size ", -s $file, "\n";

my $server = IO::Socket::INET->new(Listen => 5, LocalAddr => "127.0.0.1") or die "listen: $!";
if (!fork) {
	my $client = $server->accept or die $!;
	print $client scalar reverse(<$client> =~ s/\n//r), "\n";
	close $client;
	POSIX::_exit(0);
}
my $client = IO::Socket::INET->new(PeerAddr => "127.0.0.1", PeerPort => $server->sockport) or die $!;
print $client "over tcp\n";
print scalar <$client>;
wait;
my $local = IO::Socket::UNIX->new(Listen => 1, Local => "$dir/socket") or die $!;
print -S "$dir/socket" ? "socket\n" : "no socket\n";

my $caught = 0;
local $SIG{USR1} = sub { $caught++ };
kill USR1 => $$ for 1 .. 5;
print "caught $caught\n";
eval {
	local $SIG{ALRM} = sub { die "alarm\n" };
	POSIX::pause() while POSIX::alarm(1) || 1;
};
print $@;
mkdir "$dir/$_" for 1 .. 20;
opendir my $handle, $dir or die $!;
print scalar(grep { -d "$dir/$_" && !/^\./ } readdir $handle), "\n";
exit 4;
