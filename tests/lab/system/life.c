/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the Debian system in the lab does while it moves, and what the world outside says of it:
 *
 *   life console           a numbered line every 100 ms, on stdout
 *   life disk FILE         numbered, checksummed blocks, each synced and read back past the cache
 *   life net ADDRESS PORT  a number every millisecond over one TCP connection
 *   life listen PORT FILE  the other end of that: every number once and in order; its gaps
 *
 * `disk` and `net` say a line a second on stdout. Must never try again what failed: the first error
 * is the finding, is printed with "FAILED" in the line, and ends the program.
 * `listen` writes FILE anew every second and at the end, "last N, gap MS" with the longest gap, and
 * adds a line to FILE.gaps for each of 5 ms or more: "SECONDS MS N", by this machine's uptime.
 * Next in the flow: tests/lab/debian-image puts it into the image, tests/lab/system.t reads it.
 */
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BLOCK       4096
#define BLOCKS      4096 /* 16 MiB of file, over and over */
#define NSEC        1000000000ull
#define LISTEN_MOST 65536
#define LISTEN_GAP  (NSEC / 200)

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NSEC + (uint64_t)t.tv_nsec;
}

static void sleep_until(uint64_t ns)
{
	struct timespec t = { .tv_sec = (time_t)(ns / NSEC), .tv_nsec = (long)(ns % NSEC) };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
		;
}

static _Noreturn __attribute__((format(printf, 1, 2))) void fail(const char *format, ...)
{
	va_list args;

	printf("life: FAILED: ");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
	exit(1);
}

/* ---- console ---- */

static void console(void)
{
	uint64_t next = now_ns();

	for (uint64_t n = 0;; n++) {
		/* When, on the clock of the kernel's log. */
		printf("life: line %llu at %.3f\n", (unsigned long long)n, (double)now_ns() / 1e9);
		fflush(stdout);
		next += NSEC / 10;
		/* After a pause it goes on in step, it does not catch up. */
		if (next < now_ns())
			next = now_ns();
		sleep_until(next);
	}
}

/* ---- disk ---- */

/* FNV-1a over all of a block but its own place. */
static uint64_t sum(const uint64_t *block)
{
	uint64_t h = 0xcbf29ce484222325ull;

	for (size_t i = 1; i < BLOCK / 8; i++)
		h = (h ^ block[i]) * 0x100000001b3ull;
	return h;
}

static void fill(uint64_t *block, uint64_t n)
{
	for (size_t i = 1; i < BLOCK / 8; i++)
		block[i] = (n << 10 | i) * 0x9e3779b97f4a7c15ull;
	block[1] = n;
	block[0] = sum(block);
}

static void check(int fd, uint64_t *block, uint64_t n)
{
	off_t at = (off_t)(n % BLOCKS) * BLOCK;

	if (pread(fd, block, BLOCK, at) != BLOCK)
		fail("block %llu cannot be read: %s", (unsigned long long)n, strerror(errno));
	if (block[1] != n || block[0] != sum(block))
		fail("block %llu is not what was written: it says %llu, its sum is %s",
			(unsigned long long)n, (unsigned long long)block[1],
			block[0] == sum(block) ? "right" : "wrong");
}

static void disk(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_DIRECT, 0600);
	uint64_t *block = aligned_alloc(BLOCK, BLOCK), said = now_ns();

	if (fd < 0 || !block)
		fail("%s: %s", path, strerror(errno));
	for (uint64_t n = 0;; n++) {
		fill(block, n);
		if (pwrite(fd, block, BLOCK, (off_t)(n % BLOCKS) * BLOCK) != BLOCK)
			fail("block %llu cannot be written: %s", (unsigned long long)n,
				strerror(errno));
		if (fsync(fd) < 0)
			fail("block %llu: fsync: %s", (unsigned long long)n, strerror(errno));
		check(fd, block, n);
		/* One of those before it, as far as they are not overwritten. */
		check(fd, block, n - (n * 2654435761u) % (n < BLOCKS ? n + 1 : BLOCKS));
		if (now_ns() - said > NSEC) {
			said = now_ns();
			printf("life: disk %llu\n", (unsigned long long)n);
			fflush(stdout);
		}
	}
}

