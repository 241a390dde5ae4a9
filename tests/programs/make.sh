# Run by sh: make -j2 of a small C project, again with nothing to do, and after a change.
set -eu
unset MAKEFLAGS MAKELEVEL MFLAGS # of whoever runs this test
dir=$(mktemp -d /tmp/make.XXXXXX)
trap 'rm -rf "$dir"' EXIT
cd "$dir"

for i in 1 2 3 4 5 6 7 8; do
	cat >part$i.c <<-END
		#include <stdio.h>
		#include "parts.h"
		int part$i(int n) { return printf("part $i: %d\n", n * $i); }
	END
	echo "int part$i(int n);"
done >parts.h
{
	echo '#include "parts.h"'
	echo 'int main(void) {'
	for i in 1 2 3 4 5 6 7 8; do echo "part$i(10);"; done
	echo 'return 0; }'
} >main.c
cat >Makefile <<'END'
OBJS := main.o $(patsubst %,part%.o,1 2 3 4 5 6 7 8)
CFLAGS := -O2 -MMD
program: libparts.a main.o
	@$(CC) main.o -L. -lparts -o $@ && echo linked
libparts.a: $(filter part%,$(OBJS))
	@$(AR) rcs $@ $^ && echo archived
%.o: %.c
	@$(CC) $(CFLAGS) -c $< -o $@ && echo compiled >>log
clean:
	rm -f $(OBJS) program libparts.a
broken:
	@exit 3
-include $(OBJS:.o=.d)
.PHONY: clean broken
END
make -j2 && ./program
wc -l <log
make -j2 -q && echo "nothing to do"
touch -d '1 minute ago' -- *
touch part3.c
make -j2 && wc -l <log
make -j2 broken 2>/dev/null || echo "make: status $?"
make clean && ls | wc -l
