# Run by busybox sh: loops of fork and exec, pipelines, here-documents, traps, background jobs,
# command substitution. The output is the same in every run.
set -u
PATH=/usr/local/bin:/usr/bin:/bin
B=/bin/busybox
dir=$($B mktemp -d /tmp/sh.XXXXXX) || exit 1
trap '$B rm -rf "$dir"; echo "exit trap"' EXIT
cd "$dir" || exit 1

echo "== loops of fork and exec"
i=0
while [ $i -lt 40 ]; do
	$B true || echo "true failed"
	$B false && echo "false succeeded"
	i=$((i + 1))
done
echo "ran $i times"
for word in one two three; do
	$B echo "word $word"
done

echo "== exit statuses"
$B sh -c 'exit 7'
echo "status $?"
$B sh -c 'kill -TERM $$' 2>/dev/null
echo "status $?"
$dir/missing 2>/dev/null
echo "status $?"
: >plain
./plain 2>/dev/null
echo "status $?"
(exit 3) || echo "subshell $?"

echo "== pipelines"
$B seq 1 1000 | $B grep 7 | $B wc -l
$B seq 1 200 | while read -r n; do echo $((n * n)); done | $B tail -n 1
$B yes | $B head -n 5 | $B tr y n | $B tr -d '\n'
echo
echo abc | $B cat | $B cat | $B cat | $B rev
! $B false | $B false && echo "negated"

echo "== here-documents"
name=world
$B cat <<END
hello $name $(echo nested) $((6 * 7))
END
$B cat <<'END'
hello $name $(not run)
END
$B cat <<-END | $B sort
	cherry
	apple
	banana
END

echo "== redirections"
echo first >out
echo second >>out
$B cat <out
{ echo to stdout; echo to stderr >&2; } 2>err >both
$B cat err both
exec 5>fifth
echo five >&5
exec 5>&-
$B cat fifth
$B wc -c <out

echo "== command substitution"
x=$(echo a; echo b)
echo "$x"
echo "nested: $(echo $(echo $(echo deep)))"
echo "count: $($B ls / | $B grep -c '^etc$')"
y=`$B basename /usr/lib/libx.so .so`
echo "$y"

echo "== traps"
$B sh -c 'trap "echo caught TERM" TERM; kill -TERM $$; echo after'
$B sh -c 'trap "" INT; kill -INT $$; echo ignored'
$B sh -c 'trap "echo caught USR1; exit 5" USR1; kill -USR1 $$; echo not reached'
echo "status $?"

echo "== background jobs"
for n in 1 2 3 4; do
	(echo "job $n" >"job.$n"; exit "$n") &
	eval "pid$n=\$!"
done
for n in 1 2 3 4; do
	eval "wait \$pid$n"
	echo "job $n: status $?"
done
$B cat job.1 job.2 job.3 job.4
$B sh -c ': >ready; exec /bin/busybox sleep 100' &
until [ -e ready ]; do $B sleep 0.01; done
$B rm ready
kill $!
wait $! 2>/dev/null
echo "killed: $?"

echo "== functions and recursion"
factorial() {
	if [ "$1" -le 1 ]; then echo 1; else echo $(($1 * $(factorial $(($1 - 1))))); fi
}
factorial 10

echo "== test and case"
[ -d "$dir" ] && [ -f out ] && [ ! -e nothing ] && [ -s out ] && echo "files"
case abc.txt in *.c) echo c ;; *.txt) echo txt ;; esac
set -- a "b c" d
echo "$# $2"
echo *
