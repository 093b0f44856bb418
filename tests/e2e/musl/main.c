/* What a program of a musl distribution does: it is linked with musl's shared library, and started by its loader. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <locale.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <regex.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

/* The plugin calls back. */
int ask_program(int n) { return 2 * n; }

static void loader(void)
{
	char line[512], loaders = 0;
	FILE *maps = fopen("/proc/self/maps", "r");
	while (maps && fgets(line, sizeof line, maps))
		if (strstr(line, "ld-musl") || strstr(line, "x86_64-linux-musl/libc.so")) loaders = 1;
	if (maps) fclose(maps);
	/* Where the tree is entered on the host, nothing is mounted on /proc. */
	printf("loader: %s\n", !maps || loaders ? "musl" : "another one");
	Dl_info info;
	printf("printf is in %s\n", dladdr((void *)printf, &info) ? strrchr(info.dli_fname, '/') : dlerror());
}

static void plugin(void)
{
	void *it = dlopen("./libplugin.so", RTLD_NOW);
	if (!it) { puts(dlerror()); return; }
	int (*add)(int) = (int (*)(int))dlsym(it, "plugin_add");
	int (*own)(void) = (int (*)(void))dlsym(it, "plugin_own");
	int *counter = dlsym(it, "shared_counter");
	int first = add(1), second = add(2), ours = own() + own();
	printf("plugin: %d %d %d %d\n", first, second, *counter, ours);
	printf("absent: %d, no file: %d\n", dlsym(it, "absent") == NULL, dlopen("./absent.so", RTLD_NOW) == NULL);
	printf("closed: %d\n", dlclose(it));
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static sem_t places;
static _Thread_local int own;
static int total, turn, inits, kept;

static void init(void) { inits++; }
static void forget(void *value) { __atomic_add_fetch(&kept, *(int *)value, __ATOMIC_SEQ_CST); free(value); }

static void *work(void *argument)
{
	int nth = (int)(size_t)argument;
	pthread_once(&once, init);
	int *value = malloc(sizeof *value);
	*value = nth;
	pthread_setspecific(key, value);
	pthread_barrier_wait(&barrier);
	for (int i = 0; i < 500; i++) {
		sem_wait(&places);
		pthread_mutex_lock(&mutex);
		total++, own++;
		pthread_mutex_unlock(&mutex);
		sem_post(&places);
		free(malloc(1 + (i * 977 + nth) % 20000));
	}
	pthread_mutex_lock(&mutex);
	while (turn != nth) pthread_cond_wait(&changed, &mutex);
	turn++;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&mutex);
	return (void *)(size_t)own;
}

static void *wait_for_ever(void *argument) { for (;;) pause(); return argument; }

static void threads(void)
{
	pthread_t them[8];
	pthread_barrier_init(&barrier, NULL, 8);
	pthread_key_create(&key, forget);
	sem_init(&places, 0, 3);
	for (size_t i = 0; i < 8; i++) pthread_create(&them[i], NULL, work, (void *)i);
	size_t sum = 0;
	for (int i = 0; i < 8; i++) { void *said; pthread_join(them[i], &said); sum += (size_t)said; }
	printf("threads: %d %zu, in turn %d, once %d, keys %d, own %d\n", total, sum, turn, inits, kept, own);
	struct timespec soon;
	clock_gettime(CLOCK_REALTIME, &soon);
	soon.tv_nsec += 1000000;
	if (soon.tv_nsec >= 1000000000) soon.tv_sec++, soon.tv_nsec -= 1000000000;
	pthread_mutex_lock(&mutex);
	int waited = pthread_cond_timedwait(&changed, &mutex, &soon);
	pthread_mutex_unlock(&mutex);
	pthread_t one;
	void *said;
	pthread_create(&one, NULL, wait_for_ever, NULL);
	pthread_cancel(one);
	pthread_join(one, &said);
	printf("timed wait: %s, cancelled: %d\n", strerror(waited), said == PTHREAD_CANCELED);
}

static sigjmp_buf out;
static volatile sig_atomic_t seen, value, on_other_stack;
static char other_stack[16384];

static void note(int number, siginfo_t *info, void *context)
{
	char here;
	seen = number, value = info->si_value.sival_int;
	on_other_stack = &here > other_stack && &here < other_stack + sizeof other_stack;
	(void)context;
}

static void jump(int number) { siglongjmp(out, number); }

