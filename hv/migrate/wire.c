/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the bytes of a move's messages (see wire.h). Knows nothing of when they are sent.
 * Next in the flow: source.c.
 */
#include "hv/migrate/wire.h"

#include <errno.h>
#include <string.h>

const char *wire_type_name(unsigned type)
{
	static const char *const names[] = {
		[WIRE_READY] = "READY",
		[WIRE_ROUND] = "ROUND",
		[WIRE_ROUND_ACK] = "ROUND_ACK",
		[WIRE_STATE] = "STATE",
		[WIRE_LOADED] = "LOADED",
		[WIRE_COMMIT] = "COMMIT",
		[WIRE_THAWED] = "THAWED",
		[WIRE_ABORT] = "ABORT",
		[WIRE_EXTENTS] = "EXTENTS",
	};

	return type >= 1 && type < sizeof(names) / sizeof(names[0]) ? names[type] : "?";
}

void wire_encode(const struct wire_msg *m, struct wbuf *w)
{
	switch (m->type) {
	case WIRE_READY:
		wbuf_u64(w, m->save_ns);
		wbuf_u64(w, m->load_ns);
		wbuf_u64(w, m->state_bytes);
		break;
	case WIRE_ROUND:
	case WIRE_ROUND_ACK: wbuf_u64(w, m->round); break;
	case WIRE_STATE:
		wbuf_u64(w, m->clock_real_ns);
		wbuf_u64(w, (uint64_t)m->clock_offset_ns);
		wbuf_bytes(w, m->uuid, sizeof(m->uuid));
		wbuf_u64(w, m->epoch);
		break;
	case WIRE_LOADED: wbuf_u64(w, m->load_ns); break;
	case WIRE_COMMIT: wbuf_u64(w, m->epoch); break;
	case WIRE_THAWED:
	case WIRE_EXTENTS: break;
	case WIRE_ABORT: wbuf_str(w, m->text); break;
	}
}

static void wire_read_uuid(struct rbuf *r, uint8_t uuid[UUID_SIZE])
{
	const void *p = rbuf_bytes(r, UUID_SIZE);

	if (p)
		memcpy(uuid, p, UUID_SIZE);
}

int wire_decode(struct wire_msg *m, unsigned type, const void *data, size_t len, struct err *e)
{
	struct rbuf r = rbuf_of(data, len);

	memset(m, 0, sizeof(*m));
	m->type = (enum wire_type)type;
	switch (type) {
	case WIRE_READY:
		m->save_ns = rbuf_u64(&r);
		m->load_ns = rbuf_u64(&r);
		m->state_bytes = rbuf_u64(&r);
		break;
	case WIRE_ROUND:
	case WIRE_ROUND_ACK: m->round = rbuf_u64(&r); break;
	case WIRE_STATE:
		m->clock_real_ns = rbuf_u64(&r);
		m->clock_offset_ns = (int64_t)rbuf_u64(&r);
		wire_read_uuid(&r, m->uuid);
		m->epoch = rbuf_u64(&r);
		m->state = r;
		if (!r.failed)
			r.p = r.end;
		break;
	case WIRE_EXTENTS: /* extents_decode() checks it against guest memory */
		m->state = r;
		r.p = r.end;
		break;
	case WIRE_LOADED: m->load_ns = rbuf_u64(&r); break;
	case WIRE_COMMIT: m->epoch = rbuf_u64(&r); break;
	case WIRE_THAWED: break;
	case WIRE_ABORT: rbuf_str(&r, m->text, sizeof(m->text)); break;
	default: return err_set(e, -EPROTO, "the peer sent an unknown message (type %u)", type);
	}
	if (!rbuf_done(&r))
		return err_set(
			e, -EPROTO, "the peer sent a malformed %s message", wire_type_name(type));
	return 0;
}
