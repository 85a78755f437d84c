/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the ring of a disk and the way of a request through it: checked, handed to the kernel,
 * continued where it was done in part, ended. Must never hand out done() for a request the kernel
 * still has, nor let an offset outside the image reach the kernel.
 *
 * ALIGNMENT. With O_DIRECT, memory that is not aligned is copied through a buffer, piece by piece;
 * an offset or length that is not goes through the page cache by a second descriptor, which the
 * kernel keeps coherent with direct I/O of the same file on the same host.
 * ZEROES. What a filesystem cannot do is answered by the next best: punch, zero, write.
 * Next in the flow: virtio_blk_queue.c posts the guest's requests.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "hv/base/clock.h"
#include "hv/dev/block_internal.h"

#define RING_CLOSE_MS 5000

/* Ways to make a range read as zero, best first. */
enum ring_zero { RING_PUNCH, RING_ZERO_RANGE, RING_WRITE_ZEROES };

static const uint8_t ring_zeroes[64 << 10] __attribute__((aligned(4096)));

static void list_add(struct block_list *l, struct block_io *io)
{
	io->next = NULL;
	*l->last = io;
	l->last = &io->next;
}

static struct block_io *list_take(struct block_list *l)
{
	struct block_io *io = l->first;

	if (io) {
		l->first = io->next;
		if (!l->first)
			l->last = &l->first;
	}
	return io;
}

int block_ring_open(struct block *b, struct err *e)
{
	int r;

	b->waiting.last = &b->waiting.first;
	b->ended.last = &b->ended.first;
	b->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (b->event_fd < 0)
		return err_errno(e, "disk '%s': cannot make an event descriptor", b->name);
	r = io_uring_queue_init(BLOCK_RING, &b->ring, 0);
	if (r == -EPERM || r == -ENOSYS)
		return err_set(e, r,
			"disk '%s': this host does not allow io_uring, which disks need: see "
			"/proc/sys/kernel/io_uring_disabled (0 allows it), or the container's seccomp "
			"profile",
			b->name);
	if (r)
		return err_set(e, r, "disk '%s': cannot make an io_uring: %s", b->name,
			strerrordesc_np(-r));
	b->have_ring = true;
	r = io_uring_register_eventfd(&b->ring, b->event_fd);
	return r ? err_set(e, r, "disk '%s': cannot watch its io_uring: %s", b->name,
			   strerrordesc_np(-r))
		 : 0;
}

int block_event_fd(const struct block *b)
{
	return b->event_fd;
}

static void ring_wake(struct block *b)
{
	uint64_t one = 1;

	(void)!write(b->event_fd, &one, sizeof(one));
}

static void ring_wait(struct block *b, uint64_t until_ns)
{
	struct pollfd p = { .fd = b->event_fd, .events = POLLIN };
	uint64_t now = clock_mono_ns();

	if (now < until_ns)
		poll(&p, 1, (int)((until_ns - now) / NSEC_PER_MSEC) + 1);
}

bool block_ring_close(struct block *b)
{
	uint64_t until = clock_mono_ns() + RING_CLOSE_MS * NSEC_PER_MSEC, count;
	struct io_uring_cqe *cqe;

	while (b->have_ring && b->in_kernel && clock_mono_ns() < until) {
		ring_wait(b, until);
		(void)!read(b->event_fd, &count, sizeof(count));
		while (io_uring_peek_cqe(&b->ring, &cqe) == 0) {
			struct block_io *io = io_uring_cqe_get_data(cqe);

			free(io->bounce);
			io_uring_cqe_seen(&b->ring, cqe);
			b->in_kernel--;
		}
	}
	if (b->in_kernel)
		return false;
	if (b->have_ring)
		io_uring_queue_exit(&b->ring);
	b->have_ring = false;
	if (b->event_fd >= 0)
		close(b->event_fd);
	return true;
}

/* ---- a request's memory ---- */

static void iov_advance(struct block_io *io, size_t n)
{
	while (n && io->niov) {
		size_t k = n < io->iov->iov_len ? n : io->iov->iov_len;

		io->iov->iov_base = (uint8_t *)io->iov->iov_base + k;
		io->iov->iov_len -= k;
		n -= k;
		if (io->iov->iov_len == 0) {
			io->iov++;
			io->niov--;
		}
	}
}

/* Copies between @buf and the first @n bytes of what is left of the request's memory. */
static void iov_copy(const struct block_io *io, uint8_t *buf, size_t n, bool from_iov)
{
	for (unsigned i = 0; n && i < io->niov; i++) {
		size_t k = n < io->iov[i].iov_len ? n : io->iov[i].iov_len;

		if (from_iov)
			memcpy(buf, io->iov[i].iov_base, k);
		else
			memcpy(io->iov[i].iov_base, buf, k);
		buf += k;
		n -= k;
	}
}

static bool iov_aligned(const struct block *b, const struct block_io *io)
{
	for (unsigned i = 0; i < io->niov; i++) {
		if ((uintptr_t)io->iov[i].iov_base % b->align_mem ||
			io->iov[i].iov_len % b->align_off)
			return false;
	}
	return true;
}

