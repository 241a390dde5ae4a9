# Run by bash: COUNT rounds of fork+exec, a pipeline, a here-document, a trap, a background job and
# a command substitution. The output is the same in every run.
set -u
if [[ ${SIZE:-} == full ]]; then count=300; else count=20; fi
sum=0 caught=0
trap 'caught=$((caught + 1))' USR1
for ((i = 1; i <= count; i++)); do
	/bin/true || echo "round $i: true failed"
	words=$(echo "$i $((i * 2)) $((i * 3))" | tr ' ' '\n' | sort -n | tail -n 1)
	[[ $words == $((i * 3)) ]] || echo "round $i: pipeline gave $words"
	text=$(cat <<-END
		round $i
	END
	)
	[[ $text == "round $i" ]] || echo "round $i: here-document gave $text"
	kill -USR1 $$
	(exit $((i % 256))) &
	wait $!
	status=$?
	[[ $status == $((i % 256)) ]] || echo "round $i: background job ended with $status"
	sum=$((sum + $(expr "$i" + 1)))
done
echo "$sum $caught"
