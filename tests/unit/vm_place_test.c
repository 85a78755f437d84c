/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where vCPUs run, as text and on a host: hv/vm/place.h. The host is made up: ten CPUs, of which 7
 * is switched off and 8 and 9 are not for this process; on node 0 are 0 to 3, on node 1 are 4 to 7,
 * on node 2 are 8 and 9.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "hv/vm/config.h"
#include "hv/vm/place.h"

static void fill(cpu_set_t *s, int from, int to)
{
	CPU_ZERO(s);
	for (int i = from; i <= to; i++)
		CPU_SET(i, s);
}

static int fake_online(cpu_set_t *s, struct err *e)
{
	(void)e;
	fill(s, 0, 9);
	CPU_CLR(7, s);
	return 0;
}

static int fake_allowed(cpu_set_t *s, struct err *e)
{
	(void)e;
	fill(s, 0, 7);
	return 0;
}

static int fake_node(unsigned node, cpu_set_t *s, struct err *e)
{
	if (node > 2)
		return err_set(e, -ENODEV, "there is no such NUMA node here, the highest is 2");
	fill(s, (int)node * 4, node == 2 ? 9 : (int)node * 4 + 3);
	return 0;
}

static const struct cpus_host fake = { fake_online, fake_allowed, fake_node };

static int no_cpus(cpu_set_t *s, struct err *e)
{
	(void)s;
	return err_set(e, -ENOENT, "cannot tell");
}

static const struct cpus_host mute = { no_cpus, no_cpus, fake_node };

/* Which CPUs each vCPU gets; "*" is any. */
static void every_form_means_what_it_says(void **state)
{
	static const struct {
		const char *text, *is[4];
	} forms[] = {
		{ "", { "*", "*", "*", "*" } },
		{ "3", { "3", "3", "3", "3" } },
		{ "0-3,5", { "0-3,5", "0-3,5", "0-3,5", "0-3,5" } },
		{ "5,0-3,1", { "0-3,5", "0-3,5", "0-3,5", "0-3,5" } },
		{ "0:2,1:3", { "2", "3", "*", "*" } },
		{ "0:2,4,1:3-5,6", { "2,4", "3-6", "*", "*" } },
		{ "3:0", { "*", "*", "*", "0" } },
		{ "0-1:0,2-3:1,2", { "0", "0", "1-2", "1-2" } },
		{ "node:0", { "0-3", "0-3", "0-3", "0-3" } },
		{ "node:1", { "4-6", "4-6", "4-6", "4-6" } }, /* 7 is switched off */
		{ "node:0,node:1", { "0-6", "0-6", "0-6", "0-6" } },
		{ "0-1:node:0,2-3:node:1,0", { "0-3", "0-3", "0,4-6", "0,4-6" } },
	};
	struct err e = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		if (place_check(forms[i].text, 4, &e) != 0 ||
			place_fits(forms[i].text, &fake, &e) != 0)
			fail_msg("%s: %s", forms[i].text, e.msg);
		for (unsigned v = 0; v < 4; v++) {
			const char *is = forms[i].is[v];
			cpu_set_t s;
			char buf[64];

			assert_int_equal(place_of(forms[i].text, v, &fake, &s, &e), *is != '*');
			if (*is != '*')
				assert_string_equal(cpus_format(&s, buf, sizeof(buf)), is);
		}
	}
}

static void mistakes_of_form_name_the_word(void **state)
{
	static const struct {
		const char *text, *says;
	} bad[] = {
		{ "x", "vcpu-cpus 'x': CPU 'x' is not a whole number from 0 to 1023" },
		{ "1024", "vcpu-cpus '1024': CPU '1024' is not" },
		{ "0,1,", "vcpu-cpus '0,1,': CPU '' is not" },
		{ "0,,1", "vcpu-cpus '0,,1': CPU '' is not" },
		{ "0, 1", "vcpu-cpus ' 1': CPU ' 1' is not" },
		{ "0-", "vcpu-cpus '0-': CPU '' is not" },
		{ "-3", "vcpu-cpus '-3': CPU '' is not" },
		{ "0-1-2", "vcpu-cpus '0-1-2': CPU '1-2' is not" },
		{ "3-2", "vcpu-cpus '3-2': the range ends before it begins" },
		{ "!0", "vcpu-cpus '!0': CPU '!0' is not" },
		{ "all", "CPU 'all' is not" },
		{ "0:", "vcpu-cpus '0:': CPU '' is not" },
		{ ":0", "vcpu-cpus ':0': vCPU '' is not a whole number from 0 to 253" },
		{ "0:1,x:2", "vcpu-cpus 'x:2': vCPU 'x' is not" },
		{ "0:1:2", "vcpu-cpus '0:1:2': CPU '1:2' is not" },
		{ "254:0", "vCPU '254' is not" },
		{ "1-0:0", "vcpu-cpus '1-0:0': the range ends" },
		{ "4:0", "vcpu-cpus '4:0': there is no vCPU 4: the guest has 4" },
		{ "0-4:0", "there is no vCPU 4" },
		{ "0:1,0:2", "vcpu-cpus '0:2': vCPU 0 has its CPUs already" },
		{ "0-2:1,3:1,2:2", "vcpu-cpus '2:2': vCPU 2 has its CPUs already" },
		{ "0-1,0:3", "vcpu-cpus '0:3': this is for a vCPU" },
		{ "node:", "vcpu-cpus 'node:': node '' is not" },
		{ "node:a", "node 'a' is not" },
		{ "node:0-1", "vcpu-cpus 'node:0-1': one node at a time" },
		{ "node:1024", "node '1024' is not" },
		{ "Node:0", "vCPU 'Node' is not" },
	};
	char long_text[VM_PLACE_MAX + 1];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err e = { 0 };

		assert_int_equal(place_check(bad[i].text, 4, &e), -EINVAL);
		if (!strstr(e.msg, bad[i].says))
			fail_msg("'%s' is not in '%s'", bad[i].says, e.msg);
	}
	memset(long_text, '1', VM_PLACE_MAX);
	long_text[VM_PLACE_MAX] = '\0';
	assert_int_equal(place_check(long_text, 4, NULL), -EINVAL);
}

