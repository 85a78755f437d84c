/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the request "balloon" (see balloon.h). Must never wait for the guest: what it told last is
 * the answer, with its age.
 * Next in the flow: hv/vm/devices_net.c.
 */
#include "hv/ctl/balloon.h"

#include "hv/ctl/proto.h"
#include "hv/vm/balloon.h"

int ctl_balloon_set(struct vm *vm, const json_t *request, struct err *e)
{
	uint64_t size = 0;
	int rc = ctl_get_u64(request, "size", 0, INT64_MAX, &size, e);

	if (rc < 0 || !json_object_get(request, "size"))
		return rc;
	return vm_balloon_ask(vm, size, e);
}

json_t *ctl_balloon_json(struct vm *vm)
{
	struct vm_balloon b;
	json_t *j, *stats;

	vm_balloon_look(vm, &b);
	j = json_pack("{s:b,s:b,s:I,s:I,s:I,s:I}", "ok", 1, "active", b.active, "memory_bytes",
		(json_int_t)vm_config(vm)->memory, "asked_bytes", (json_int_t)b.asked, "size_bytes",
		(json_int_t)b.size, "reported_bytes", (json_int_t)b.reported);
	if (!j || b.nstats == 0)
		return j;
	stats = json_pack("{s:I}", "age_ns", (json_int_t)b.stats_age_ns);
	/* A guest may say any number; JSON's whole numbers end earlier. */
	for (unsigned i = 0; i < b.nstats; i++)
		json_object_set_new(stats, b.stat[i].name,
			json_integer((json_int_t)(b.stat[i].value & INT64_MAX)));
	json_object_set_new(j, "stats", stats);
	return j;
}
