# Run by sh: a transaction of ROWS rows in WAL mode, a second connection, recovery, an index.
set -eu
dir=$(mktemp -d /tmp/sqlite.XXXXXX)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
if [ "${SIZE:-}" = full ]; then rows=50000; else rows=5000; fi
{
	echo 'PRAGMA journal_mode=WAL; CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, value REAL); BEGIN;'
	awk -v n=$rows 'BEGIN { for (i = 1; i <= n; i++)
		printf "INSERT INTO t VALUES (%d, \"row %d\", %f);\n", i, i, i / 7 }'
	echo 'COMMIT; SELECT count(*), sum(id), max(name) FROM t;'
} | sqlite3 base.db
sqlite3 base.db 'CREATE INDEX byname ON t (name); SELECT id FROM t WHERE name = "row 77";'
# Two writers at a time.
for writer in 1 2; do
	for i in 1 2 3 4 5 6 7 8 9 10; do
		echo "INSERT INTO t (name) VALUES ('writer $writer $i');"
	done | sqlite3 -cmd '.timeout 20000' base.db &
done
wait
sqlite3 base.db 'SELECT count(*) FROM t; PRAGMA integrity_check; PRAGMA wal_checkpoint(TRUNCATE);'
sqlite3 base.db 'UPDATE t SET value = value + 1 WHERE id % 2; DELETE FROM t WHERE id % 3 = 0; VACUUM;
	SELECT count(*), round(sum(value)) FROM t;'
sqlite3 base.db .dump | tail -n 2
sqlite3 base.db 'SELECT * FROM missing' 2>&1 || echo "status $?"
