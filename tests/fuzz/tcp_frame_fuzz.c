/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes the whole receiving side of the TCP engine: the bytes of the input are what a peer sends,
 * on up to four streams, to a target (or a source) whose regions lie between guard pages. Nothing
 * may crash, write outside a region, or allocate beyond what was sent.
 *
 *   byte 0: streams - 1 in bits 0-1, role in bit 2, "repair headers" in bit 3, the io_uring engine
 *           (if the host has it) instead of plain sockets in bit 4
 *   then chunks: u8 stream | u8 length | bytes
 *
 * With "repair headers" a chunk is turned into a well-formed header of the fields it holds, so that
 * the paths behind the decoder are reached without the fuzzer guessing magic and sequence.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "transport-tcp/conn.h"
#include "transport-tcp/uring.h"
#include "transport-tcp/xtcp.h"

#define FUZZ_STREAMS 4
#define FUZZ_REGION  (512u << 10)

static uint8_t *fuzz_region(void)
{
	uint8_t *p = mmap(NULL, FUZZ_REGION + 8192, PROT_NONE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED || mprotect(p + 4096, FUZZ_REGION, PROT_READ | PROT_WRITE))
		abort();
	return p + 4096;
}

struct fuzz_rig {
	struct xport *x;
	int peer[FUZZ_STREAMS];
	unsigned streams;
	uint64_t seq[FUZZ_STREAMS];
	uint64_t sent;
	int down;
};

static void fuzz_open(
	struct fuzz_rig *r, uint8_t flags, const struct xtcp_engine *engine, uint8_t *region)
{
	unsigned streams = 1 + flags % FUZZ_STREAMS;
	bool is_target = !(flags & 4);
	int fds[FUZZ_STREAMS];
	struct err e;

	*r = (struct fuzz_rig){ .streams = streams };
	for (unsigned i = 0; i < streams; i++) {
		int sv[2];

		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv))
			abort();
		fds[i] = sv[0];
		r->peer[i] = sv[1];
	}
	if (xtcp_adopt(&r->x, fds, streams, is_target, engine, &e) ||
		xtcp_sock_ops.region_add(r->x, 0, region, FUZZ_REGION, &e))
		abort();
}

static void fuzz_poll(struct fuzz_rig *r)
{
	struct xport_event ev[2];
	struct err e;

	for (int rounds = 0; rounds < 4 && !r->down; rounds++) {
		int n = xtcp_sock_ops.poll(r->x, 0, ev, 2, &e);

		if (n < 0)
			abort(); /* a peer cannot make poll() misuse */
		for (int i = 0; i < n; i++) {
			if (ev[i].type == XPORT_EV_DOWN)
				r->down = 1;
			if (ev[i].type == XPORT_EV_DOWN && ev[i].err.code >= 0)
				abort();
			if (ev[i].type == XPORT_EV_PUT_DONE)
				abort(); /* nothing was put */
			/* Touches every byte of a message, for the sanitizer. */
			for (size_t k = 0; ev[i].type == XPORT_EV_MSG && k < ev[i].len; k++)
				r->sent += ev[i].data[k] == 0xa5 ? 0 : 0 * ev[i].data[k];
		}
		if (r->x->inbox.mem.cap > (64u << 10) && r->x->inbox.mem.cap > 2 * r->sent)
			abort(); /* memory was taken for what never came */
	}
}

/* Makes a well-formed header out of eight bytes: kind, region, page, pages, length. */
static void fuzz_repair(struct fuzz_rig *r, unsigned stream, const uint8_t *b, uint8_t *out)
{
	struct xtcp_frame f = { .type = (uint8_t)(1 + b[0] % 4) };

	if (f.type == XTCP_FRAME_PUT || f.type == XTCP_FRAME_ZERO) {
		f.region = b[1] & 1;
		f.offset = (b[2] + 256ull * (b[3] & 1)) * 4096;
		f.length = b[4] * 4096u;
	} else {
		f.seq = ++r->seq[stream] + (b[5] == 0xff);
		f.length = f.type == XTCP_FRAME_MSG ? (uint32_t)(b[6] << (b[7] % 24)) : 0;
		f.msg_type = f.type == XTCP_FRAME_MSG ? b[1] : 0;
	}
	xtcp_frame_encode(&f, out);
}

static void fuzz_send(struct fuzz_rig *r, unsigned stream, const void *p, size_t n)
{
	ssize_t sent = send(r->peer[stream], p, n, MSG_NOSIGNAL);

	if (sent > 0)
		r->sent += (uint64_t)sent;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t *region;
	static bool have_uring;
	struct fuzz_rig r;
	size_t at = 1;

	if (size < 1)
		return 0;
	if (!region) {
		struct xport_probe pr;

		region = fuzz_region();
		xtcp_uring_ops.probe(NULL, &pr);
		have_uring = pr.usable;
	}
	fuzz_open(&r, data[0], data[0] & 16 && have_uring ? &xuring_engine : &xtcp_sock_engine,
		region);
	while (at + 2 <= size && !r.down) {
		unsigned stream = data[at] % r.streams;
		size_t n = data[at + 1];
		uint8_t header[XTCP_FRAME_SIZE];

		/* High bit of the stream byte: this chunk is payload even when headers are
		 * repaired. */
		bool repair = (data[0] & 8) && !(data[at] & 0x80);

		at += 2;
		if (n > size - at)
			n = size - at;
		if (repair && n >= 8) {
			fuzz_repair(&r, stream, data + at, header);
			fuzz_send(&r, stream, header, sizeof(header));
			n = 8;
		} else {
			fuzz_send(&r, stream, data + at, n);
		}
		at += n;
		fuzz_poll(&r);
	}
	for (unsigned i = 0; i < r.streams; i++)
		close(r.peer[i]);
	fuzz_poll(&r);
	xtcp_sock_ops.close(r.x);
	return 0;
}