/* ---- net ---- */

static void net(const char *address, const char *port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)) };
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	uint64_t next, said;

	if (fd < 0 || inet_pton(AF_INET, address, &to.sin_addr) != 1)
		fail("%s is no address", address);
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		fail("cannot connect to %s:%s: %s", address, port, strerror(errno));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	next = said = now_ns();
	for (uint64_t n = 0;; n++) {
		uint64_t word = htobe64(n);

		if (send(fd, &word, sizeof(word), MSG_NOSIGNAL) != sizeof(word))
			fail("number %llu: %s", (unsigned long long)n, strerror(errno));
		if (now_ns() - said > NSEC) {
			said = now_ns();
			printf("life: net %llu\n", (unsigned long long)n);
			fflush(stdout);
		}
		next += NSEC / 1000;
		if (next < now_ns())
			next = now_ns();
		sleep_until(next);
	}
}

/* ---- listen ---- */

struct heard {
	uint64_t next, last_ns, said_ns, gap_ns, gap_at;
	const char *path;
	FILE *gaps;
};

static void listen_say(struct heard *h, const char *end)
{
	char part[256];
	FILE *f;

	snprintf(part, sizeof(part), "%s.part", h->path);
	f = fopen(part, "w");
	if (!f)
		fail("%s: %s", part, strerror(errno));
	fprintf(f, "last %llu, gap %.1f ms at %llu%s\n", (unsigned long long)h->next,
		(double)h->gap_ns / 1e6, (unsigned long long)h->gap_at, end);
	fclose(f);
	rename(part, h->path);
	h->said_ns = now_ns();
}

static void listen_take(struct heard *h, const uint64_t *word, size_t n)
{
	uint64_t now = now_ns(), gap = h->last_ns ? now - h->last_ns : 0;

	if (gap > h->gap_ns) {
		h->gap_ns = gap;
		h->gap_at = h->next;
	}
	if (gap >= LISTEN_GAP) {
		fprintf(h->gaps, "%.3f %.1f %llu\n", (double)now / 1e9, (double)gap / 1e6,
			(unsigned long long)h->next);
		fflush(h->gaps);
	}
	h->last_ns = now;
	for (size_t i = 0; i < n; i++, h->next++) {
		if (be64toh(word[i]) == h->next)
			continue;
		listen_say(h, ", FAILED: another number came");
		fail("%llu came, %llu was due", (unsigned long long)be64toh(word[i]),
			(unsigned long long)h->next);
	}
	if (now - h->said_ns > NSEC)
		listen_say(h, "");
}

static void hear(const char *port, const char *path)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)) };
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1, c;
	struct heard h = { .path = path };
	static uint8_t buf[LISTEN_MOST];
	size_t have = 0;
	char gaps[256];
	ssize_t n;

	snprintf(gaps, sizeof(gaps), "%s.gaps", path);
	h.gaps = fopen(gaps, "w");
	if (!h.gaps)
		fail("%s: %s", gaps, strerror(errno));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, 1) < 0)
		fail("cannot listen on port %s: %s", port, strerror(errno));
	c = accept(fd, NULL, NULL);
	while ((n = read(c, buf + have, sizeof(buf) - have)) > 0) {
		have += (size_t)n;
		listen_take(&h, (const uint64_t *)(const void *)buf, have / 8);
		memmove(buf, buf + have / 8 * 8, have % 8);
		have %= 8;
	}
	listen_say(&h, n < 0 ? ", FAILED: the connection broke" : ", closed");
	if (n < 0)
		fail("the connection broke: %s", strerror(errno));
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "console") == 0)
		console();
	else if (argc == 3 && strcmp(argv[1], "disk") == 0)
		disk(argv[2]);
	else if (argc == 4 && strcmp(argv[1], "net") == 0)
		net(argv[2], argv[3]);
	else if (argc == 4 && strcmp(argv[1], "listen") == 0)
		hear(argv[2], argv[3]);
	else
		fail("usage: life console | disk FILE | net ADDRESS PORT | listen PORT FILE");
	return 0;
}
