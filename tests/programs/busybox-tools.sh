# Run by busybox sh: find, tar, gzip, sha256sum, awk, sed, sort, xargs over real directories. The
# output depends only on the directories.
set -u
B=/bin/busybox
SOURCE=/usr/share/common-licenses
TREE=/usr/include/linux
dir=$($B mktemp -d /tmp/tools.XXXXXX) || exit 1
trap '$B rm -rf "$dir"' EXIT
cd "$dir" || exit 1
[ -d $TREE ] || TREE=/etc

echo "== find"
$B find $SOURCE -type f | $B sort
$B find $TREE -name '*.h' -type f | $B wc -l
$B find $SOURCE -type l | $B sort | $B head -n 5

echo "== sha256sum"
$B find $SOURCE -type f | $B sort | $B xargs $B sha256sum >sums
$B wc -l <sums
$B sha256sum -c sums | $B grep -c OK

echo "== tar and gzip"
$B mkdir tree
$B cp -r $SOURCE/. tree/
$B tar cf tree.tar tree
$B gzip -c tree.tar >tree.tar.gz
$B gzip -t tree.tar.gz && echo "gzip is whole"
$B mkdir out
$B tar xzf tree.tar.gz -C out
$B diff -r tree out/tree && echo "the same"
$B tar tf tree.tar | $B sort | $B head -n 5
$B gunzip -c tree.tar.gz | $B cmp - tree.tar && echo "gunzip is the same"
$B cat tree.tar.gz | $B zcat | $B wc -c | $B awk '{ print ($1 % 512 == 0) ? "blocks" : "odd" }'

echo "== awk"
$B cat $SOURCE/GPL-3 | $B awk '
	{ lines++; words += NF; for (i = 1; i <= NF; i++) count[tolower($i)]++ }
	END { print lines, words; for (w in count) if (count[w] > 100) print count[w], w }' |
	$B sort -rn

echo "== sed"
$B sed -n 's/GNU \([A-Z][a-z]*\)/<\1>/p' $SOURCE/GPL-3 | $B head -n 5
$B seq 1 10 | $B sed -e '2,4d' -e 's/^/line /' -e '$s/$/ end/'

echo "== sort"
$B tr -cs A-Za-z '\n' <$SOURCE/GPL-2 | $B tr A-Z a-z | $B sort | $B uniq -c | $B sort -k1,1nr -k2 |
	$B head -n 10
$B seq 1 5000 | $B sort -r | $B sort -n | $B sha256sum

echo "== xargs"
$B find $TREE -name '*.h' -type f | $B sort | $B head -n 200 | $B xargs -n 10 $B cat | $B sha256sum
$B seq 1 100 | $B xargs -n 7 $B echo | $B wc -l
$B seq 1 20 | $B xargs -n 1 -P 4 $B sh -c 'echo $0' | $B sort -n | $B tr '\n' ' '
echo

echo "== files"
$B dd if=/dev/zero of=zeros bs=4096 count=300 2>/dev/null
$B sha256sum zeros
$B mv zeros moved && $B ln moved hard && $B ln -s moved soft
$B ls | $B tr '\n' ' '
$B stat -c '%s %h %F' moved soft
$B rm -r tree out && $B ls | $B wc -l
