/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the choices of backing.h and what the host says about them. The only user of libnuma. Must
 * never change the host: it names the command that would. Transparent huge pages of a memfd are the
 * host's choice (shmem_enabled); of a tmpfs they are the mount's, so guest memory that is to have
 * some comes, where the memfd would get none, from a mount of its own that is attached nowhere.
 * Next in the flow: gmem.c.
 */
#include "hv/mem/backing.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/mount.h>
#include <numa.h>
#include <numaif.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "hv/base/size.h"

/* From <linux/memfd.h>, which does not go together with <sys/mman.h> everywhere. */
#ifndef MFD_HUGE_SHIFT
#define MFD_HUGE_SHIFT 26
#endif

#define BACKING_2M (2ull << 20)
#define BACKING_1G (1ull << 30)

/* Giving back part of a huge page clears it from here on; before, it was left as it was. */
#define BACKING_HUGE_KERNEL 6

#define BACKING_HUGE_DIR "/sys/kernel/mm/hugepages/hugepages-%" PRIu64 "kB/%s"
#define BACKING_THP_DIR  "/sys/kernel/mm/transparent_hugepage/"

static int backing_switch(const char *key, const char *value, bool *on, struct err *e)
{
	*on = strcmp(value, "on") == 0;
	if (*on || strcmp(value, "off") == 0)
		return 0;
	return err_set(e, -EINVAL, "memory: %s=%s is neither on nor off", key, value);
}

static int backing_node(const char *value, uint64_t *nodes, struct err *e)
{
	uint64_t n;
	int r = number_parse(value, "memory: numa", 0, BACKING_NODES_MAX - 1, &n, e);

	if (!r)
		*nodes |= 1ull << n;
	return r;
}

static int backing_word(
	const char *key, const char *value, uint64_t *size, struct backing *b, struct err *e)
{
	if (strcmp(key, "size") == 0)
		return size_parse(value, size, e);
	if (strcmp(key, "thp") == 0)
		return backing_switch(key, value, &b->thp, e);
	if (strcmp(key, "prealloc") == 0)
		return backing_switch(key, value, &b->prealloc, e);
	if (strcmp(key, "numa") == 0)
		return backing_node(value, &b->nodes, e);
	if (strcmp(key, "hugepages") != 0)
		return err_set(e, -EINVAL,
			"memory: '%s' is not one of size, hugepages, thp, numa, prealloc", key);
	if (strcmp(value, "2M") != 0 && strcmp(value, "1G") != 0)
		return err_set(e, -EINVAL, "memory: hugepages=%s is neither 2M nor 1G", value);
	b->page = value[0] == '2' ? BACKING_2M : BACKING_1G;
	return 0;
}

int backing_parse(const char *text, uint64_t *size, struct backing *b, struct err *e)
{
	char copy[BACKING_TEXT_MAX], *next = copy;
	const char *key = "size"; /* of a word that has none: the first is the size, "numa=0,1" */

	if (snprintf(copy, sizeof(copy), "%s", text) >= (int)sizeof(copy))
		return err_set(e, -EINVAL, "memory: '%.32s...' is too long", text);
	do {
		char *word = strsep(&next, ","), *value = strchr(word, '=');
		int r;

		if (value) {
			*value++ = '\0';
			key = word;
		} else {
			value = word;
		}
		/* "12G,thp=on,8G" says two sizes: only the first word and nodes may be bare. */
		if (value == word && word != copy && strcmp(key, "numa") != 0)
			return err_set(e, -EINVAL, "memory: '%s' does not say what it is", word);
		r = backing_word(key, value, size, b, e);
		if (r)
			return r;
	} while (next);
	return 0;
}

const char *backing_format(uint64_t size, const struct backing *b, char *buf)
{
	static const char units[] = "KMGT";
	const char *unit = "", *comma = ",numa=";
	size_t n;

	for (const char *u = units; *u && size && size % 1024 == 0; u++, size /= 1024)
		unit = u;
	n = (size_t)sprintf(buf, "%" PRIu64 "%.1s", size, unit);
	if (b->page)
		n += (size_t)sprintf(buf + n, ",hugepages=%s", b->page == BACKING_2M ? "2M" : "1G");
	if (b->thp)
		n += (size_t)sprintf(buf + n, ",thp=on");
	if (b->prealloc)
		n += (size_t)sprintf(buf + n, ",prealloc=on");
	/* 64 nodes take 20 + 54 * 3 bytes with their commas. */
	for (unsigned i = 0; i < BACKING_NODES_MAX; i++) {
		if (!(b->nodes >> i & 1))
			continue;
		n += (size_t)sprintf(buf + n, "%s%u", comma, i);
		comma = ",";
	}
	return buf;
}

int backing_valid(const struct backing *b, uint64_t size, struct err *e)
{
	char page[32], have[32];

	if (b->page != 0 && b->page != BACKING_2M && b->page != BACKING_1G)
		return err_set(
			e, -EINVAL, "memory: huge pages of %" PRIu64 " bytes are unknown", b->page);
	if (b->page && b->thp)
		return err_set(e, -EINVAL,
			"memory: hugepages= and thp=on exclude each other: reserved pages are huge "
			"already");
	if (b->page && size % b->page)
		return err_set(e, -EINVAL, "memory: %s is not a multiple of the huge page's %s",
			size_format(size, have, sizeof(have)),
			size_format(b->page, page, sizeof(page)));
	return 0;
}

/* One number from a file of /sys; 0 if it cannot be read. */
static uint64_t backing_number(uint64_t page, const char *name)
{
	uint64_t v = 0;
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), BACKING_HUGE_DIR, page >> 10, name);
	f = fopen(path, "re");
	if (f && fscanf(f, "%" SCNu64, &v) != 1)
		v = 0;
	if (f)
		fclose(f);
	return v;
}

