/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A definition as an INI file: what people write is read, what is printed reads back the same, and
 * every mistake is named with file and line.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hv/cmd/inifile.h"
#include "hv/vm/definition.h"

static int parse(const char *text, struct vm_config *c, struct inifile_moved *m, struct err *e)
{
	char *copy = strdup(text);
	int rc;

	assert_non_null(copy);
	vm_def_init(c);
	*e = (struct err){ 0 };
	rc = inifile_parse("/etc/g.ini", copy, strlen(copy), c, m, e);
	vm_def_finish(c);
	free(copy);
	return rc;
}

static void what_people_write_is_read(void **state)
{
	static const char text[] = "# a guest\n"
				   "[guest]\n"
				   "name = web\n"
				   "  cpus=2\n"
				   "memory = 1G,thp=on\n"
				   "kernel = vmlinuz\r\n"
				   "append = root=/dev/vda ; x # \"quoted\"\n"
				   "serial = file:log\n"
				   "console = virtio\n"
				   "overcommit = on\n"
				   "vcpu-cpus = 0:0-3,8,1:node:1\n"
				   "\n; another\n"
				   "[disk zeta]\npath = /srv/z\nreadonly = on\nqueues = 3\n"
				   "[disk  alpha]\npath = a.img\nserial = \" x\\\"y \"\n"
				   "[net lan]\n"
				   "[net out]\ntap = t0\nbridge = br0\nmac = 02:00:00:00:00:0a\n";
	struct inifile_moved m;
	struct vm_config c;
	uint8_t mac[6];
	struct err e;

	(void)state;
	if (parse(text, &c, &m, &e) != 0)
		fail_msg("%s", e.msg);
	assert_string_equal(c.name, "web");
	assert_int_equal(c.cpus, 2);
	assert_int_equal(c.memory, 1u << 30);
	assert_true(c.backing.thp);
	assert_string_equal(c.kernel, "/etc/vmlinuz"); /* from where the file is */
	assert_string_equal(c.append, "root=/dev/vda ; x # \"quoted\"");
	assert_string_equal(c.serial, "file:/etc/log");
	assert_int_equal(c.console, VM_CONSOLE_VIRTIO);
	assert_true(c.overcommit);
	assert_string_equal(c.place, "0:0-3,8,1:node:1");
	assert_int_equal(c.ndisks, 2);
	assert_string_equal(c.disks[0].name, "zeta"); /* in the file's order */
	assert_true(c.disks[0].readonly);
	assert_int_equal(c.disks[0].queues, 3);
	assert_string_equal(c.disks[1].name, "alpha");
	assert_string_equal(c.disks[1].path, "/etc/a.img");
	assert_string_equal(c.disks[1].serial, " x\"y ");
	assert_int_equal(c.nnets, 2);
	vm_net_mac(mac, "web", "lan");
	assert_memory_equal(c.nets[0].mac, mac, 6);
	assert_string_equal(c.nets[1].bridge, "br0");
	assert_int_equal(c.nets[1].mac[5], 10);
	assert_string_equal(m.to, "");
	assert_int_equal(vm_config_check(&c, &e), 0);
}

