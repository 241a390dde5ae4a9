# Run by sh: redis-server, redis-cli and redis-benchmark on loopback and on a unix socket.
set -eu
dir=$(mktemp -d /tmp/redis.XXXXXX)
cd "$dir"
if [ "${SIZE:-}" = full ]; then requests=100000; else requests=5000; fi
# The package of the tools has the server too, by another name.
ln -s "$(command -v redis-check-rdb)" redis-server
./redis-server --port 6399 --bind 127.0.0.1 --unixsocket "$dir/socket" --dir "$dir" --save '' \
	--appendonly yes --daemonize no --logfile "$dir/log" &
server=$!
trap 'kill $server 2>/dev/null || true; wait; rm -rf "$dir"' EXIT
until [ "$(redis-cli -s socket ping 2>/dev/null)" = PONG ]; do
	if ! kill -0 $server; then
		echo "no server"
		cat log
		exit 1
	fi
	sleep 0.05
done
redis-cli -p 6399 set key value
redis-cli -s socket get key
i=0
while [ $i -lt 100 ]; do
	echo "rpush list $i"
	i=$((i + 1))
done | redis-cli -p 6399 | tail -n 1
redis-cli -p 6399 lrange list 97 99
redis-cli -p 6399 eval 'return redis.call("llen", KEYS[1])' 1 list
for where in '-p 6399' '-s socket'; do
	# shellcheck disable=SC2086
	redis-benchmark $where -q -c 20 -P 4 -n $requests -t set,get,lpush 2>&1 | tr '\r' '\n' |
		grep -c 'requests per second'
done
redis-cli -s socket bgrewriteaof
redis-cli -p 6399 dbsize
redis-cli -s socket shutdown nosave || true
wait $server
echo "server: status $?"
grep -c 'ready to exit' log