static int backing_check_huge(const struct backing *b, uint64_t size, struct err *e)
{
	uint64_t need = size / b->page, have = backing_number(b->page, "free_hugepages");
	uint64_t promised = backing_number(b->page, "resv_hugepages");
	uint64_t all = backing_number(b->page, "nr_hugepages");
	struct utsname u;
	int major = 0;

	if (uname(&u) == 0 && sscanf(u.release, "%d", &major) == 1 && major < BACKING_HUGE_KERNEL)
		return err_set(e, -EOPNOTSUPP,
			"memory: hugepages= needs Linux %d or later, this is %s",
			BACKING_HUGE_KERNEL, u.release);
	have = have > promised ? have - promised : 0;
	if (have >= need)
		return 0;
	if (b->page == BACKING_2M)
		return err_set(e, -ENOMEM,
			"memory: %" PRIu64 " free huge pages of 2 MiB are needed, this host has "
			"%" PRIu64 ": 'sysctl vm.nr_hugepages=%" PRIu64 "' reserves them",
			need, have, all + need - have);
	return err_set(e, -ENOMEM,
		"memory: %" PRIu64 " free huge pages of 1 GiB are needed, this host has %" PRIu64
		": 'hugepagesz=1G hugepages=%" PRIu64
		"' on the host's kernel command line reserves them",
		need, have, all + need - have);
}

/* True if the file's chosen word, the one in brackets, gives shared memory huge pages on request.
 */
static bool backing_thp_allows(const char *path)
{
	char line[128] = "";
	FILE *f = fopen(path, "re");

	if (f && !fgets(line, sizeof(line), f))
		line[0] = '\0';
	if (f)
		fclose(f);
	return strstr(line, "[advise]") || strstr(line, "[always]") ||
	       strstr(line, "[within_size]") || strstr(line, "[force]");
}

/* Whether the kernel gives a memfd huge pages on request. */
static bool backing_thp_memfd(void)
{
	return backing_thp_allows(BACKING_THP_DIR "shmem_enabled") ||
	       backing_thp_allows(BACKING_THP_DIR "hugepages-2048kB/shmem_enabled");
}

/* Sets @key of file system context @fs. */
static int backing_fs_set(int fs, const char *key, const char *value)
{
	return (int)syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, key, value, 0);
}

/*
 * A file in a tmpfs that nobody else sees and that ends with it: -EPERM without CAP_SYS_ADMIN.
 * The size is left to ftruncate(), as for a memfd.
 */
static int backing_tmpfs(void)
{
	int fs = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC), mount = -1, fd = -1, saved;

	if (fs >= 0 && backing_fs_set(fs, "huge", "advise") == 0 &&
		backing_fs_set(fs, "size", "0") == 0 &&
		syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
		mount = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, 0);
	if (mount >= 0)
		fd = openat(mount, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	saved = errno;
	if (mount >= 0)
		close(mount);
	if (fs >= 0)
		close(fs);
	errno = saved;
	return fd;
}

static int backing_check_thp(struct err *e)
{
	int fd;

	if (backing_thp_memfd())
		return 0;
	fd = backing_tmpfs();
	if (fd >= 0) {
		close(fd);
		return 0;
	}
	return err_set(e, -EOPNOTSUPP,
		"memory: thp=on: this host gives shared memory no transparent huge pages: 'echo "
		"advise > " BACKING_THP_DIR "shmem_enabled' lets it, and root gets some without "
		"(a tmpfs of its own: %s)",
		strerrordesc_np(errno));
}

int backing_file(const struct backing *b, const char *name, struct err *e)
{
	unsigned flags = MFD_CLOEXEC;
	int fd;

	/* The kernel takes the binary logarithm of the page's size. */
	if (b->page)
		flags |= MFD_HUGETLB | (unsigned)__builtin_ctzll(b->page) << MFD_HUGE_SHIFT;
	fd = b->thp && !backing_thp_memfd() ? backing_tmpfs() : memfd_create(name, flags);
	return fd >= 0 ? fd : err_errno(e, "cannot create guest memory");
}

static int backing_check_nodes(const struct backing *b, struct err *e)
{
	if (numa_available() < 0)
		return err_set(e, -ENODEV, "memory: numa=: this host's kernel has no NUMA support");
	for (unsigned n = 0; n < BACKING_NODES_MAX; n++) {
		if ((b->nodes >> n & 1) && !numa_bitmask_isbitset(numa_all_nodes_ptr, n))
			return err_set(e, -ENODEV,
				"memory: numa=%u: there is no such node with memory here, the "
				"highest is %d",
				n, numa_max_node());
	}
	return 0;
}

int backing_check(const struct backing *b, uint64_t size, struct err *e)
{
	int r = backing_valid(b, size, e);

	if (!r && b->page)
		r = backing_check_huge(b, size, e);
	if (!r && b->thp)
		r = backing_check_thp(e);
	if (!r && b->nodes)
		r = backing_check_nodes(b, e);
	return r;
}

int backing_bind(const struct backing *b, void *p, uint64_t size, struct err *e)
{
	bool several = (b->nodes & (b->nodes - 1)) != 0;
	unsigned long mask = b->nodes;

	if (!b->nodes)
		return 0;
	/* The kernel reads one bit less than it is told. */
	if (mbind(p, size, several ? MPOL_INTERLEAVE : MPOL_BIND, &mask, BACKING_NODES_MAX + 1, 0))
		return err_errno(e, "cannot bind guest memory to its NUMA nodes");
	return 0;
}
