/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the request "balloon" (docs/control-socket.md). Must never wait for the guest: what it told
 * last is the answer, with its age. Next in the flow: hv/vm/devices_net.c.
 */
#include <errno.h>

#include "hv/ctl/internal.h"
#include "hv/vm/balloon.h"

/* Does what key "size" of @request asks for, if it is there. */
static int balloon_set(struct vm *vm, const json_t *request, struct err *e)
{
	uint64_t size = 0;
	int rc = ctl_get_u64(request, "size", 0, INT64_MAX, &size, e);

	if (rc < 0 || !json_object_get(request, "size"))
		return rc;
	return vm_balloon_ask(vm, size, e);
}

/* NULL without memory. */
static json_t *balloon_json(struct vm *vm)
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

void op_balloon(struct ctl_guest *g, struct ctl_conn *c, const json_t *request)
{
	struct err e = { 0 };
	int rc = 0;

	/* A frozen device takes nothing, and a move has enough of a guest's writing as it is. */
	if (g->move && json_object_get(request, "size"))
		rc = err_set(&e, -EBUSY, "guest '%s' is on a move", vm_config(g->vm)->name);
	if (rc == 0)
		rc = balloon_set(g->vm, request, &e);
	if (rc < 0)
		ctl_conn_refuse(c, &e);
	else
		ctl_conn_answer(c, balloon_json(g->vm));
}
