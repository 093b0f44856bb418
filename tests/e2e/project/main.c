/* A static program on musl: the parts' numbers, threads, a child, memory, files, printing of floating point. */
#include "parts.h"
#include <errno.h>
#include <locale.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t moved = PTHREAD_COND_INITIALIZER;
static int turn, handled;

static void *take_turns(void *number)
{
	for (int round = 0; round < 50; round++) {
		pthread_mutex_lock(&lock);
		while (turn % 4 != (int)(long)number)
			pthread_cond_wait(&moved, &lock);
		turn++;
		pthread_cond_broadcast(&moved);
		pthread_mutex_unlock(&lock);
	}
	return number;
}

static void handle(int signal)
{
	handled = signal;
}

int main(int count, char **words)
{
	unsigned int sum = 0;
	for (int n = 0; n < 1000; n++)
		sum = sum * 31 + parts[n % (sizeof parts / sizeof *parts)](n);
	printf("parts %u, %d words, last \"%s\"\n", sum, count, words[count - 1]);

	pthread_t threads[4];
	for (long n = 0; n < 4; n++)
		if (pthread_create(&threads[n], 0, take_turns, (void *)n))
			return 1;
	long returned = 0;
	for (int n = 0; n < 4; n++) {
		void *result;
		pthread_join(threads[n], &result);
		returned += (long)result;
	}
	printf("turns %d, returned %ld\n", turn, returned);

	int *shared = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	fflush(stdout);
	pid_t child = fork();
	if (!child) {
		*shared = 77;
		_exit(9);
	}
	int status;
	waitpid(child, &status, 0);
	printf("child %d, shared %d\n", WEXITSTATUS(status), *shared);

	signal(SIGUSR1, handle);
	raise(SIGUSR1);
	printf("handled %d\n", handled == SIGUSR1);

	FILE *file = tmpfile();
	for (int n = 0; n < 10000; n++)
		fprintf(file, "%d\n", n);
	rewind(file);
	long total = 0;
	for (int n; fscanf(file, "%d", &n) == 1;)
		total += n;
	printf("file %ld\n", total);
	fclose(file);

	char *memory = 0;
	for (size_t size = 1; size < 1 << 22; size *= 2) {
		memory = realloc(memory, size);
		memset(memory + size / 2, (int)size, size - size / 2);
	}
	printf("memory %d\n", memory[(1 << 21) - 1]);
	free(memory);
	FILE *pipe = popen("echo from a shell", "r");
	char line[64];
	printf("popen %s", fgets(line, sizeof line, pipe));
	printf("status %d, float %.3f, %s\n", pclose(pipe), 1.0 / 3, strerror(ENOENT));
	struct timespec moment = {0, 1000000};
	printf("slept %d\n", nanosleep(&moment, 0));
	return 0;
}
