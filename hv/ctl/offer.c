/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns what a machine says of itself before it moves. Must never change the machine: it runs.
 * Next in the flow: hv/migrate/rendezvous.c sends it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "hv/ctl/migrate.h"

int ctl_offer_fill(struct rdv_offer *o, struct vm *vm, struct err *e)
{
	const struct gmem *mem = vm_mem(vm);
	struct stat st;
	struct wbuf w;
	int rc = 0;

	memset(o, 0, sizeof(*o));
	snprintf(o->software, sizeof(o->software), "%s", rdv_software());
	snprintf(o->name, sizeof(o->name), "%s", vm_config(vm)->name);
	o->nregions = mem->nregions;
	for (uint32_t i = 0; i < mem->nregions; i++) {
		o->region[i].gpa = mem->regions[i].gpa;
		o->region[i].size = mem->regions[i].size;
	}
	if (fstat(mem->fd, &st) < 0)
		return err_errno(e, "cannot ask how much guest memory is allocated");
	o->allocated_bytes = (uint64_t)st.st_blocks * 512;
	wbuf_init(&w);
	vm_config_encode(vm_config(vm), &w);
	if (w.failed || w.len > sizeof(o->config)) {
		rc = err_set(e, -EMSGSIZE, "the guest's configuration does not fit an offer");
	} else {
		memcpy(o->config, w.data, w.len);
		o->config_len = (uint32_t)w.len;
	}
	wbuf_fini(&w);
	return rc;
}
