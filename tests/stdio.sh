#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Standard streams of every kind (but terminals), natively and in the sandbox; and signals that the
# command passes on.
# shellcheck source-path=SCRIPTDIR source=lib/tap.sh disable=SC2016,SC2034,SC2094
. "$(dirname "$0")/lib/tap.sh"
cd "$WORK" || exit 1
printf 'one\ntwo\nthree\nfour\n' >lines
mkfifo fifo

# same NAME SCRIPT: SCRIPT, in which $RUN stands before a program, does the same natively and in the
# sandbox: output, the file "out", and status.
same() {
	local name=$1 script=$2 want got
	rm -f out
	want=$(RUN='' timeout -k 5 60 bash -c "$script" 2>&1; echo "status $?"; cat out 2>&1)
	rm -f out
	got=$(RUN="$DONJON run --" timeout -k 5 60 bash -c "$script" 2>&1; echo "status $?"; cat out 2>&1)
	is "$name" "$got" "$want"
}

same "a file at an offset, whose rest is left for others" \
	'{ read -r a; $RUN $BB head -c 4; echo; $BB tail -c +1; } <lines'
same "reading to the end moves the caller's position" '{ $RUN $BB cat; read -r x; echo "$?"; } <lines'
same "a seek of the guest's is the caller's" '{ $RUN $BB dd bs=1 skip=4 count=3 2>/dev/null; cat; } <lines'
same "output to a file at an offset" '{ echo a; $RUN $BB echo b; echo c; } >out'
same "output into the middle of a file" 'cp lines out; { $BB dd bs=4 count=0 seek=1 2>/dev/null; $RUN $BB echo X; } 1<>out'
same "appending" 'echo first >out; $RUN $BB echo second >>out; echo third >>out'
same "appending by both" '{ $RUN $BB sh -c "echo a; echo b >>/dev/stdout"; echo c; } >>out'
same "input and output the same file" 'cp lines out; $RUN $BB sh -c "read x; echo \$x >&0" 0<>out'
same "stderr and stdout the same file" '$RUN $BB sh -c "echo a; echo b >&2; echo c" >out 2>&1'
same "truncated by the guest" 'echo long text >out; $RUN $BB sh -c ": >/dev/stdout; echo new" >>out'
same "through /dev/stdin and /proc/self/fd" '$RUN $BB cat /dev/stdin <lines; $RUN $BB head -n 1 /proc/self/fd/0 <lines'
same "a pipe" 'printf "a\nb\n" | $RUN $BB cat | $BB tr a-z A-Z'
same "a pipe with much in it" '$BB seq 300000 | $RUN $BB cat | $BB md5sum'
same "a pipe that ends early" '$RUN $BB yes | $BB head -n 2; echo "${PIPESTATUS[0]}"'
same "nobody reads: SIGPIPE, or EPIPE" \
	'$RUN $BB sh -c "trap : PIPE; sleep 0.2; echo x; echo \$? >&2" | :'
same "an input that is a closed pipe" ': | $RUN $BB sh -c "read x; echo \$?"'
same "a fifo" '$BB cat lines >fifo & $RUN $BB cat <fifo; wait'
same "/dev/null" '$RUN $BB cat </dev/null; $RUN $BB echo x >/dev/null; echo $?'
same "/dev/zero" '$RUN $BB head -c 5 </dev/zero | $BB od -An -tx1'
same "/dev/full" '$RUN $BB sh -c "echo x 2>/dev/null; echo \$? >&2" >/dev/full'
same "closed input" '$RUN $BB cat <&-'
same "closed output" '$RUN $BB sh -c "echo x" >&-'
same "closed errors" '$RUN $BB sh -c "echo x >&2; echo \$?" 2>&-'
same "all closed" '$RUN $BB sh -c "exit 5" <&- >&- 2>&-'
same "closed input is the next to be opened" '$RUN $BB sh -c "cat <lines; exec 5<lines; head -n 1 <&5" <&- 2>/dev/null'
same "input open for writing only" '$RUN $BB cat 0>out'
same "output open for reading only" '$RUN $BB sh -c "echo x" 1<lines'
same "a directory" '$RUN $BB cat <.'
same "what the streams are" '$RUN $BB sh -c "for i in 0 1 2; do test -t \$i; echo \$?; done; stat -L -c %F /dev/stdin" <lines | cat'
same "a socket" '"$OUT/programs/onsocket" stream "some text" $RUN $BB tr a-z A-Z'
same "a socket with packets" '"$OUT/programs/onsocket" seqpacket "some text" $RUN $BB cat'
same "nonblocking input stays the guest's" \
	'$RUN perl -e "use Fcntl; fcntl(STDIN, F_SETFL, O_NONBLOCK); print defined(sysread(STDIN, my \$b, 9)) ? 1 : \$!{EAGAIN} ? 2 : 3" 0<>fifo; echo'
same "a limit of file size for the caller" 'ulimit -S -f 1; $RUN $BB sh -c "echo few" >out'

# ---- signals ----
for sig in HUP INT QUIT TERM USR1 USR2 ALRM WINCH CONT; do
	: >"$WORK/seen"
	start_sandbox --timeout 30s -- "$BB" sh -c \
		"trap 'echo got; exit 9' $sig; echo ready; while :; do sleep 0.1; done" >"$WORK/seen"
	until_true 10 grep -q ready "$WORK/seen"
	kill -"$sig" "$command"
	wait "$command"
	is "SIG$sig is passed on" "$?:$(tail -n 1 "$WORK/seen")" 9:got
done
same "ignored signals stay ignored" \
	'(trap "" HUP USR1; $RUN $BB sh -c "kill -HUP \$\$; kill -USR1 \$\$; echo on")'
same "what is ignored, blocked" \
	'env --ignore-signal=INT,PIPE,CHLD --block-signal=QUIT,WINCH $RUN $BB grep Sig[BI][lg][kn] /proc/self/status'
env --ignore-signal=CHLD "$DONJON" run -- "$BB" sleep 100 2>"$WORK/err" &
command=$!
until_true 10 find_kernel
kill -9 "$kernel"
wait "$command"
is "a caller that ignores SIGCHLD hears how the kernel ended" "$? $(cat "$WORK/err")" \
	"125 donjon: the kernel process died of signal 9"
start_sandbox --timeout 30s -- "$BB" sleep 100
sleep 0.3
kill -TERM "$command"
wait "$command"
is "and kills who does not catch it" $? 143
done_testing
