/* SPDX-License-Identifier: Apache-2.0 */
/* watari status: all that a guest's process says of it. Next in the flow: hv/ctl/guest.c. */
#include <errno.h>
#include <stdio.h>

#include "hv/base/size.h"
#include "hv/cmd/ask.h"
#include "hv/ctl/history.h"

/* How a number is to be shown. */
enum status_form { STATUS_TEXT, STATUS_COUNT, STATUS_BYTES, STATUS_TIME };

static const struct {
	const char *key, *label;
	enum status_form form;
} status_lines[] = {
	{ "name", "name", STATUS_TEXT },
	{ "state", "state", STATUS_TEXT },
	{ "reason", "reason", STATUS_TEXT },
	{ "last_reset", "last reset", STATUS_TEXT },
	{ "uuid", "uuid", STATUS_TEXT },
	{ "pid", "pid", STATUS_COUNT },
	{ "cpus", "cpus", STATUS_COUNT },
	{ "memory_bytes", "memory", STATUS_BYTES },
	{ "allocated_bytes", "allocated", STATUS_BYTES },
	{ "tracking", "dirty tracking", STATUS_TEXT },
	{ "uptime_ns", "uptime", STATUS_TIME },
	{ "here_ns", "of it here", STATUS_TIME },
	{ "serial", "serial", STATUS_TEXT },
	{ "console", "console", STATUS_TEXT },
	{ "kernel", "kernel", STATUS_TEXT },
};

static void status_line(const char *label, const json_t *v, enum status_form form)
{
	uint64_t n = (uint64_t)json_integer_value(v);
	char buf[32];

	printf("%-16s", label);
	switch (form) {
	case STATUS_TEXT: printf("%s\n", json_string_value(v)); break;
	case STATUS_COUNT: printf("%llu\n", (unsigned long long)n); break;
	case STATUS_BYTES: printf("%s\n", size_format(n, buf, sizeof(buf))); break;
	case STATUS_TIME: printf("%s\n", duration_format(n, buf, sizeof(buf))); break;
	}
}

static void status_vcpus(const json_t *vcpus)
{
	const json_t *v;
	size_t i;

	json_array_foreach(vcpus, i, v)
	{
		char label[32];

		snprintf(label, sizeof(label), "vcpu %zu", i);
		printf("%-16sthread %lld on CPUs %s\n", label,
			(long long)json_integer_value(json_object_get(v, "thread")),
			json_string_value(json_object_get(v, "host_cpus")));
	}
}

static void status_tell(const char *name, const json_t *answer)
{
	const json_t *move = json_object_get(answer, "migration");

	(void)name;
	for (size_t i = 0; i < sizeof(status_lines) / sizeof(status_lines[0]); i++) {
		const json_t *v = json_object_get(answer, status_lines[i].key);
		bool text = status_lines[i].form == STATUS_TEXT;

		if (v && (text ? json_is_string(v) : json_is_integer(v)))
			status_line(status_lines[i].label, v, status_lines[i].form);
	}
	status_vcpus(json_object_get(answer, "vcpus"));
	if (json_is_true(json_object_get(answer, "panicked")))
		printf("%-16sthe guest's kernel panicked\n", "panicked");
	if (json_is_string(json_object_get(move, "to")))
		status_line("moving to", json_object_get(move, "to"), STATUS_TEXT);
	if (json_is_string(json_object_get(move, "waits_for")))
		status_line("waits for", json_object_get(move, "waits_for"), STATUS_TEXT);
}

/* It does not live here: the record says if it left, and where it went. */
static void status_explain(const char *name, struct err *e)
{
	json_t *left;

	if (e->code != -ENOENT || !history_left(ctl_state_dir(), name, &left))
		return;
	err_set(e, -ENOENT, "there is no guest named '%s' here: it moved to %s at %s", name,
		json_string_value(json_object_get(left, "to")),
		json_string_value(json_object_get(left, "time")));
	json_decref(left);
}

int cmd_status(int argc, char **argv)
{
	static const struct ask a = {
		.op = "status",
		.doc = "Tell how guest NAME is: running, paused, migrating, incoming, stopped or "
		       "in-doubt; its process, size, and how its dirty pages are found.",
		.tell = status_tell,
		.explain = status_explain,
	};

	return ask_run(&a, argc, argv);
}
