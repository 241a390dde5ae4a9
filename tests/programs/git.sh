# Run by sh: git init, add, commit, log, branch, merge, gc, clone of FILES files.
set -eu
dir=$(mktemp -d /tmp/git.XXXXXX)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
if [ "${SIZE:-}" = full ]; then files=1000; else files=200; fi
export HOME="$dir" GIT_CONFIG_NOSYSTEM=1 GIT_PAGER=cat
export GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.org GIT_AUTHOR_DATE='1700000000 +0000'
export GIT_COMMITTER_NAME=A GIT_COMMITTER_EMAIL=a@example.org GIT_COMMITTER_DATE='1700000000 +0000'

git init -q -b main repo
cd repo
i=0
while [ $i -lt "$files" ]; do
	mkdir -p "d$((i % 10))"
	echo "file $i" >"d$((i % 10))/f$i"
	i=$((i + 1))
done
git add .
git commit -q -m first
git log --stat --oneline | tail -n 1
git rev-parse HEAD
echo changed >d3/f3
git mv d4/f4 d4/moved
git status --short
git commit -q -am second
git checkout -q -b side HEAD~1
echo side >side
git add side
git commit -q -m side
git checkout -q main
git merge -q --no-edit side
git log --oneline --graph
git diff --stat HEAD~1 | tail -n 1
git gc -q
git count-objects
git fsck --full
git clone -q . ../clone
git -C ../clone ls-files | wc -l
git -C ../clone grep -c 'file 7$' -- d7 | head -n 1
git archive HEAD | tar t | wc -l
git blame -s d3/f3
