# Run by bash-static: what a bash script does. The output is the same in every run.
set -u
B=/bin/busybox
dir=$($B mktemp -d /tmp/bash.XXXXXX) || exit 1
trap '$B rm -rf "$dir"; echo "exit trap"' EXIT
cd "$dir" || exit 1

echo "== loops of fork and exec"
for ((i = 0; i < 40; i++)); do
	$B true || echo "true failed"
done
echo "ran $i times"

echo "== arrays"
declare -A map=([one]=1 [two]=2)
list=(alpha beta gamma)
echo "${map[one]} ${map[two]} ${#list[@]} ${list[-1]}"
mapfile -t lines < <($B seq 1 5)
echo "${lines[*]}"

echo "== pipelines"
$B seq 1 1000 | $B grep 3 | $B wc -l
$B false | $B true | (exit 3)
echo "statuses ${PIPESTATUS[*]}"
set -o pipefail
$B false | $B true
echo "pipefail $?"
set +o pipefail

echo "== process substitution"
$B diff <($B seq 1 3) <($B seq 1 4)
$B cat <(echo from a pipe)

echo "== here-documents"
name=world
$B cat <<END
hello $name $(echo nested)
END
$B tr a-z A-Z <<<"here string"

echo "== coprocess"
coproc worker { while read -r line; do echo "got $line"; done; }
echo one >&"${worker[1]}"
read -r answer <&"${worker[0]}"
echo "$answer"
pid=$worker_PID
eval "exec ${worker[1]}>&-"
wait "$pid"

echo "== traps"
trap 'echo "caught USR1"' USR1
kill -USR1 $$
(trap 'echo "in subshell"; exit 4' TERM; kill -TERM $BASHPID; echo not reached)
echo "status $?"
trap 'echo "err trap"' ERR
$B false
trap - ERR

echo "== background jobs"
for n in 1 2 3 4; do
	(exit "$n") &
	pids[n]=$!
done
for n in 1 2 3 4; do
	wait "${pids[n]}"
	echo "job $n: status $?"
done
$B sh -c ': >ready; exec /bin/busybox sleep 100' &
until [ -e ready ]; do $B sleep 0.01; done
$B rm ready
kill $!
wait $! 2>/dev/null
echo "killed: $?"

echo "== strings"
text="The quick brown fox"
echo "${text#The } ${text%% *} ${text/quick/slow} ${#text} ${text^^}"
[[ $text =~ ([a-z]+)\ fox ]] && echo "${BASH_REMATCH[1]}"
printf '%05d %x %s\n' 42 255 "$(printf '%q' 'a b')"

echo "== files"
shopt -s nullglob
$B touch a.txt b.txt c.log
echo *.txt *.none
while IFS=: read -r user _ uid _; do
	[[ $uid == 0 ]] && echo "$user"
done </etc/passwd
exec {fd}<>scratch
echo written >&"$fd"
$B cat scratch
exec {fd}>&-
[[ -s scratch && ! -e none ]] && echo "tests"
