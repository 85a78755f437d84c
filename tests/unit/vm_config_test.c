/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest is made of: checked field by field, carried over unchanged, never believed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hv/base/section.h"
#include "hv/vm/vm.h"

static const struct vm_config good = {
	.name = "web-1.example_x",
	.cpus = 4,
	.memory = 512u << 20,
	.backing = { .page = 2u << 20, .nodes = 5, .prealloc = true },
	.kernel = "/boot/vmlinuz",
	.initrd = "/boot/initrd",
	.append = "console=ttyS0 quiet",
	.serial = "file:/var/log/web",
	.console = VM_CONSOLE_VIRTIO,
	.persistent = true,
	.ndisks = 2,
	.disks = { { .name = "root", .path = "/srv/root.img", .serial = "WTR 1", .queues = 4 },
		{ .name = "cd",
			.path = "/srv/cd.iso",
			.readonly = true,
			.direct = true,
			.queues = 1 } },
	.nnets = 2,
	.nets = { { .name = "lan",
			  .tap = "tap0",
			  .bridge = "br0",
			  .mac = { 2, 0, 0, 0, 0, 1 },
			  .queues = 2 },
		{ .name = "out", .mac = { 2, 0, 0, 0, 0, 2 }, .queues = 1 } },
	.place = "0-3:0",
};

static void refused(const struct vm_config *c, const char *word)
{
	struct err e = { 0 };

	assert_int_equal(vm_config_check(c, &e), -EINVAL);
	if (!strstr(e.msg, word))
		fail_msg("'%s' does not mention '%s'", e.msg, word);
}

static void every_field_is_checked_and_named(void **state)
{
	static const char *const names[] = { "a b", "a/b", "\xc3\xa4", "a\n", "..", "-x", ".x" };
	static const char *const serials[] = { "", "tty", "file:", "stdio ", "FILE:/x" };
	struct err e = { 0 };
	struct vm_config c = good;

	(void)state;
	assert_int_equal(vm_config_check(&c, &e), 0);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(c.name, sizeof(c.name), "%s", names[i]);
		refused(&c, names[i]);
	}
	memset(c.name, 'a', sizeof(c.name));
	refused(&c, "63");
	c = good, c.name[0] = '\0';
	refused(&c, "empty");
	c = good, c.cpus = 0;
	refused(&c, "0 vCPUs");
	c = good, c.cpus = 3; /* one less than have a place */
	refused(&c, "vCPU 3");
	c = good, strcpy(c.place, "0:all");
	refused(&c, "CPU 'all'");
	c = good, c.cpus = VM_CPUS_MAX + 1;
	refused(&c, "255");
	c = good, c.memory = 0;
	refused(&c, "64 MiB");
	c = good, c.memory = UINT64_MAX;
	refused(&c, "16 TiB");
	c = good, c.backing.page = 12345;
	refused(&c, "12345");
	c = good, c.backing.thp = true;
	refused(&c, "exclude");
	c = good, c.memory += 4096;
	refused(&c, "multiple");
	c = good, c.memory += 1;
	refused(&c, "536870913");
	c = good, c.kernel[0] = '\0';
	refused(&c, "kernel");
	c = good, c.append[3] = '\t';
	refused(&c, "append");
	c = good, memset(c.initrd, 'i', sizeof(c.initrd));
	refused(&c, "initrd");
	for (size_t i = 0; i < sizeof(serials) / sizeof(serials[0]); i++) {
		c = good;
		snprintf(c.serial, sizeof(c.serial), "%s", serials[i]);
		refused(&c, serials[i]);
	}
}

/* Each field of a disk, then of a net, wrong in its own way. */
static void disks_and_nets_are_checked_and_named(void **state)
{
	static const char *const ifnames[] = { "a/b", "..", "tap%d", "a b", "a:1" };
	struct vm_config c = good;

	(void)state;
	c.ndisks = VM_DISKS_MAX + 1;
	refused(&c, "17 disks");
	c = good, c.nnets = VM_NETS_MAX + 1;
	refused(&c, "9 nets");
	c = good, strcpy(c.disks[1].name, "root");
	refused(&c, "two disks are called 'root'");
	c = good, strcpy(c.disks[1].name, "a b");
	refused(&c, "a b");
	c = good, c.disks[1].path[0] = '\0';
	refused(&c, "'cd' has no path");
	c = good, strcpy(c.disks[1].path, "cd.iso");
	refused(&c, "not absolute");
	c = good, memset(c.disks[0].serial, 's', sizeof(c.disks[0].serial));
	refused(&c, "20 characters");
	c = good, c.disks[0].queues = 0;
	refused(&c, "'root': 0 queues");
	c = good, c.nets[1].queues = VM_QUEUES_MAX + 1;
	refused(&c, "'out': 17 queues");
	c = good, strcpy(c.nets[1].name, "lan");
	refused(&c, "two nets are called 'lan'");
	c = good, strcpy(c.nets[1].tap, "tap0");
	refused(&c, "same tap");
	c = good, c.nets[1].mac[5] = 1;
	refused(&c, "same mac");
	c = good, c.nets[0].mac[0] = 1;
	refused(&c, "01:00:00:00:00:01");
	c = good, memset(c.nets[0].mac, 0, 6);
	refused(&c, "00:00:00:00:00:00");
	c = good, memset(c.nets[0].bridge, 'b', sizeof(c.nets[0].bridge));
	refused(&c, "15 characters");
	for (size_t i = 0; i < sizeof(ifnames) / sizeof(ifnames[0]); i++) {
		c = good, strcpy(c.nets[0].tap, ifnames[i]);
		refused(&c, ifnames[i]);
	}
}