/* ---- writing behind: a private request, of a kind that block_post() would refuse ---- */

#define RING_BEHIND BLOCK_OPS

static void behind_done(struct block_io *io, int result)
{
	struct block *b = io->arg;

	(void)result; /* a request that the host may ignore */
	b->behind_busy = false;
}

/* @len more bytes are in the host's page cache only. */
static void behind_wrote(struct block *b, uint64_t len)
{
	b->behind_bytes += b->direct ? 0 : len;
	if (b->behind_bytes < BLOCK_BEHIND || b->behind_busy)
		return;
	b->behind_bytes = 0;
	b->behind_busy = true;
	b->behind = (struct block_io){ .op = RING_BEHIND, .done = behind_done, .arg = b };
	b->busy++;
	list_add(&b->waiting, &b->behind);
}

/* ---- to the kernel ---- */

static int ring_prep_rw(struct block *b, struct io_uring_sqe *sqe, struct block_io *io)
{
	uint64_t off = io->off + io->at, left = io->len - io->at;
	struct iovec *iov = io->iov;
	unsigned niov = io->niov;
	int fd = b->fd;

	if (off % b->align_off || left % b->align_off) {
		fd = b->fd_buffered;
	} else if (b->direct && !iov_aligned(b, io)) {
		io->part.iov_len = left < BLOCK_BOUNCE ? left : BLOCK_BOUNCE;
		if (!io->bounce && posix_memalign(&io->bounce, b->align_mem, io->part.iov_len))
			return -ENOMEM;
		io->part.iov_base = io->bounce;
		if (io->op == BLOCK_WRITE)
			iov_copy(io, io->bounce, io->part.iov_len, true);
		iov = &io->part;
		niov = 1;
	}
	if (io->op == BLOCK_READ)
		io_uring_prep_readv(sqe, fd, iov, niov, off);
	else
		io_uring_prep_writev(sqe, fd, iov, niov, off);
	return 0;
}

/* A piece of zeroes after the other. */
static void ring_prep_zeroes(struct block *b, struct io_uring_sqe *sqe, struct block_io *io)
{
	uint64_t off = io->off + io->at, left = io->len - io->at;
	size_t n = left < sizeof(ring_zeroes) ? left : sizeof(ring_zeroes);
	bool odd = off % b->align_off || n % b->align_off;

	io_uring_prep_write(sqe, odd ? b->fd_buffered : b->fd, ring_zeroes, (unsigned)n, off);
}

static int ring_prep(struct block *b, struct io_uring_sqe *sqe, struct block_io *io)
{
	int mode = FALLOC_FL_KEEP_SIZE;

	switch (io->op) {
	case BLOCK_READ:
	case BLOCK_WRITE: return ring_prep_rw(b, sqe, io);
	case BLOCK_FLUSH: io_uring_prep_fsync(sqe, b->fd, IORING_FSYNC_DATASYNC); return 0;
	case RING_BEHIND:
		/* The pieces before this one first, so that no more than two are under way. */
		io_uring_prep_sync_file_range(
			sqe, b->fd, 0, 0, SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE);
		return 0;
	default: break;
	}
	if (io->step == RING_WRITE_ZEROES) {
		ring_prep_zeroes(b, sqe, io);
		return 0;
	}
	mode |= io->step == RING_PUNCH ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE;
	io_uring_prep_fallocate(sqe, b->fd, mode, (off_t)io->off, (off_t)io->len);
	return 0;
}

static void ring_end(struct block *b, struct block_io *io, int result)
{
	io->result = result;
	list_add(&b->ended, io);
	ring_wake(b);
}

void block_submit(struct block *b)
{
	while (b->waiting.first && b->in_kernel < BLOCK_RING) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&b->ring);
		struct block_io *io;
		int r;

		if (!sqe)
			break; /* the submission below makes room */
		io = list_take(&b->waiting);
		r = ring_prep(b, sqe, io);
		if (r) {
			/* An entry once taken must be filled; this one says nothing. */
			ring_end(b, io, r);
			io_uring_prep_nop(sqe);
			io = NULL;
		}
		io_uring_sqe_set_data(sqe, io);
		b->in_kernel++;
	}
	/* Entries that the kernel has no memory for now stay in the ring: try again soon. */
	if (io_uring_sq_ready(&b->ring) && io_uring_submit(&b->ring) < 0)
		ring_wake(b);
}

/* ---- and back ---- */

static bool io_changes(const struct block_io *io)
{
	return io->op == BLOCK_WRITE || io->op == BLOCK_DISCARD || io->op == BLOCK_ZERO;
}

static int io_check(const struct block *b, const struct block_io *io)
{
	if (io->op >= BLOCK_OPS)
		return -EINVAL;
	if (io->op == BLOCK_FLUSH)
		return 0;
	if (io->off % b->sector || io->len % b->sector || io->off > b->size ||
		io->len > b->size - io->off)
		return -EINVAL;
	if (io_changes(io) && b->readonly)
		return -EROFS;
	if ((io->op == BLOCK_READ || io->op == BLOCK_WRITE) && io->len &&
		(io->niov == 0 || io->niov > BLOCK_IOV_MAX))
		return -EINVAL;
	return 0;
}

