/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes on an encrypted stream end it, at the latest at the first record that is not whole;
 * none of them gets into guest memory.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "transport-tcp/keyed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t secret[SEAL_SECRET_SIZE] = "thirty-two bytes of a good secre";
	static _Alignas(4096) uint8_t memory[64 << 10];
	static uint8_t zero[sizeof(memory)];
	struct xport_event ev;
	struct xport *x;
	int fd[2], n;

	if (size > 60000 || socketpair(AF_UNIX, SOCK_STREAM, 0, fd) ||
		xtcp_adopt_keyed(&x, fd, 1, true, secret, false, NULL))
		return 0;
	if (xtcp_conn_region_add(x, 0, memory, sizeof(memory), NULL) ||
		send(fd[1], data, size, MSG_DONTWAIT) != (ssize_t)size)
		abort();
	shutdown(fd[1], SHUT_WR);
	while ((n = xtcp_conn_poll(x, 0, &ev, 1, NULL)) == 0)
		;
	if (n != 1 || ev.type != XPORT_EV_DOWN || memcmp(memory, zero, sizeof(zero)) != 0)
		abort();
	xtcp_conn_close(x);
	close(fd[1]);
	return 0;
}
