/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns what meet.h offers. Must never connect to anybody.
 * Next in the flow: transport-tcp/connect.c, transport-rdma/connect.c.
 */
#include "hv/migrate/xport/meet.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "hv/base/clock.h"
#include "hv/migrate/xport/seal.h"

#define HOUR_MS 3600000ull

const char *xport_addr_format(const struct xport_addr *a, char *buf, size_t n)
{
	snprintf(buf, n, strchr(a->host, ':') ? "[%s]:%u" : "%s:%u", a->host, a->port);
	return buf;
}

int xport_addr_check(const struct xport_addr *a, struct err *e)
{
	if (a->host[0] == '\0' || strnlen(a->host, sizeof(a->host)) == sizeof(a->host))
		return err_set(e, -EINVAL, "the host of the data connection is empty or too long");
	if (a->streams < 1 || a->streams > XPORT_STREAMS_MAX)
		return err_set(e, -EINVAL, "%u streams: 1 to %u are possible", a->streams,
			XPORT_STREAMS_MAX);
	return 0;
}

int xport_addr_resolve(
	const struct xport_addr *a, bool passive, struct addrinfo **out, struct err *e)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICSERV | (passive ? AI_PASSIVE : 0) };
	char port[8];
	int r;

	snprintf(port, sizeof(port), "%u", a->port);
	r = getaddrinfo(a->host, port, &hints, out);
	if (r)
		return err_set(e, r == EAI_MEMORY ? -ENOMEM : -EHOSTUNREACH,
			"cannot find the address of %s: %s", a->host, gai_strerror(r));
	return 0;
}

int xport_prove(const struct xport_addr *a, const char *purpose, const uint8_t *nonce,
	unsigned stream, uint8_t out[XPORT_PROOF_SIZE])
{
	uint8_t about[XPORT_NONCE_SIZE + 4] = { 0 };

	_Static_assert(XPORT_PROOF_SIZE == SEAL_PROOF_SIZE, "a proof is one of seal.h");
	if (nonce)
		memcpy(about, nonce, XPORT_NONCE_SIZE);
	about[XPORT_NONCE_SIZE] = (uint8_t)stream;
	about[XPORT_NONCE_SIZE + 1] = (uint8_t)(stream >> 8);
	about[XPORT_NONCE_SIZE + 2] = (uint8_t)a->streams;
	about[XPORT_NONCE_SIZE + 3] = (uint8_t)(a->streams >> 8);
	return seal_proof(a->token, sizeof(a->token), purpose, about, sizeof(about), out);
}

bool xport_proof_equal(const uint8_t a[XPORT_PROOF_SIZE], const uint8_t b[XPORT_PROOF_SIZE])
{
	volatile uint8_t diff = 0;

	for (unsigned i = 0; i < XPORT_PROOF_SIZE; i++)
		diff = (uint8_t)(diff | (a[i] ^ b[i]));
	return diff == 0;
}

uint64_t xport_deadline(uint64_t timeout_ns)
{
	uint64_t now = clock_mono_ns();

	return timeout_ns > UINT64_MAX - now ? UINT64_MAX : now + timeout_ns;
}

int xport_ms_left(uint64_t deadline_ns)
{
	uint64_t now = clock_mono_ns(), ms;

	if (now >= deadline_ns)
		return 0;
	ms = (deadline_ns - now - 1) / NSEC_PER_MSEC + 1;
	return (int)(ms < HOUR_MS ? ms : HOUR_MS);
}