void block_post(struct block *b, struct block_io *io)
{
	int r = io_check(b, io);

	b->busy++;
	io->at = io->op == BLOCK_FLUSH ? b->written : 0;
	io->step = io->op == BLOCK_ZERO && !io->unmap ? RING_ZERO_RANGE : RING_PUNCH;
	io->bounce = NULL;
	if (r || (io->op != BLOCK_FLUSH && io->len == 0))
		ring_end(b, io, r);
	else
		list_add(&b->waiting, io);
}

static void ring_done(struct block *b, struct block_io *io, int result)
{
	free(io->bounce);
	io->bounce = NULL;
	b->busy--;
	/* Also when it failed: some of it may have been done. */
	if (io_changes(io))
		b->written++;
	if (io->op == BLOCK_WRITE)
		behind_wrote(b, io->len);
	if (io->op == BLOCK_FLUSH && result == 0 && io->at > b->flushed)
		b->flushed = io->at;
	io->done(io, result);
}

/* @n more bytes are done. False: it goes on. */
static bool ring_advance(struct block_io *io, size_t n)
{
	if (io->op == BLOCK_READ && io->bounce && io->part.iov_base)
		iov_copy(io, io->bounce, n, false);
	if (io->op != BLOCK_ZERO)
		iov_advance(io, n);
	io->part.iov_base = NULL;
	io->at += n;
	return io->at >= io->len;
}

/* What the kernel said of a step of @io: 1 and the result, or 0: there is another step. */
static int ring_step(struct block_io *io, int res, int *result)
{
	bool moves = io->op == BLOCK_READ || io->op == BLOCK_WRITE ||
		     (io->op == BLOCK_ZERO && io->step == RING_WRITE_ZEROES);

	*result = res < 0 ? res : 0;
	if (res == -EAGAIN || res == -EINTR)
		return 0;
	if (res == -EOPNOTSUPP && io->op == BLOCK_DISCARD) {
		*result = 0; /* a hint that this host has no use for */
		return 1;
	}
	if (res == -EOPNOTSUPP && io->op == BLOCK_ZERO && io->step < RING_WRITE_ZEROES) {
		io->step++;
		return 0;
	}
	if (res < 0 || !moves)
		return 1;
	if (res == 0) {
		*result = -EIO; /* somebody cut the image shorter, or took the device away */
		return 1;
	}
	return ring_advance(io, (size_t)res);
}

static void ring_take(struct block *b, struct block_io *io, int res)
{
	int fault, result;

	b->in_kernel--;
	if (!io)
		return;
	fault = b->fault && io->op != RING_BEHIND ? b->fault(b->fault_arg, io) : 0;
	if (ring_step(io, fault ? fault : res, &result))
		ring_done(b, io, result);
	else
		list_add(&b->waiting, io);
}

void block_reap(struct block *b)
{
	struct io_uring_cqe *cqe;
	struct block_io *io;
	uint64_t count;

	/* Before looking: what ends after this makes it readable again. */
	(void)!read(b->event_fd, &count, sizeof(count));
	while (io_uring_peek_cqe(&b->ring, &cqe) == 0) {
		int res = cqe->res;

		io = io_uring_cqe_get_data(cqe);
		io_uring_cqe_seen(&b->ring, cqe);
		ring_take(b, io, res);
	}
	while ((io = list_take(&b->ended)))
		ring_done(b, io, io->result);
	block_submit(b);
}

unsigned block_busy(const struct block *b)
{
	return b->busy;
}

bool block_unflushed(const struct block *b)
{
	return b->written != b->flushed;
}

static void drain_done(struct block_io *io, int result)
{
	struct block *b = io->arg;

	b->drain_result = result;
}

static int drain_wait(struct block *b, uint64_t until, int timeout_ms, struct err *e)
{
	block_submit(b);
	while (block_busy(b)) {
		if (clock_mono_ns() >= until)
			return err_set(e, -ETIMEDOUT,
				"disk '%s': %u requests to %s have not ended within %.1f s; is its storage "
				"reachable?",
				b->name, block_busy(b), b->path, timeout_ms / 1e3);
		ring_wait(b, until);
		block_reap(b);
	}
	return 0;
}

int block_drain(struct block *b, int timeout_ms, struct err *e)
{
	uint64_t until = clock_mono_ns() + (uint64_t)timeout_ms * NSEC_PER_MSEC;
	int r = drain_wait(b, until, timeout_ms, e);

	if (r || !block_unflushed(b))
		return r;
	b->drain = (struct block_io){ .op = BLOCK_FLUSH, .done = drain_done, .arg = b };
	block_post(b, &b->drain);
	r = drain_wait(b, until, timeout_ms, e);
	if (r == 0 && b->drain_result)
		r = err_set(e, b->drain_result,
			"disk '%s': what the guest wrote does not reach %s: %s", b->name, b->path,
			strerrordesc_np(-b->drain_result));
	return r;
}
