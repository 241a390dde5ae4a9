# Run by sh: compile with gcc -O2, link, run; errors and warnings; a shared library.
set -eu
dir=$(mktemp -d /tmp/gcc.XXXXXX)
trap 'rm -rf "$dir"' EXIT
cd "$dir"

cat >main.c <<'END'
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int library_answer(void);

static int compare(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

static void *run(void *arg)
{
	double sum = 0;

	for (int i = 1; i < 100000; i++)
		sum += sqrt(i);
	*(double *)arg = sum;
	return NULL;
}

int main(int argc, char **argv)
{
	int values[100];
	unsigned int seed = 42;
	pthread_t thread;
	double sum;

	for (int i = 0; i < 100; i++)
		values[i] = (int)((seed = seed * 1103515245 + 12345) >> 8) & 0xffff;
	qsort(values, 100, sizeof(values[0]), compare);
	pthread_create(&thread, NULL, run, &sum);
	pthread_join(thread, NULL);
	printf("%d %d %.3f %d %s\n", values[0], values[99], sum, library_answer(), argv[argc - 1]);
	return argc;
}
END
cat >library.c <<'END'
int library_answer(void)
{
	return 42;
}
END
gcc -O2 -Wall -fPIC -shared library.c -o liblibrary.so
gcc -O2 -Wall -g main.c -L. -llibrary -Wl,-rpath,"$PWD" -lm -pthread -o main
status=0
./main one two || status=$?
echo "status $status"
gcc -O2 -pipe -static main.c library.c -lm -pthread -o static
./static || echo "status $?"
gcc -O2 -S library.c && grep -c 'movl.*42' library.s
echo 'int main(void) { return undefined; }' >broken.c
gcc broken.c 2>errors || echo "gcc: status $?"
grep -c error: errors
nm main | grep -c ' T main'
objdump -d main | grep -c '<main>:'
