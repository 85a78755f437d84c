/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the requests that only look: status, definition, memory. Must never change anything.
 * Next in the flow: guest_life.c.
 */
#include <sys/stat.h>
#include <unistd.h>

#include "hv/base/clock.h"
#include "hv/ctl/definition.h"
#include "hv/ctl/internal.h"
#include "hv/vm/definition.h"

const char *guest_state(const struct ctl_guest *g, const struct vm_info *info)
{
	if (g->in_doubt[0])
		return "in-doubt";
	if (g->move && !g->arriving)
		return "migrating";
	if (g->move && !ctl_move_landed(g->move))
		return "incoming";
	if (info->hold & VM_HOLD_STOPPED)
		return "stopped";
	return info->hold ? "paused" : "running";
}

static void guest_status_move(struct ctl_guest *g, json_t *j)
{
	char text[CTL_ADDR_MAX], waits[CTL_SLOTS_TEXT];
	struct mig_progress p;
	const char *transport;
	struct ctl_addr to;
	json_t *m;

	ctl_move_look(g->move, &to, &transport, &p);
	m = ctl_progress_json(&p);
	json_object_del(m, "event");
	json_object_set_new(m, "to", json_string(ctl_addr_format(&to, text)));
	if (transport[0])
		json_object_set_new(m, "transport", json_string(transport));
	ctl_move_waits(g->move, waits);
	if (waits[0])
		json_object_set_new(m, "waits_for", json_string(waits));
	json_object_set_new(j, "migration", m);
}

static void guest_status_vcpus(struct ctl_guest *g, json_t *j)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < vm_config(g->vm)->cpus; i++) {
		struct vm_vcpu_where w;

		vm_vcpu_where(g->vm, i, &w);
		json_array_append_new(list, json_pack("{s:i,s:i,s:s}", "vcpu", (int)i, "thread",
						    (int)w.tid, "host_cpus", w.cpus));
	}
	json_object_set_new(j, "vcpus", list);
}

void op_status(struct ctl_guest *g, struct ctl_conn *c, const json_t *request)
{
	const struct vm_config *cfg = vm_config(g->vm);
	struct vm_info info;
	struct stat st = { 0 };
	char uuid[UUID_TEXT];
	json_t *j;

	(void)request;
	vm_info(g->vm, &info);
	fstat(vm_mem(g->vm)->fd, &st); /* a memfd: cannot fail */
	j = json_pack("{s:b,s:s,s:s,s:s,s:i,s:i,s:I,s:I,s:s,s:I,s:I,s:s,s:s,s:s}", "ok", 1, "name",
		cfg->name, "uuid", uuid_format(cfg->uuid, uuid), "state", guest_state(g, &info),
		"pid", (int)getpid(), "cpus", (int)cfg->cpus, "memory_bytes",
		(json_int_t)cfg->memory, "allocated_bytes", (json_int_t)st.st_blocks * 512,
		"tracking", info.tracking, "uptime_ns", (json_int_t)info.age_ns, "here_ns",
		(json_int_t)(clock_mono_ns() - g->since_ns), "serial", cfg->serial, "console",
		vm_console_name(cfg->console), "kernel", cfg->kernel);
	guest_status_vcpus(g, j);
	if (j && g->move && !g->arriving)
		guest_status_move(g, j);
	if (g->in_doubt[0])
		json_object_set_new(j, "reason", json_string(g->in_doubt));
	else if (info.reason[0])
		json_object_set_new(j, "reason", json_string(info.reason));
	for (int i = 0; i < CTL_CLIENTS_MAX; i++) {
		if (g->stopping[i])
			json_object_set_new(j, "stopping", json_true());
	}
	if (info.panicked)
		json_object_set_new(j, "panicked", json_true());
	if (info.resets) {
		json_object_set_new(j, "resets", json_integer(info.resets));
		json_object_set_new(j, "last_reset", json_string(info.last_reset));
	}
	ctl_conn_answer(c, j);
}

void op_definition(struct ctl_guest *g, struct ctl_conn *c, const json_t *request)
{
	(void)request;
	ctl_conn_answer(c, json_pack("{s:b,s:o}", "ok", 1, "definition",
				   ctl_definition_json(vm_config(g->vm))));
}

void op_memory(struct ctl_guest *g, struct ctl_conn *c, const json_t *request)
{
	const struct gmem *mem = vm_mem(g->vm);
	json_t *regions = json_array();

	(void)request;
	for (uint32_t i = 0; i < mem->nregions; i++) {
		const struct gmem_region *r = &mem->regions[i];

		json_array_append_new(
			regions, json_pack("{s:I,s:I,s:i,s:I}", "gpa", (json_int_t)r->gpa, "size",
					 (json_int_t)r->size, "fd", mem->fd, "fd_offset",
					 (json_int_t)r->fd_offset));
	}
	ctl_conn_answer(
		c, json_pack("{s:b,s:i,s:o}", "ok", 1, "pid", (int)getpid(), "regions", regions));
}
