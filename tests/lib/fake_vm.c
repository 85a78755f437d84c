/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the fake machine (see fake_vm.h). The guest writes a page and marks it under one lock, so
 * "written before the harvest" has an exact meaning for the tests.
 */
#include "tests/lib/fake_vm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "hv/base/section.h"

static uint64_t *fake_vm_page(struct fake_vm *v, uint64_t i)
{
	return (uint64_t *)(v->mem.regions[0].host + ((v->first_page + i) << GMEM_PAGE_SHIFT));
}

/*
 * The transport reads pages while the guest writes them, by design. As a real guest does, ours
 * writes through a mapping of its own, so ThreadSanitizer does not take the design for a bug.
 */
static void fake_vm_write(struct fake_vm *v, uint64_t i)
{
	uint64_t *p = (uint64_t *)(v->guest_view + ((v->first_page + i) << GMEM_PAGE_SHIFT));
	uint64_t n = ++v->version[i];

	p[0] = n;
	p[511] = n;
	if (v->tracking)
		bitmap_set(v->dirty.region[0].bits, v->first_page + i);
	v->writes++;
	pthread_cond_broadcast(&v->wake);
}

/* Lets the lock go; a throttled guest sleeps between two writes. */
static void fake_vm_rest(struct fake_vm *v)
{
	struct timespec t = { .tv_nsec = (1000 - v->share) * 1000l };

	pthread_mutex_unlock(&v->lock);
	if (t.tv_nsec)
		nanosleep(&t, NULL);
	pthread_mutex_lock(&v->lock);
}

static void *fake_vm_guest(void *arg)
{
	struct fake_vm *v = arg;
	uint64_t seed = 88172645463325252ull;

	pthread_mutex_lock(&v->lock);
	while (!v->quit) {
		if (!v->running) {
			pthread_cond_wait(&v->wake, &v->lock);
			continue;
		}
		seed ^= seed << 13;
		seed ^= seed >> 7;
		seed ^= seed << 17;
		fake_vm_write(v, seed % v->pages);
		/* somebody else's turn: a harvest must get the lock now and then */
		fake_vm_rest(v);
	}
	pthread_mutex_unlock(&v->lock);
	return NULL;
}

int fake_vm_init(struct fake_vm *v, uint64_t memory, uint64_t pages)
{
	memset(v, 0, sizeof(*v));
	pthread_mutex_init(&v->lock, NULL);
	pthread_cond_init(&v->wake, NULL);
	v->first_page = 256;
	v->share = v->share_least = 1000;
	v->pages = pages;
	v->version = calloc(pages, sizeof(*v->version));
	if (!v->version || gmem_init(&v->mem, memory, NULL) ||
		dirty_map_init(&v->dirty, &v->mem, NULL))
		return -ENOMEM;
	v->guest_view = mmap(
		NULL, v->mem.regions[0].size, PROT_READ | PROT_WRITE, MAP_SHARED, v->mem.fd, 0);
	if (v->guest_view == MAP_FAILED)
		return -ENOMEM;
	if (pthread_create(&v->guest, NULL, fake_vm_guest, v))
		return -EAGAIN;
	v->started = true;
	return 0;
}

void fake_vm_fini(struct fake_vm *v)
{
	pthread_mutex_lock(&v->lock);
	v->quit = true;
	pthread_cond_broadcast(&v->wake);
	pthread_mutex_unlock(&v->lock);
	if (v->started)
		pthread_join(v->guest, NULL);
	dirty_map_fini(&v->dirty);
	munmap(v->guest_view, v->mem.regions[0].size);
	gmem_fini(&v->mem);
	free(v->version);
	pthread_cond_destroy(&v->wake);
	pthread_mutex_destroy(&v->lock);
}

static void fake_vm_set_running(struct fake_vm *v, bool on)
{
	pthread_mutex_lock(&v->lock);
	v->running = on;
	pthread_cond_broadcast(&v->wake);
	pthread_mutex_unlock(&v->lock);
}

void fake_vm_run(struct fake_vm *v)
{
	fake_vm_set_running(v, true);
}

bool fake_vm_frozen(struct fake_vm *v)
{
	bool frozen;

	pthread_mutex_lock(&v->lock);
	frozen = !v->running;
	pthread_mutex_unlock(&v->lock);
	return frozen;
}

void fake_vm_wait_writes(struct fake_vm *v, uint64_t n)
{
	uint64_t until;

	pthread_mutex_lock(&v->lock);
	until = v->writes + n;
	while (v->writes < until)
		pthread_cond_wait(&v->wake, &v->lock);
	pthread_mutex_unlock(&v->lock);
}

