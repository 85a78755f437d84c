/* SPDX-License-Identifier: Apache-2.0 */
/* A definition as JSON: all of it there and back; what is no definition is named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "hv/ctl/definition.h"
#include "hv/vm/definition.h"

static void all_of_it_there_and_back(void **state)
{
	struct err e = { 0 };
	struct vm_config c, d;
	json_t *j;

	(void)state;
	vm_def_init(&c);
	strcpy(c.name, "web");
	strcpy(c.kernel, "/boot/k");
	strcpy(c.append, "quiet \"x\"");
	c.cpus = 7;
	c.overcommit = true;
	c.tracking = VM_TRACKING_RING;
	strcpy(c.place, "0-3:0,6:1-2,4");
	c.ndisks = 2;
	c.disks[0] = (struct vm_disk){ .name = "b", .path = "/b", .readonly = true, .queues = 3 };
	c.disks[1] = (struct vm_disk){ .name = "a", .path = "/a", .serial = "S", .queues = 1 };
	c.nnets = 1;
	c.nets[0] = (struct vm_net){ .name = "n", .tap = "t", .mac = { 2, 1 }, .queues = 2 };
	assert_int_equal(vm_config_check(&c, &e), 0);
	j = ctl_definition_json(&c);
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(j, "guest"), "cpus")), 7);
	assert_true(json_is_true(
		json_object_get(json_object_get(json_object_get(j, "disk"), "b"), "readonly")));
	vm_def_init(&d);
	assert_int_equal(ctl_definition_read(j, &d, &e), 0);
	assert_memory_equal(&c, &d, sizeof(c));
	json_decref(j);
}

static void what_is_no_definition_is_named(void **state)
{
	static const struct {
		const char *text, *says;
	} bad[] = {
		{ "{}", "'guest' is no object" },
		{ "[]", "'guest' is no object" },
		{ "{\"guest\":{\"speed\":1}}", "unknown key 'speed'" },
		{ "{\"guest\":{\"cpus\":[]}}", "'cpus' is no value" },
		{ "{\"guest\":{\"cpus\":-1}}", "cpus '-1'" },
		{ "{\"guest\":{\"name\":\"a\"},\"disk\":{\"r\":7}}", "'disk' is no object" },
		{ "{\"guest\":{\"name\":\"a\"},\"net\":{\"r\":{\"mac\":true}}}", "mac 'on'" },
		{ "{\"guest\":{\"name\":\"a\"}}", "no kernel" },
		{ "{\"guest\":{\"name\":\"a\",\"kernel\":\"/k\",\"vcpu-cpus\":\"1:0\"}}",
			"there is no vCPU 1" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		json_t *j = json_loads(bad[i].text, 0, NULL);
		struct err e = { 0 };
		struct vm_config c;

		assert_non_null(j);
		vm_def_init(&c);
		assert_true(ctl_definition_read(j, &c, &e) < 0);
		if (!strstr(e.msg, bad[i].says))
			fail_msg("'%s' is not in '%s'", bad[i].says, e.msg);
		json_decref(j);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_of_it_there_and_back),
		cmocka_unit_test(what_is_no_definition_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
