/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the lab's guest does while it is moved: one thread counts aloud on the console every 20 ms,
 * and a thread bound to each CPU rewrites memory and checks what it wrote before.
 * Never reads input: its console may be a file. It ends when the word at the address it prints is
 * not 0 any more (tests/lab/poke), or after the seconds it is given.
 * Invariant: the numbers of the ticks have no gap, so whoever reads the console sees a lost or a
 * doubled moment.
 * Next in the flow: tests/lab/stamp notes when each line arrives, tests/lab/judge compares.
 *
 *   tick CONSOLE SECONDS
 *   -> stop GUEST_PHYSICAL_ADDRESS                                at the beginning
 *      t NUMBER MONOTONIC_US                                       every 20 ms
 *      work NUMBER PAGES_BY_CPU0 [PAGES_BY_CPU1...]                every 10 ticks
 *      real NUMBER REALTIME_MINUS_MONOTONIC_US                     every 50 ticks
 *      ticks COUNT errors PAGES_FOUND_WRONG                        at the end
 * Short, because each character is an exit of the guest, and dear in an emulator.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define TICK_NS    20000000l
#define WORK_EVERY 10
#define REAL_EVERY 50
#define MAX_CPUS   64
#define WORDS      512 /* of 8 bytes: a page */
#define PAGES      512 /* a worker's memory: 2 MiB */
#define STEP       64  /* pages rewritten before it rests */
#define REST_NS    5000000l

struct worker {
	pthread_t thread;
	int cpu;
	uint64_t (*memory)[WORDS];
	uint64_t version[PAGES]; /* what the worker wrote last, kept apart from where it wrote */
	uint64_t work, errors;   /* read by the ticking thread: relaxed atomics */
};

/* A page of its own, where the host leaves word. */
static volatile uint64_t stop[WORDS] __attribute__((aligned(4096)));

/* The guest-physical address of stop[]; 0 if it cannot be known. */
static uint64_t stop_address(void)
{
	uint64_t entry = 0;
	int fd = open("/proc/self/pagemap", O_RDONLY);

	stop[0] = 0;
	if (fd < 0 || mlock((const void *)stop, sizeof(stop)) < 0 ||
		pread(fd, &entry, sizeof(entry), (off_t)((uintptr_t)stop / 4096 * 8)) !=
			sizeof(entry))
		return 0;
	close(fd);
	return (entry & ((1ull << 55) - 1)) * 4096;
}

static uint64_t now_us(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* The two clocks are read one after the other, and on a busy host this program may have to wait in
 * between: of some readings, the one with the shortest time around it counts. */
static uint64_t real_minus_mono_us(void)
{
	uint64_t best = UINT64_MAX, diff = 0;

	for (int i = 0; i < 8; i++) {
		uint64_t before = now_us(CLOCK_MONOTONIC);
		uint64_t real = now_us(CLOCK_REALTIME);
		uint64_t around = now_us(CLOCK_MONOTONIC) - before;

		if (around < best) {
			best = around;
			diff = real - before;
		}
	}
	return diff;
}

static uint64_t word_of(uint64_t page, uint64_t version, uint64_t word)
{
	uint64_t x = (page << 40 ^ version << 12 ^ word) + 0x9e3779b97f4a7c15ull;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	return x ^ x >> 31;
}

/* Checks the page's old content and writes the next. */
static void rewrite(struct worker *w, uint64_t page)
{
	uint64_t *words = w->memory[page], version = w->version[page];
	uint64_t wrong = 0;

	for (uint64_t i = 0; i < WORDS; i++) {
		if (version > 0)
			wrong |= words[i] ^ word_of(page, version, i);
		words[i] = word_of(page, version + 1, i);
	}
	w->version[page]++;
	if (wrong)
		__atomic_fetch_add(&w->errors, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&w->work, 1, __ATOMIC_RELAXED);
}

static void *work(void *arg)
{
	struct worker *w = arg;
	const struct timespec rest = { .tv_nsec = REST_NS };
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(w->cpu, &set);
	pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
	for (uint64_t page = 0;; page = (page + 1) % PAGES) {
		rewrite(w, page);
		if (page % STEP == STEP - 1)
			nanosleep(&rest, NULL);
	}
	return NULL;
}

static void tick(FILE *out, uint64_t n, const struct worker *workers, int cpus)
{
	fprintf(out, "t %lu %lu\n", (unsigned long)n, (unsigned long)now_us(CLOCK_MONOTONIC));
	if (n % WORK_EVERY == 0) {
		fprintf(out, "work %lu", (unsigned long)n);
		for (int i = 0; i < cpus; i++)
			fprintf(out, " %lu",
				(unsigned long)__atomic_load_n(&workers[i].work, __ATOMIC_RELAXED));
		fputc('\n', out);
	}
	if (n % REAL_EVERY == 0)
		fprintf(out, "real %lu %lu\n", (unsigned long)n,
			(unsigned long)real_minus_mono_us());
	fflush(out);
	/* Else a console that is slower than this fills the line's buffer, and every line would
	 * reach the other end as much later as that takes to empty. */
	tcdrain(fileno(out));
}

int main(int argc, char **argv)
{
	static struct worker workers[MAX_CPUS];
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t n = 0, errors = 0;
	struct timespec next;
	FILE *out;

	if (argc != 3 || !(out = fopen(argv[1], "w"))) {
		fprintf(stderr, "usage: tick CONSOLE SECONDS\n");
		return 2;
	}
	cpus = cpus < 1 ? 1 : cpus > MAX_CPUS ? MAX_CPUS : cpus;
	for (int i = 0; i < cpus; i++) {
		workers[i].cpu = i;
		workers[i].memory = calloc(PAGES, sizeof(*workers[i].memory));
		if (!workers[i].memory ||
			pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0) {
			fprintf(out, "tick: cannot start worker %d\n", i);
			return 1;
		}
	}

	uint64_t end = now_us(CLOCK_MONOTONIC) + strtoull(argv[2], NULL, 10) * 1000000;
	fprintf(out, "stop %#lx\n", (unsigned long)stop_address());
	clock_gettime(CLOCK_MONOTONIC, &next);
	while (!stop[0] && now_us(CLOCK_MONOTONIC) < end) {
		tick(out, n++, workers, (int)cpus);
		next.tv_nsec += TICK_NS;
		if (next.tv_nsec >= 1000000000l) {
			next.tv_nsec -= 1000000000l;
			next.tv_sec++;
		}
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
	}
	for (int i = 0; i < cpus; i++)
		errors += __atomic_load_n(&workers[i].errors, __ATOMIC_RELAXED);
	fprintf(out, "ticks %lu errors %lu\n", (unsigned long)n, (unsigned long)errors);
	fflush(out);
	return 0;
}
