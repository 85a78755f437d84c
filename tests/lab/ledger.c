/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ledger on a raw disk: it shows whether it ever had two writers, and whether anything that was
 * synced is lost.
 *
 *   ledger write DEVICE    in the guest: numbered blocks, each synced and read back, for ever
 *   ledger check FILE SEQ  outside: the last blocks are there without a gap, up to SEQ at least
 *
 * The disk is a ring of blocks. Each has its number, the run that wrote it (a run is one start of
 * the guest, however often it moves), the time, and the sum of the block before it: so two writers,
 * who differ in the time at least, break the chain. What `write` says on stdout ("ledger: RUN SEQ",
 * ten times a second at most) is synced.
 *
 * Must never try again what failed: the first error is the finding, said with "FAILED", and nothing
 * is written after it.
 * Next in the flow: tests/lab/ledger-init starts it in the guest, tests/lab/faults.sh judges.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BLOCK  4096
#define BLOCKS 4096u /* 16 MiB */
#define NSEC   1000000000ull
#define SAY_NS (NSEC / 10)
#define REST   2000000 /* ns between two blocks: the emulated host has other work, too */

struct entry {
	uint64_t sum; /* of all that follows */
	uint64_t seq, run, time_ns, before;
	uint64_t rest[BLOCK / 8 - 5];
};

struct ledger {
	int fd;
	uint64_t run, seq;     /* the last block's */
	uint64_t sums[BLOCKS]; /* by place: what was written there, or found */
	struct entry *e;
};

static uint64_t now_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * NSEC + (uint64_t)t.tv_nsec;
}

static _Noreturn __attribute__((format(printf, 1, 2))) void fail(const char *format, ...)
{
	va_list args;

	printf("ledger: FAILED: ");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
	exit(1);
}

/* FNV-1a, by words. */
static uint64_t entry_sum(const struct entry *e)
{
	const uint64_t *w = (const uint64_t *)e;
	uint64_t h = 0xcbf29ce484222325ull;

	for (size_t i = 1; i < BLOCK / 8; i++)
		h = (h ^ w[i]) * 0x100000001b3ull;
	return h;
}

static void entry_read(struct ledger *l, uint64_t place)
{
	ssize_t n = pread(l->fd, l->e, BLOCK, (off_t)(place * BLOCK));

	if (n != BLOCK)
		fail("place %llu cannot be read: %s", (unsigned long long)place,
			n < 0 ? strerror(errno) : "the disk ends there");
}

static bool entry_valid(const struct entry *e, uint64_t place)
{
	return e->seq && e->seq % BLOCKS == place && e->sum == entry_sum(e);
}

/* What the disk says, into @l. The chain: the block after the last may be anything, for it was
 * being written. */
static void ledger_scan(struct ledger *l)
{
	uint64_t seqs[BLOCKS] = { 0 }, before[BLOCKS] = { 0 }, runs[BLOCKS] = { 0 };

	l->seq = l->run = 0;
	for (uint64_t p = 0; p < BLOCKS; p++) {
		entry_read(l, p);
		l->sums[p] = 0;
		if (!entry_valid(l->e, p))
			continue;
		seqs[p] = l->e->seq;
		runs[p] = l->e->run;
		before[p] = l->e->before;
		l->sums[p] = l->e->sum;
		if (l->e->seq > l->seq) {
			l->seq = l->e->seq;
			l->run = l->e->run;
		}
	}
	/* BLOCKS - 1: the place after the last is not asked. */
	for (uint64_t n = 1; n < BLOCKS && n <= l->seq; n++) {
		uint64_t seq = l->seq - n + 1, p = seq % BLOCKS, q = (seq - 1) % BLOCKS;

		if (seqs[p] != seq)
			fail("block %llu is not there: its place has %llu; the last is %llu",
				(unsigned long long)seq, (unsigned long long)seqs[p],
				(unsigned long long)l->seq);
		/* The oldest one's forerunner is overwritten. */
		if (n == BLOCKS - 1 || seq == 1)
			continue;
		if (before[p] != l->sums[q] || runs[p] < runs[q])
			fail("block %llu of run %llu does not follow block %llu of run %llu: two have "
			     "written",
				(unsigned long long)seq, (unsigned long long)runs[p],
				(unsigned long long)(seq - 1), (unsigned long long)runs[q]);
	}
}