uint64_t fake_vm_bad_pages(struct fake_vm *v)
{
	uint64_t bad = 0;

	pthread_mutex_lock(&v->lock);
	for (uint64_t i = 0; i < v->pages; i++) {
		const uint64_t *p = fake_vm_page(v, i);

		bad += p[0] != v->version[i] || p[511] != v->version[i];
	}
	pthread_mutex_unlock(&v->lock);
	return bad;
}

static int fake_vm_track_start(void *vm, struct err *e)
{
	struct fake_vm *v = vm;

	(void)e;
	pthread_mutex_lock(&v->lock);
	v->tracking = true;
	pthread_mutex_unlock(&v->lock);
	return 0;
}

static int fake_vm_track_harvest(void *vm, struct dirty_map *d, struct err *e)
{
	struct fake_vm *v = vm;

	if (v->cancel_at_harvest)
		__atomic_store_n(v->cancel_at_harvest, 1, __ATOMIC_RELEASE);
	if (v->fail_harvest)
		return err_set(e, -EIO, "the harvest failed");
	pthread_mutex_lock(&v->lock);
	if (v->greedy && v->running && v->share == 1000)
		bitmap_set_range(v->dirty.region[0].bits, v->first_page, v->pages);
	bitmap_or(d->region[0].bits, v->dirty.region[0].bits, d->region[0].pages);
	dirty_map_clear(&v->dirty);
	dirty_map_take_written(d, &v->mem);
	pthread_mutex_unlock(&v->lock);
	return 0;
}

static void fake_vm_track_stop(void *vm)
{
	struct fake_vm *v = vm;

	pthread_mutex_lock(&v->lock);
	v->tracking = false;
	v->track_stops++;
	pthread_mutex_unlock(&v->lock);
}

static uint64_t fake_vm_nudge(void *vm)
{
	struct fake_vm *v = vm;

	v->nudges++;
	return v->nudge_ns;
}

static int fake_vm_freeze(void *vm, struct err *e)
{
	struct fake_vm *v = vm;

	v->freezes++;
	fake_vm_set_running(v, false);
	pthread_mutex_lock(&v->lock);
	while (v->slow_freeze && !v->abandons)
		pthread_cond_wait(&v->wake, &v->lock);
	pthread_mutex_unlock(&v->lock);
	return v->fail_freeze ? err_set(e, -EIO, "vCPU 0 does not stop") : 0;
}

static void fake_vm_thaw(void *vm)
{
	struct fake_vm *v = vm;

	v->thaws++;
	fake_vm_run(v);
}

static void fake_vm_freeze_abandon(void *vm)
{
	struct fake_vm *v = vm;

	pthread_mutex_lock(&v->lock);
	v->abandons++;
	v->running = true;
	pthread_cond_broadcast(&v->wake);
	pthread_mutex_unlock(&v->lock);
}

static void fake_vm_wait_running(struct fake_vm *v)
{
	pthread_mutex_lock(&v->lock);
	while (!v->running)
		pthread_cond_wait(&v->wake, &v->lock);
	pthread_mutex_unlock(&v->lock);
}

static void fake_vm_throttle(void *vm, unsigned share)
{
	struct fake_vm *v = vm;

	pthread_mutex_lock(&v->lock);
	v->share = share;
	if (share < v->share_least)
		v->share_least = share;
	pthread_mutex_unlock(&v->lock);
}

static int fake_vm_save(void *vm, struct wbuf *w, struct err *e)
{
	struct fake_vm *v = vm;
	size_t at;

	if (v->fail_save)
		return err_set(e, -EIO, "the save failed");
	at = section_begin(w, "fake", 0, 1);
	for (uint64_t i = 0; i < v->pages; i++)
		wbuf_u64(w, v->version[i]);
	section_end(w, at);
	return 0;
}

static int fake_vm_load(void *vm, struct rbuf *r, uint64_t elapsed_ns, struct err *e)
{
	struct fake_vm *v = vm;
	struct section s;

	v->elapsed_ns = elapsed_ns;
	if (v->load_after)
		fake_vm_wait_running(v->load_after);
	if (v->fail_load)
		return err_set(e, -EPROTO, "this host lacks avx512f");
	if (section_next(r, &s, e) != 1 || section_version(&s, 1, e))
		return -EPROTO;
	pthread_mutex_lock(&v->lock);
	for (uint64_t i = 0; i < v->pages; i++)
		v->version[i] = rbuf_u64(&s.body);
	pthread_mutex_unlock(&v->lock);
	return section_done(&s, e);
}

const struct mig_vm_ops fake_vm_ops = {
	.track_start = fake_vm_track_start,
	.track_harvest = fake_vm_track_harvest,
	.track_stop = fake_vm_track_stop,
	.throttle = fake_vm_throttle,
	.nudge = fake_vm_nudge,
	.freeze = fake_vm_freeze,
	.thaw = fake_vm_thaw,
	.freeze_abandon = fake_vm_freeze_abandon,
	.save = fake_vm_save,
	.load = fake_vm_load,
};