static void signals(void)
{
	stack_t stack = { .ss_sp = other_stack, .ss_size = sizeof other_stack };
	sigaltstack(&stack, NULL);
	struct sigaction action = { .sa_sigaction = note, .sa_flags = SA_SIGINFO | SA_ONSTACK };
	sigaction(SIGUSR1, &action, NULL);
	sigset_t set;
	sigemptyset(&set), sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	sigqueue(getpid(), SIGUSR1, (union sigval){ .sival_int = 77 });
	printf("blocked: %d\n", seen == 0);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	printf("queued: %d, on the other stack %d\n", seen == SIGUSR1 ? value : -1, on_other_stack);
	struct sigaction back = { .sa_handler = jump };
	sigaction(SIGSEGV, &back, NULL), sigaction(SIGFPE, &back, NULL), sigaction(SIGALRM, &back, NULL);
	int why = sigsetjmp(out, 1);
	volatile int zero = 0;
	char *volatile nowhere = NULL;
	if (why == 0) *nowhere = 1;
	if (why == SIGSEGV) printf("segv, "), zero = 7 / zero;
	if (why == SIGFPE) { printf("fpe, "), ualarm(1000, 0); for (;;) ; }
	printf("alarm: %d\n", why == SIGALRM);
	timer_t timer;
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 99 };
	struct itimerspec time = { .it_value.tv_nsec = 1000000 };
	seen = 0;
	sigprocmask(SIG_BLOCK, &set, NULL);
	timer_create(CLOCK_MONOTONIC, &event, &timer), timer_settime(timer, 0, &time, NULL);
	siginfo_t info;
	int came = sigwaitinfo(&set, &info);
	printf("timer: %d %d\n", came == SIGUSR1, info.si_value.sival_int);
	timer_delete(timer);
}

static void memory(void)
{
	char *kept[64] = { 0 };
	unsigned sum = 0;
	for (int i = 0; i < 20000; i++) {
		int at = i * 7919 % 64, size = 1 + i * 104729 % (i % 50 ? 3000 : 400000);
		kept[at] = realloc(kept[at], size);
		kept[at][size - 1] = at;
		sum += kept[at][size - 1];
	}
	for (int i = 0; i < 64; i++) free(kept[i]);
	void *aligned = aligned_alloc(4096, 8192);
	printf("malloc: %u %d\n", sum, (size_t)aligned % 4096 == 0);
	free(aligned);
	int *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (fork() == 0) _exit(++*shared);
	int status;
	wait(&status);
	printf("shared: %d %d\n", *shared, WEXITSTATUS(status));
}

static void processes(void)
{
	pid_t pid;
	int status;
	char *words[] = { "sh", "-c", "echo spawned $0 $FROM; exit 3", "one", NULL };
	setenv("FROM", "musl", 1);
	fflush(stdout);
	posix_spawn(&pid, "/bin/sh", NULL, NULL, words, environ);
	waitpid(pid, &status, 0);
	FILE *pipe = popen("echo from a pipe; exit 4", "r");
	char line[64];
	printf("spawned %d, %s", WEXITSTATUS(status), fgets(line, sizeof line, pipe));
	printf("closed %d, ", WEXITSTATUS(pclose(pipe)));
	printf("system %d\n", WEXITSTATUS(system("exit 6")));
	int ends[2];
	socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
	if (fork() == 0) { dprintf(ends[1], "through a socket\n"); _exit(0); }
	struct pollfd one = { .fd = ends[0], .events = POLLIN };
	int ready = poll(&one, 1, 60000);
	line[read(ends[0], line, sizeof line - 1)] = 0;
	printf("%d %s", ready, line);
	while (wait(NULL) > 0) ;
}

static int by_size(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

static void library(void)
{
	printf("%5.2f|%-6s|%+d|%x|%e|%a|%lld|%s\n", M_PI, "left", 7, 255u, 12345.678, 0.1, 1LL << 40, strerror(ENOENT));
	char text[64];
	double half;
	int count = 0, numbers[100];
	sscanf("0.5 times 42", "%lf times %d", &half, &count);
	printf("scanned %g %d, %.17g\n", half, count, strtod("0x1.8p3", NULL) + sqrt(2));
	for (int i = 0; i < 100; i++) numbers[i] = i * 61 % 100;
	qsort(numbers, 100, sizeof *numbers, by_size);
	printf("sorted %d %d %d\n", numbers[0], numbers[50], numbers[99]);
	regex_t regex;
	regmatch_t match[2];
	regcomp(&regex, "([0-9]+)-x", REG_EXTENDED);
	int matched = regexec(&regex, "ab 123-x", 2, match, 0);
	printf("regex %d %d\n", matched, (int)match[1].rm_so);
	regfree(&regex);
	struct tm when;
	time_t then = 1000000000;
	strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", gmtime_r(&then, &when));
	printf("%s, %s, %s\n", text, setlocale(LC_ALL, "C.UTF-8") ? "utf-8" : "no locale", getpwuid(0)->pw_name);
	FILE *file = tmpfile();
	fprintf(file, "line %d\n", 1);
	rewind(file);
	printf("file: %s", fgets(text, sizeof text, file));
	fclose(file);
	glob_t found;
	int globbed = glob("/etc/pass*d", 0, NULL, &found);
	printf("glob %d %s\n", globbed, found.gl_pathv[0]);
	globfree(&found);
	errno = 0;
	int opened = open("/no/such/file", O_RDONLY);
	printf("open %d %s\n", opened, strerror(errno));
	mkdtemp(strcpy(text, "/tmp/musl-XXXXXX"));
	struct stat stat_of;
	int known = stat(text, &stat_of);
	printf("folder %d %o, removed %d\n", known, stat_of.st_mode & 0777, rmdir(text));
}

static void at_end(void) { puts("at exit"); }

int main(int count, char **words)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("%d words, last %s\n", count, words[count - 1]);
	atexit(at_end);
	loader();
	plugin();
	library();
	memory();
	threads();
	signals();
	processes();
	return 9;
}
