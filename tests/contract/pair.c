/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the connected pair of the contract suite (see contract.h). Must never sleep to wait for
 * something: it polls both ends until the condition holds.
 * Next in the flow: cases_put.c.
 */
#include "tests/contract/contract.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hv/base/clock.h"

uint64_t now_ns(void)
{
	return clock_mono_ns();
}

struct xport_addr subject_addr(const struct subject *s)
{
	static const uint8_t secret[XPORT_SECRET_SIZE] = "only the two of us know this one";
	struct xport_addr a = { .streams = s->streams };

	snprintf(a.host, sizeof(a.host), "%s", s->host);
	memcpy(a.token, "0123456789abcdef", XPORT_TOKEN_SIZE);
	a.secret = s->keyed ? secret : NULL;
	return a;
}

struct acceptor {
	pthread_t thread;
	const struct xport_ops *ops;
	struct xport_listener *l;
	uint64_t timeout_ns;
	struct xport *x;
	struct err e;
	int r;
};

static void *acceptor_main(void *arg)
{
	struct acceptor *a = arg;

	a->r = a->ops->accept(a->l, a->timeout_ns, &a->x, &a->e);
	return NULL;
}

struct acceptor *acceptor_start(
	const struct subject *s, struct xport_listener *l, uint64_t timeout_ns)
{
	struct acceptor *a = calloc(1, sizeof(*a));

	assert_non_null(a);
	a->ops = s->ops;
	a->l = l;
	a->timeout_ns = timeout_ns;
	assert_int_equal(pthread_create(&a->thread, NULL, acceptor_main, a), 0);
	return a;
}

int acceptor_join(struct acceptor *a, struct xport **out, struct err *e)
{
	int r;

	pthread_join(a->thread, NULL);
	r = a->r;
	*out = a->x;
	*e = a->e;
	free(a);
	return r;
}

/* Shared memory with holes, as guest memory is. */
static uint8_t *mem_new(size_t size)
{
	int fd = memfd_create("contract", MFD_CLOEXEC);
	void *p;

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	close(fd);
	return p;
}

void pair_connect(struct pair *p, const struct subject *s)
{
	struct xport_addr a = subject_addr(s);
	struct xport_listener *l;
	struct acceptor *acc;
	struct err e = { 0 };
	int r;

	memset(p, 0, sizeof(*p));
	p->src.ops = p->dst.ops = s->ops;
	if (s->ops->listen(&l, &a, &e))
		fail_msg("listen: %s", e.msg);
	acc = acceptor_start(s, l, LONG_NS);
	r = s->ops->connect(&p->src.x, &a, LONG_NS, &e);
	if (r)
		fail_msg("connect: %s", e.msg);
	if (acceptor_join(acc, &p->dst.x, &e))
		fail_msg("accept: %s", e.msg);
}

void pair_open(struct pair *p, const struct subject *s)
{
	static const size_t size[2] = { REGION0_SIZE, REGION1_SIZE };
	struct err e;

	pair_connect(p, s);
	for (uint32_t i = 0; i < 2; i++) {
		p->src.mem[i] = mem_new(size[i]);
		p->dst.mem[i] = mem_new(size[i]);
		assert_int_equal(s->ops->region_add(p->src.x, i, p->src.mem[i], size[i], &e), 0);
		assert_int_equal(s->ops->region_add(p->dst.x, i, p->dst.mem[i], size[i], &e), 0);
	}
}

static void end_close(struct end *e)
{
	e->ops->close(e->x);
	for (unsigned i = 0; i < e->msgs; i++)
		free(e->msg[i].data);
	free(e->msg);
	free(e->done_of);
	if (e->mem[0])
		munmap(e->mem[0], REGION0_SIZE);
	if (e->mem[1])
		munmap(e->mem[1], REGION1_SIZE);
}

void pair_close(struct pair *p)
{
	end_close(&p->src);
	end_close(&p->dst);
}

static void end_record_msg(struct end *e, const struct xport_event *ev)
{
	struct seen_msg *m;

	if (e->on_msg)
		e->on_msg(e, ev, e->arg);
	e->msg = realloc(e->msg, (e->msgs + 1) * sizeof(*e->msg));
	assert_non_null(e->msg);
	m = &e->msg[e->msgs++];
	*m = (struct seen_msg){ ev->msg_type, ev->len, malloc(ev->len + 1) };
	assert_non_null(m->data);
	if (ev->len)
		memcpy(m->data, ev->data, ev->len);
}

int end_poll(struct end *e, uint64_t timeout_ns)
{
	struct xport_event ev[8];
	struct err why;
	unsigned msgs = 0;
	int n;

	if (e->down)
		return 0;
	n = e->ops->poll(e->x, timeout_ns, ev, 8, &why);
	if (n < 0)
		fail_msg("poll: %s", why.msg);
	assert_true(n <= 8);
	for (int i = 0; i < n; i++) {
		assert_false(e->down); /* nothing comes after DOWN */
		if (ev[i].type == XPORT_EV_PUT_DONE) {
			e->done++;
			if (e->done_of) {
				assert_true(ev[i].cookie < e->done_max);
				e->done_of[ev[i].cookie]++;
			}
		} else if (ev[i].type == XPORT_EV_MSG) {
			assert_int_equal(++msgs, 1); /* one message a call */
			end_record_msg(e, &ev[i]);
		} else {
			assert_int_equal(ev[i].type, XPORT_EV_DOWN);
			assert_true(ev[i].err.code < 0 && ev[i].err.msg[0]);
			e->down = true;
			e->why = ev[i].err;
		}
	}
	return n;
}

void end_put(
	struct end *e, uint32_t region, uint64_t offset, uint32_t len, bool zero, uint64_t cookie)
{
	struct xport_put put = { region, offset, len, zero, cookie };
	struct err why = { 0 };
	int r = e->ops->put(e->x, &put, &why);

	if (r)
		fail_msg("put: %d %s", r, why.msg);
}

void end_msg(struct end *e, uint16_t type, const void *data, size_t len)
{
	struct err why = { 0 };

	if (e->ops->msg(e->x, type, data, len, &why))
		fail_msg("msg: %s", why.msg);
}

void pair_step(struct pair *p, uint64_t start_ns)
{
	end_poll(&p->src, 0);
	end_poll(&p->dst, 200 * NSEC_PER_USEC);
	if (now_ns() - start_ns > LONG_NS)
		fail_msg("nothing happened for too long; source: %s, target: %s",
			p->src.down ? p->src.why.msg : "up", p->dst.down ? p->dst.why.msg : "up");
}

uint64_t rng_next(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	*state = x;
	return x * 0x2545f4914f6cdd1dull;
}

uint64_t rng_seed(void)
{
	const char *given = getenv("CONTRACT_SEED");
	uint64_t seed = given ? strtoull(given, NULL, 0) : clock_real_ns();

	seed |= 1;
	print_message("seed: CONTRACT_SEED=0x%llx\n", (unsigned long long)seed);
	return seed;
}

void page_fill(uint8_t *page, uint64_t key)
{
	uint64_t s = key * 2 + 1;

	for (unsigned i = 0; i < PAGE; i += 8) {
		uint64_t v = rng_next(&s);

		memcpy(page + i, &v, 8);
	}
}

bool page_has(const uint8_t *page, uint64_t key)
{
	uint8_t want[PAGE];

	page_fill(want, key);
	return memcmp(page, want, PAGE) == 0;
}