static void ledger_append(struct ledger *l)
{
	uint64_t seq = l->seq + 1, place = seq % BLOCKS, sum;
	struct entry *e = l->e;

	for (size_t i = 0; i < sizeof(e->rest) / 8; i++)
		e->rest[i] = (seq << 10 | i) * 0x9e3779b97f4a7c15ull;
	e->seq = seq;
	e->run = l->run;
	e->time_ns = now_ns(CLOCK_REALTIME);
	e->before = l->sums[l->seq % BLOCKS];
	e->sum = sum = entry_sum(e);
	if (pwrite(l->fd, e, BLOCK, (off_t)(place * BLOCK)) != BLOCK)
		fail("block %llu cannot be written: %s", (unsigned long long)seq, strerror(errno));
	if (fsync(l->fd) < 0)
		fail("block %llu: fsync: %s", (unsigned long long)seq, strerror(errno));
	l->sums[place] = sum;
	l->seq = seq;
}

/* The block at @place is still what it was. */
static void ledger_verify(struct ledger *l, uint64_t place)
{
	if (!l->sums[place])
		return;
	entry_read(l, place);
	if (l->e->sum != l->sums[place] || entry_sum(l->e) != l->sums[place])
		fail("place %llu is not what run %llu had there at block %llu: it has block %llu of run %llu, "
		     "its sum is %s",
			(unsigned long long)place, (unsigned long long)l->run,
			(unsigned long long)l->seq, (unsigned long long)l->e->seq,
			(unsigned long long)l->e->run,
			entry_sum(l->e) == l->e->sum ? "right" : "wrong");
}

static _Noreturn void ledger_write(struct ledger *l)
{
	const struct timespec rest = { .tv_nsec = REST };
	uint64_t said = 0;

	ledger_scan(l);
	l->run++;
	/* What an interrupted block left is nobody's. */
	l->sums[(l->seq + 1) % BLOCKS] = 0;
	printf("ledger: up, run %llu after block %llu\n", (unsigned long long)l->run,
		(unsigned long long)l->seq);
	for (;;) {
		ledger_append(l);
		ledger_verify(l, l->seq % BLOCKS);
		ledger_verify(l, l->seq * 2654435761u % BLOCKS);
		if (now_ns(CLOCK_MONOTONIC) - said >= SAY_NS) {
			said = now_ns(CLOCK_MONOTONIC);
			printf("ledger: %llu %llu\n", (unsigned long long)l->run,
				(unsigned long long)l->seq);
			fflush(stdout);
		}
		nanosleep(&rest, NULL);
	}
}

int main(int argc, char **argv)
{
	static struct ledger l;
	bool check = argc == 4 && !strcmp(argv[1], "check");

	if (!check && (argc != 3 || strcmp(argv[1], "write"))) {
		fprintf(stderr, "usage: ledger write DEVICE | ledger check FILE SEQ\n");
		return 2;
	}
	l.fd = open(argv[2], check ? O_RDONLY : O_RDWR | O_DIRECT);
	l.e = aligned_alloc(BLOCK, BLOCK);
	if (l.fd < 0 || !l.e)
		fail("%s: %s", argv[2], strerror(errno));
	if (!check)
		ledger_write(&l);
	ledger_scan(&l);
	if (l.seq < strtoull(argv[3], NULL, 10))
		fail("block %s was synced, and is lost: the last is %llu of run %llu", argv[3],
			(unsigned long long)l.seq, (unsigned long long)l.run);
	printf("ledger: whole to block %llu, run %llu\n", (unsigned long long)l.seq,
		(unsigned long long)l.run);
	return 0;
}