static void what_the_host_has_not_is_refused_with_the_way_out(void **state)
{
	static const struct {
		const char *text;
		int code;
		const char *says, *out;
	} bad[] = {
		{ "7", -ENODEV, "vcpu-cpus '7': this host has no CPU 7", "only 0-6,8-9: name" },
		{ "0-1,12", -ENODEV, "vcpu-cpus '12': this host has no CPU 12", "name some" },
		{ "6-9", -ENODEV, "vcpu-cpus '6-9': this host has no CPU 7", "name some" },
		{ "8", -EPERM, "CPU 8 is not for this process", "allow 0-7; name some of these" },
		{ "0:0,3:9", -EPERM, "vcpu-cpus '3:9': CPU 9 is not", "where CPU 9 is allowed" },
		{ "node:2", -EPERM, "no CPU of that node is for this process", "allow 0-7" },
		{ "1:node:3", -ENODEV, "vcpu-cpus '1:node:3': there is no such NUMA node",
			"the highest is 2" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err e = { 0 };

		assert_int_equal(place_check(bad[i].text, VM_CPUS_MAX, &e), 0);
		assert_int_equal(place_fits(bad[i].text, &fake, &e), bad[i].code);
		if (!strstr(e.msg, bad[i].says) || !strstr(e.msg, bad[i].out))
			fail_msg("'%s' or '%s' is not in '%s'", bad[i].says, bad[i].out, e.msg);
	}
}

/* A vCPU is placed by its own words alone: those of another are not its trouble. */
static void each_vcpu_asks_for_its_own(void **state)
{
	struct err e = { 0 };
	cpu_set_t s;

	(void)state;
	assert_int_equal(place_of("0:1,1:8", 0, &fake, &s, &e), 1);
	assert_true(CPU_ISSET(1, &s) && CPU_COUNT(&s) == 1);
	assert_int_equal(place_of("0:1,1:8", 1, &fake, &s, &e), -EPERM);
	assert_int_equal(place_of("0:1", 0, &mute, &s, &e), -ENOENT);
	assert_int_equal(place_of("", 0, &mute, &s, &e), 0); /* nobody asked */
}

static void a_smaller_guest_gets_what_is_for_its_vcpus(void **state)
{
	static const struct {
		const char *text;
		unsigned cpus;
		const char *is;
	} trims[] = {
		{ "", 1, "" },
		{ "0-3,8", 1, "0-3,8" },
		{ "node:1", 1, "node:1" },
		{ "0:2,1:3", 1, "0:2" },
		{ "0:2,4-5,1:3,6", 1, "0:2,4-5" },
		{ "1:3,6,0:2,4-5", 1, "0:2,4-5" },
		{ "0-7:0,8-9:1", 4, "0-3:0" },
		{ "0-7:0,8-9:1", 1, "0:0" },
		{ "000:1,2:2", 2, "0:1" },
		{ "0-1:node:0,2-3:node:1,7", 3, "0-1:node:0,2:node:1,7" },
		{ "2:1", 2, "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(trims) / sizeof(trims[0]); i++) {
		char text[VM_PLACE_MAX];

		strcpy(text, trims[i].text);
		place_trim(text, trims[i].cpus);
		assert_string_equal(text, trims[i].is);
		assert_int_equal(place_check(text, trims[i].cpus, NULL), 0);
	}
}

/* The largest guest, every vCPU on CPUs of its own. */
static void there_is_room_for_the_largest_guest(void **state)
{
	char text[VM_PLACE_MAX];
	size_t at = 0;

	(void)state;
	for (unsigned v = 0; v < VM_CPUS_MAX; v++)
		at += (size_t)snprintf(
			text + at, sizeof(text) - at, "%s%u:%u", v ? "," : "", v, 1023 - v);
	assert_true(at < sizeof(text));
	assert_int_equal(place_check(text, VM_CPUS_MAX, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_form_means_what_it_says),
		cmocka_unit_test(mistakes_of_form_name_the_word),
		cmocka_unit_test(what_the_host_has_not_is_refused_with_the_way_out),
		cmocka_unit_test(each_vcpu_asks_for_its_own),
		cmocka_unit_test(a_smaller_guest_gets_what_is_for_its_vcpus),
		cmocka_unit_test(there_is_room_for_the_largest_guest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
