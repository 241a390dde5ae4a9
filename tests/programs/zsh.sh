# Run by zsh-static: what a zsh script does without its modules and functions. The output is the
# same in every run.
B=/bin/busybox
dir=$($B mktemp -d /tmp/zsh.XXXXXX) || exit 1
trap '$B rm -rf "$dir"; echo "exit trap"' EXIT
cd "$dir" || exit 1

echo "== loops of fork and exec"
for i in {1..40}; do
	$B true || echo "true failed"
done
echo "ran $i times"
repeat 3 $B echo again

echo "== arrays"
list=(alpha beta gamma)
typeset -A map
map=(one 1 two 2)
echo $#list $list[1] $list[-1] $map[two]
echo ${(U)list} ${(j:,:)list}

echo "== pipelines"
$B seq 1 1000 | $B grep 3 | $B wc -l
$B seq 1 5 | while read -r n; do echo -n "$((n * n)) "; done
echo
$B false | $B true | (exit 3)
echo "statuses $pipestatus"

echo "== here-documents"
name=world
$B cat <<END
hello $name $(echo nested) $((6 * 7))
END
$B tr a-z A-Z <<<"here string"

echo "== process substitution"
$B cat =(echo from a file)
$B cat <(echo from a pipe)

echo "== multios"
echo twice >one >two
$B cat one two

echo "== traps"
trap 'echo "caught USR1"' USR1
kill -USR1 $$
(trap 'echo "in subshell"; exit 4' TERM; $B sh -c 'kill -TERM $PPID'; $B sleep 1; echo not reached)
echo "status $?"

echo "== background jobs"
pids=()
for n in 1 2 3 4; do
	(exit $n) &
	pids+=($!)
done
for n in 1 2 3 4; do
	wait $pids[n]
	echo "job $n: status $?"
done
$B sh -c ': >ready; exec /bin/busybox sleep 100' &
until [ -e ready ]; do $B sleep 0.01; done
$B rm ready
kill $!
wait $! 2>/dev/null
echo "killed: $?"

echo "== globbing"
$B mkdir -p tree/a tree/b
$B touch tree/a/x.c tree/b/y.c tree/z.h
echo tree/**/*.c
echo tree/*(/)
echo tree/*(.)

echo "== functions"
factorial() {
	if (( $1 <= 1 )); then echo 1; else echo $(( $1 * $(factorial $(( $1 - 1 ))) )); fi
}
factorial 10
