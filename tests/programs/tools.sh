# Run by sh: tar, find, grep -r, xz and sort over a tree and a big file of its own.
set -eu
dir=$(mktemp -d /tmp/tools.XXXXXX)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
# The text that is sorted: 200 MB of it, or 10.
if [ "${SIZE:-}" = full ]; then lines=3000000 dirs=100; else lines=150000 dirs=10; fi

i=0
while [ $i -lt $dirs ]; do
	mkdir -p tree/d$i/sub
	for j in 0 1 2 3 4 5 6 7 8 9; do echo "$i $j needle$(((i + j) % 5))" >tree/d$i/f$j; done
	ln -s ../f1 tree/d$i/sub/link
	ln tree/d$i/f2 tree/d$i/sub/hard
	i=$((i + 1))
done
find tree -type f | wc -l
find tree -type l -name 'l*' -exec readlink {} + | sort -u
find tree -links 2 -type f -name f2 | wc -l
touch -d '1 hour ago' tree/d0/f0
find tree -name 'f[0-3]' -newer tree/d0/f0 -o -empty | wc -l
grep -r needle3 tree | wc -l
grep -rl '^1 ' tree | sort | head -n 3
grep -rc nothing tree | grep -vc ':0$' || echo "none"
tar cf tree.tar tree
tar tf tree.tar | wc -l
mkdir out && tar xf tree.tar -C out && diff -r tree out/tree && echo "the same"
tar czf - tree | tar tzf - | grep -c hard
du -s --inodes tree | cut -f1
cp -a tree copy && find copy -links 2 -type f | wc -l
chmod -R a-w copy && chmod -R u+w copy && rm -r copy

awk -v n=$lines 'BEGIN { s = 42; for (i = 0; i < n; i++) { s = (s * 16807) % 2147483647
	printf "%010d the line with the number %d of a file that is to be sorted\n", s, i } }' >big
wc -c <big
sort -S 40M -T . big >sorted
sort -c sorted && head -n 2 sorted && tail -n 1 sorted
sort -n -k7,7 --parallel=2 sorted | cmp - big && echo "sorted back"
xz -T2 -1 -k big && xz -t big.xz && xz -dc -T2 big.xz | cmp - big && echo "xz is whole"
mkdir big.d && ln big sorted big.d/ && tar cf big.tar big.d && tar xOf big.tar big.d/sorted | cmp - sorted &&
	echo "tar is whole"
grep -rc 'number 7*7 of' big.d | sort
find . -size +4096k -links 2 | sort
rm -r big.d big.tar big.xz
split -n 4 big piece. && cat piece.* | cmp - big && rm piece.*
wc -l big
sed -n '1000p' big
uniq sorted | wc -l
dd if=big of=copied bs=64k status=none && cmp big copied
truncate -s 1000 copied && wc -c <copied