static void mistakes_are_named_with_file_and_line(void **state)
{
	static const struct {
		const char *text, *says;
	} bad[] = {
		{ "[guest]\nname = a\nspeed = 9\n", "g.ini:3: unknown key 'speed'" },
		{ "[guest]\nname = a\n\nname = b\n", "g.ini:4: Duplicate key" },
		{ "[guest]\nNAME = a\n", "g.ini:2: unknown key 'NAME'" },
		{ "[guest]\n[cage]\n", "g.ini:2: section [cage]" },
		{ "[guest]\n[disk]\npath = /x\n", "g.ini:2: section [disk]" },
		{ "[guest a]\n", "g.ini:1: section [guest a]" },
		{ "[disk a]\n[disk b]\n[disk a]\n", "g.ini:3: Duplicate section" },
		{ "name = a\n", "g.ini:1: a key before" },
		{ "[guest]\nname\n", "g.ini:2: 'name' is not" },
		{ "[guest]\nna!me = a\n", "g.ini:2: 'na!me = a' is not" },
		{ "[guest\n", "g.ini:1: No closing" },
		{ "[guest]\ncpus = many\n", "g.ini:2: cpus 'many'" },
		{ "[guest]\ncpus = 0\n", "g.ini:2: cpus '0'" },
		{ "[guest]\nmemory = lots\n", "g.ini:2: size 'lots'" },
		{ "[guest]\nvcpu-cpus = 0-\n", "g.ini:2: vcpu-cpus '0-': CPU ''" },
		{ "[guest]\nvcpu-cpus =\n", "g.ini:2: vcpu-cpus is empty" },
		{ "[guest]\novercommit = yes\n", "g.ini:2: overcommit 'yes'" },
		{ "[guest]\ndirty-tracking = guess\n", "g.ini:2: dirty tracking 'guess'" },
		{ "[guest]\nname = \"a\n", "g.ini:2: a value that begins" },
		{ "[guest]\nname = \"a\"b\"\n", "g.ini:2: a value that begins" },
		{ "[guest]\nname = a\x01\n", "g.ini:2: control character 0x01" },
		{ "[guest]\nname = \xff\n", "g.ini:2: this is not UTF-8" },
		{ "[disk a]\nqueues = 99\n", "g.ini:2: queues '99'" },
		{ "[net a]\nmac = 1:2\n", "g.ini:2: mac '1:2'" },
		{ "[net a]\ntap = a-very-long-interface\n", "g.ini:2: tap is 21 bytes" },
		{ "[moved]\nwhy = so\n", "g.ini:2: unknown key 'why'" },
		{ "", "g.ini is empty" },
	};
	struct inifile_moved m;
	struct vm_config c;
	struct err e;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_true(parse(bad[i].text, &c, &m, &e) < 0);
		if (!strstr(e.msg, bad[i].says))
			fail_msg("'%s' is not in '%s'", bad[i].says, e.msg);
	}
}

/* One device more than there is room for, of each kind. */
static void too_many_devices_are_refused(void **state)
{
	struct inifile_moved m;
	struct vm_config c;
	struct err e;

	(void)state;
	for (int kind = 0; kind < 2; kind++) {
		char text[2048] = "";
		int n = kind ? VM_NETS_MAX : VM_DISKS_MAX;

		for (int i = 0; i <= n; i++)
			sprintf(text + strlen(text), "[%s n%d]\n%s", kind ? "net" : "disk", i,
				kind ? "" : "path = /x\n");
		assert_int_equal(parse(text, &c, &m, &e), -ENOSPC);
		assert_non_null(strstr(e.msg, "one too many"));
	}
}

static char *print(const struct vm_config *c, const struct inifile_moved *m)
{
	char *text = NULL;
	size_t n = 0;
	FILE *to = open_memstream(&text, &n);

	assert_non_null(to);
	inifile_print(to, c, m);
	fclose(to);
	return text;
}

static void what_is_printed_reads_back_the_same(void **state)
{
	struct vm_config c, d;
	struct inifile_moved m = { "[fe80::1]:7", "2026-01-02T03:04:05Z" }, n;
	char *text, *again;
	struct err e;

	(void)state;
	vm_def_init(&c);
	strcpy(c.name, "web");
	strcpy(c.kernel, "/boot/a b");
	c.cpus = 3;
	c.memory = (1u << 30) + (2u << 20);
	c.backing = (struct backing){ .page = 2u << 20, .nodes = ~0ull, .prealloc = true };
	c.tracking = VM_TRACKING_LOG;
	c.console = VM_CONSOLE_VIRTIO;
	c.ndisks = 2;
	c.disks[0] = (struct vm_disk){
		.name = "b", .path = "/x y", .serial = "\\\"", .direct = true, .queues = 16
	};
	c.disks[1] = (struct vm_disk){ .name = "a", .path = "/z", .serial = " ", .queues = 1 };
	c.nnets = 1;
	c.nets[0] = (struct vm_net){ .name = "n", .tap = "t=0", .mac = { 2 }, .queues = 1 };
	for (size_t i = 0; i < sizeof(c.append) - 2; i++)
		c.append[i] = (char)(' ' + i % 95);
	assert_int_equal(vm_config_check(&c, &e), 0);
	text = print(&c, &m);
	if (parse(text, &d, &n, &e) != 0)
		fail_msg("%s in\n%s", e.msg, text);
	assert_memory_equal(&c, &d, sizeof(c));
	assert_string_equal(m.to, n.to);
	assert_string_equal(m.at, n.at);
	again = print(&d, &n);
	assert_string_equal(text, again);
	free(text);
	free(again);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_people_write_is_read),
		cmocka_unit_test(mistakes_are_named_with_file_and_line),
		cmocka_unit_test(too_many_devices_are_refused),
		cmocka_unit_test(what_is_printed_reads_back_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
