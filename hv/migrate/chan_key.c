/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the file of a shared key: one line, "watari-key-1 " and 64 hexadecimal digits. Must never
 * put the key, or a part of it, into a message, or take one that others can read.
 * Invariant: what was read is wiped before it returns, but for the key it was asked for.
 * Next in the flow: chan_tls.c.
 */
#include "hv/migrate/chan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_HEAD "watari-key-1 "
#define KEY_LINE (sizeof(KEY_HEAD) - 1 + 2 * CHAN_KEY_SIZE + 1) /* with its newline */

int chan_key_private(int fd, const char *what, const char *path, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_errno(e, "cannot look at %s %s", what, path);
	if (!S_ISREG(st.st_mode))
		return err_set(e, -EACCES, "%s %s is no regular file", what, path);
	if (st.st_uid != geteuid())
		return err_set(e, -EACCES,
			"%s %s belongs to user %u, who could change it: chown %u '%s'", what, path,
			st.st_uid, geteuid(), path);
	if (st.st_mode & 077)
		return err_set(e, -EACCES,
			"%s %s has mode %04o, so others can use it: chmod 600 '%s'", what, path,
			st.st_mode & 07777, path);
	return 0;
}

static int key_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int key_parse(const char *line, size_t n, uint8_t key[CHAN_KEY_SIZE])
{
	const size_t head = sizeof(KEY_HEAD) - 1;

	if (n != KEY_LINE || memcmp(line, KEY_HEAD, head) != 0 || line[n - 1] != '\n')
		return -EINVAL;
	for (size_t i = 0; i < CHAN_KEY_SIZE; i++) {
		int high = key_digit(line[head + 2 * i]), low = key_digit(line[head + 2 * i + 1]);

		if (high < 0 || low < 0)
			return -EINVAL;
		key[i] = (uint8_t)(high << 4 | low);
	}
	return 0;
}

int chan_key_read(const char *path, uint8_t key[CHAN_KEY_SIZE], struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), r;
	char line[KEY_LINE + 1];
	ssize_t n;

	if (fd < 0)
		return err_errno(e, "cannot open the key file %s", path);
	r = chan_key_private(fd, "the key file", path, e);
	if (!r) {
		n = read(fd, line, sizeof(line));
		if (n < 0)
			r = err_errno(e, "cannot read the key file %s", path);
		else if (key_parse(line, (size_t)n, key))
			r = err_set(e, -EACCES,
				"%s is no key file: 'watari keygen FILE' makes one, and both hosts need the "
				"same",
				path);
	}
	explicit_bzero(line, sizeof(line));
	if (r)
		explicit_bzero(key, CHAN_KEY_SIZE);
	close(fd);
	return r;
}

int chan_key_make(const char *path, struct err *e)
{
	static const char digits[] = "0123456789abcdef";
	const size_t head = sizeof(KEY_HEAD) - 1;
	uint8_t key[CHAN_KEY_SIZE];
	char line[KEY_LINE];
	int fd, r = 0;

	if (getrandom(key, sizeof(key), 0) != sizeof(key))
		return err_errno(e, "cannot get random bytes for a key");
	memcpy(line, KEY_HEAD, head);
	for (size_t i = 0; i < CHAN_KEY_SIZE; i++) {
		line[head + 2 * i] = digits[key[i] >> 4];
		line[head + 2 * i + 1] = digits[key[i] & 15];
	}
	line[KEY_LINE - 1] = '\n';
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0) {
		r = errno == EEXIST
			    ? err_set(e, -EEXIST,
				      "%s is there already; a key that may be in use is not "
				      "written over",
				      path)
			    : err_errno(e, "cannot make the key file %s", path);
	} else if (fchmod(fd, 0600) < 0 || write(fd, line, sizeof(line)) != sizeof(line) ||
		   fsync(fd) < 0) {
		r = err_errno(e, "cannot write the key file %s", path);
		unlink(path);
	}
	if (fd >= 0)
		close(fd);
	explicit_bzero(key, sizeof(key));
	explicit_bzero(line, sizeof(line));
	return r;
}