static void a_net_without_a_mac_gets_its_own(void **state)
{
	uint8_t a[6], b[6], again[6];

	(void)state;
	vm_net_mac(a, "web", "lan");
	vm_net_mac(again, "web", "lan");
	assert_memory_equal(a, again, 6);
	assert_int_equal(a[0], 0x02);
	vm_net_mac(b, "web", "out");
	assert_memory_not_equal(a, b, 6);
	vm_net_mac(b, "webl", "an"); /* names do not run into one another */
	assert_memory_not_equal(a, b, 6);
}

static void what_is_encoded_is_decoded(void **state)
{
	struct err e = { 0 };
	struct vm_config c;
	struct wbuf w;
	struct rbuf r;

	(void)state;
	wbuf_init(&w);
	vm_config_encode(&good, &w);
	r = rbuf_of(w.data, w.len);
	assert_int_equal(vm_config_decode(&c, &r, &e), 0);
	assert_string_equal(c.name, good.name);
	assert_int_equal(c.cpus, good.cpus);
	assert_int_equal(c.memory, good.memory);
	assert_int_equal(c.backing.page, good.backing.page);
	assert_int_equal(c.backing.nodes, good.backing.nodes);
	assert_true(c.backing.prealloc && !c.backing.thp);
	assert_string_equal(c.kernel, good.kernel);
	assert_string_equal(c.initrd, good.initrd);
	assert_string_equal(c.append, good.append);
	assert_string_equal(c.serial, good.serial);
	assert_int_equal(c.console, good.console);
	assert_memory_equal(c.disks, good.disks, sizeof(good.disks));
	assert_memory_equal(c.nets, good.nets, sizeof(good.nets));
	assert_true(c.persistent);
	assert_int_equal(c.ndisks, 2);
	assert_int_equal(c.nnets, 2);
	assert_int_equal(c.tracking, VM_TRACKING_AUTO);
	assert_false(c.overcommit);
	assert_string_equal(c.place, ""); /* of the host that it left */
	wbuf_fini(&w);
}

/* A source that does not know of disks yet, nor of kinds of memory. */
static void earlier_versions_are_read(void **state)
{
	(void)state;
	for (uint32_t version = 1; version <= 2; version++) {
		struct err e = { 0 };
		struct vm_config c;
		struct wbuf w;
		struct rbuf r;
		size_t at;

		wbuf_init(&w);
		at = section_begin(&w, "config", 0, version);
		wbuf_str(&w, "old");
		wbuf_u32(&w, 1);
		wbuf_u64(&w, 512u << 20);
		wbuf_str(&w, "/k");
		wbuf_str(&w, "");
		wbuf_str(&w, "");
		wbuf_str(&w, "none");
		if (version == 2) {
			wbuf_u64(&w, 0);
			wbuf_u64(&w, 0);
			wbuf_u8(&w, 1);
			wbuf_u8(&w, 0);
		}
		section_end(&w, at);
		r = rbuf_of(w.data, w.len);
		assert_int_equal(vm_config_decode(&c, &r, &e), 0);
		assert_string_equal(c.name, "old");
		assert_int_equal(c.backing.thp, version == 2);
		assert_int_equal(c.ndisks + c.nnets, 0);
		assert_int_equal(c.console, VM_CONSOLE_SERIAL);
		wbuf_fini(&w);
	}
}

/* Each byte cut off, each byte changed: an answer every time, and nothing but checked values. */
static void hostile_bytes_are_an_error_or_a_checked_config(void **state)
{
	struct err e = { 0 };
	struct vm_config c;
	struct wbuf w;
	struct rbuf r;

	(void)state;
	wbuf_init(&w);
	vm_config_encode(&good, &w);
	for (size_t n = 0; n < w.len; n++) {
		/* An allocation of exactly n bytes, so that a sanitizer sees a read past them. */
		uint8_t *p = malloc(n ? n : 1);

		memcpy(p, w.data, n);
		r = rbuf_of(p, n);
		err_clear(&e);
		assert_int_equal(vm_config_decode(&c, &r, &e), -EPROTO);
		assert_true(e.msg[0] != '\0');
		free(p);
	}
	for (size_t i = 0; i < w.len; i++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			w.data[i] ^= (uint8_t)(1u << bit);
			r = rbuf_of(w.data, w.len);
			if (vm_config_decode(&c, &r, &e) == 0)
				assert_int_equal(vm_config_check(&c, &e), 0);
			w.data[i] ^= (uint8_t)(1u << bit);
		}
	}
	wbuf_u8(&w, 0);
	r = rbuf_of(w.data, w.len);
	assert_int_equal(vm_config_decode(&c, &r, &e), -EPROTO);
	wbuf_fini(&w);
}

static void another_section_or_a_newer_version_is_named(void **state)
{
	static const struct {
		const char *name;
		uint32_t version;
		const char *word;
	} bad[] = { { "confug", 1, "confug" }, { "config", 6, "version 6" } };
	struct err e = { 0 };
	struct vm_config c;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct wbuf w;
		struct rbuf r;

		wbuf_init(&w);
		section_end(&w, section_begin(&w, bad[i].name, 0, bad[i].version));
		r = rbuf_of(w.data, w.len);
		assert_int_equal(vm_config_decode(&c, &r, &e), -EPROTO);
		assert_non_null(strstr(e.msg, bad[i].word));
		wbuf_fini(&w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_field_is_checked_and_named),
		cmocka_unit_test(disks_and_nets_are_checked_and_named),
		cmocka_unit_test(a_net_without_a_mac_gets_its_own),
		cmocka_unit_test(what_is_encoded_is_decoded),
		cmocka_unit_test(earlier_versions_are_read),
		cmocka_unit_test(hostile_bytes_are_an_error_or_a_checked_config),
		cmocka_unit_test(another_section_or_a_newer_version_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
