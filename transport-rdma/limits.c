/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the limits of limits.h. The kernel checks the same when memory is registered
 * (ib_umem_get(): mm->pinned_vm against RLIMIT_MEMLOCK, unless CAP_IPC_LOCK), but says ENOMEM and
 * no more.
 * Next in the flow: reg.c.
 */
#include "transport-rdma/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <infiniband/verbs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "hv/base/size.h"

#define CAP_IPC_LOCK_BIT 14 /* linux/capability.h */

uint64_t xrdma_status_field(const char *text, const char *name, int base)
{
	size_t n = strlen(name);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		if (*line == '\n')
			line++;
		if (strncmp(line, name, n) == 0 && line[n] == ':')
			return strtoull(line + n + 1, NULL, base);
	}
	return 0;
}

void xrdma_memlock_read(struct xrdma_memlock *m)
{
	char text[8192] = "";
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	struct rlimit rl;

	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = '\0';
	*m = (struct xrdma_memlock){ .limit = UINT64_MAX };
	m->pinned = xrdma_status_field(text, "VmPin", 10) << 10;
	if (xrdma_status_field(text, "CapEff", 16) >> CAP_IPC_LOCK_BIT & 1)
		return;
	if (getrlimit(RLIMIT_MEMLOCK, &rl) == 0 && rl.rlim_cur != RLIM_INFINITY)
		m->limit = rl.rlim_cur;
}

int xrdma_memlock_check(const struct xrdma_memlock *m, uint64_t need, struct err *e)
{
	uint64_t room = m->limit > m->pinned ? m->limit - m->pinned : 0;
	char a[32], b[32], c[32];

	if (m->limit == UINT64_MAX || need <= room)
		return 0;
	return err_set(e, -ENOMEM,
		"RDMA has to pin %s of guest memory here, RLIMIT_MEMLOCK is %s with %llu bytes in "
		"use: %llu bytes are missing. Run `ulimit -l unlimited` before watari, set "
		"LimitMEMLOCK=infinity in its unit or memlock in /etc/security/limits.conf, or "
		"use --rdma-pin odp where `watari probe` shows on-demand paging (needed: %s)",
		size_format(need, a, sizeof(a)), size_format(m->limit, b, sizeof(b)),
		(unsigned long long)m->pinned, (unsigned long long)(need - room),
		size_format(need + m->pinned, c, sizeof(c)));
}

const char *xrdma_memlock_text(const struct xrdma_memlock *m, char *buf, unsigned n)
{
	char size[32];

	if (m->limit == UINT64_MAX)
		snprintf(buf, n, "no limit on locked memory");
	else
		snprintf(buf, n, "%s of locked memory allowed",
			size_format(m->limit, size, sizeof(size)));
	return buf;
}

int xrdma_device_check(const struct ibv_device_attr *a, uint64_t chunks, uint64_t chunk_size,
	const char *device, struct err *e)
{
	if (a->max_mr > 0 && chunks > (uint64_t)a->max_mr)
		return err_set(e, -ENOSPC,
			"device %s holds %d memory regions, this guest needs %llu: %llu too many; "
			"use --rdma-pin odp or another device",
			device, a->max_mr, (unsigned long long)chunks,
			(unsigned long long)(chunks - (uint64_t)a->max_mr));
	if (a->max_mr_size && chunk_size > a->max_mr_size)
		return err_set(e, -ENOSPC,
			"device %s takes memory regions of %llu bytes at most, a chunk has %llu",
			device, (unsigned long long)a->max_mr_size, (unsigned long long)chunk_size);
	return 0;
}
