/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the exchange of facts (see preflight.h). Must never judge them, nor leave tracking on, a
 * port open or a file beside a disk when it returns.
 * Next in the flow: hv/preflight/gather.h, hv/migrate/rendezvous.h.
 */
#include "hv/ctl/preflight.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "hv/base/clock.h"
#include "hv/base/log.h"
#include "hv/ctl/history.h"
#include "hv/ctl/proto.h"
#include "hv/preflight/gather.h"

#define PREFLIGHT_PORT_MS   500 /* for a connection on a LAN */
#define PREFLIGHT_SAMPLE_NS (200 * NSEC_PER_MSEC)
#define PREFLIGHT_WAIT_NS   (4 * NSEC_PER_SEC)
#define PREFLIGHT_CAN_NS    (10 * NSEC_PER_SEC) /* the target may load drivers */

_Static_assert(PF_DISKS >= VM_DISKS_MAX && PF_NETS >= VM_NETS_MAX, "a record holds every device");

static void preflight_versions(struct pf_facts *f, const struct vm *vm)
{
	snprintf(f->software, sizeof(f->software), "%s", rdv_software());
	f->protocol = RDV_PROTOCOL;
	vm_state_formats(vm, f->formats, sizeof(f->formats));
}

static void preflight_dirs(struct pf_facts *f)
{
	const char *const dirs[] = { ctl_state_dir(), ctl_runtime_dir(), NULL };

	pf_gather_host(f, dirs);
}

/* What the guest is made of, from its definition. */
static void preflight_devices(struct pf_facts *f, const struct vm_config *c)
{
	for (unsigned i = 0; i < c->ndisks; i++) {
		struct pf_disk *d = &f->disk[f->ndisks++];

		snprintf(d->name, sizeof(d->name), "%s", c->disks[i].name);
		snprintf(d->path, sizeof(d->path), "%s", c->disks[i].path);
		d->readonly = c->disks[i].readonly;
	}
	for (unsigned i = 0; i < c->nnets; i++) {
		struct pf_net *n = &f->net[f->nnets++];

		snprintf(n->name, sizeof(n->name), "%s", c->nets[i].name);
		snprintf(n->tap, sizeof(n->tap), "%s", c->nets[i].tap);
		snprintf(n->bridge, sizeof(n->bridge), "%s", c->nets[i].bridge);
	}
}

static void preflight_processor(struct pf_facts *f, const struct vm *vm)
{
	struct wbuf w;

	wbuf_init(&w);
	vm_processor(vm, &w, &f->tsc_khz);
	if (!w.failed && w.len <= sizeof(f->cpuid)) {
		memcpy(f->cpuid, w.data, w.len);
		f->cpuid_len = (uint32_t)w.len;
	}
	wbuf_fini(&w);
}

static void preflight_source(struct pf_facts *f, struct vm *vm)
{
	const struct vm_config *c = vm_config(vm);
	struct stat st;

	preflight_versions(f, vm);
	snprintf(f->guest, sizeof(f->guest), "%s", c->name);
	snprintf(f->kernel, sizeof(f->kernel), "%s", c->kernel);
	f->cpus = c->cpus;
	f->memory = c->memory;
	f->allocated = c->memory;
	if (fstat(vm_mem(vm)->fd, &st) == 0)
		f->allocated = (uint64_t)st.st_blocks * 512;
	f->page = c->backing.page;
	f->nodes = c->backing.nodes;
	preflight_devices(f, c);
	preflight_processor(f, vm);
	preflight_dirs(f);
}

/* ---- over the rendezvous --------------------------------------------------------------------- */

struct preflight_run {
	struct pf_facts src, dst;
	struct pf_marks marks;
	uint8_t body[RDV_FRAME_MAX];
	size_t len;
};

static int preflight_ask(struct preflight_run *r, int fd, uint64_t timeout_ns, struct err *e)
{
	struct wbuf w;
	int rc;

	wbuf_init(&w);
	pf_facts_encode(&r->src, true, &w);
	if (w.failed || w.len > RDV_FRAME_MAX)
		rc = err_set(e, -EMSGSIZE, "what the guest needs does not fit a message");
	else
		rc = rdv_check_send(fd, &w, r->body, &r->len, timeout_ns, e);
	wbuf_fini(&w);
	return rc ? rc : pf_facts_decode(&r->dst, r->body, r->len, e);
}

static void preflight_clock(struct pf_facts *f, int fd, uint64_t timeout_ns)
{
	struct rdv_clock c;

	if (rdv_clock_measure(fd, &c, timeout_ns, NULL) < 0)
		return;
	f->clock_known = PF_YES;
	f->offset_ns = c.offset_ns;
	f->rtt_ns = c.rtt_ns;
}

/* The facts of both ends into @r. An error is of the connection. */
static int preflight_exchange(
	struct preflight_run *r, int fd, uint64_t timeout_ns, bool thorough, struct err *e)
{
	struct pf_facts *f = &r->src;
	int port, rc;

	pf_gather_link(&f->link, fd);
	port = pf_port_open(&f->link, fd);
	pf_disks_mark(f, &r->marks);
	rc = preflight_ask(r, fd, timeout_ns, e);
	pf_disks_unmark(f, &r->marks);
	if (port >= 0)
		close(port);
	if (rc)
		return rc;
	pf_port_try(&f->link, fd, r->dst.link.port, PREFLIGHT_PORT_MS);
	preflight_clock(f, fd, timeout_ns);
	if (thorough && rdv_rate_measure(fd, &f->rate, timeout_ns, NULL) < 0)
		f->rate = 0;
	return 0;
}

static void preflight_chosen(struct pf_facts *f, const struct xport_ops *xport)
{
	snprintf(f->transport, sizeof(f->transport), "%s", xport->name);
	f->pins = strcmp(xport->name, "rdma") == 0;
}

int ctl_preflight_move(const struct ctl_preflight *p, int fd, const struct xport_ops *xport,
	uint64_t timeout_ns, struct pf_report *out, struct err *e)
{
	struct preflight_run *r = calloc(1, sizeof(*r));
	uint64_t begun = clock_mono_ns();
	int rc;

	if (!r)
		return err_set(e, -ENOMEM, "no memory for the checks before the move");
	preflight_source(&r->src, p->vm);
	preflight_chosen(&r->src, xport);
	r->src.downtime_limit_ns = p->downtime_limit_ns;
	rc = preflight_exchange(r, fd, timeout_ns, false, e);
	log_debug(
		"the checks before the move took %.1f ms", (double)(clock_mono_ns() - begun) / 1e6);
	if (rc == 0) {
		pf_run(&r->src, &r->dst, p->skip, false, out);
		rc = pf_report_error(out, e);
	}
	free(r);
	return rc;
}

/* ---- by itself ------------------------------------------------------------------------------- */

/* How fast the guest writes, in distinct pages; it runs on all the while. */
static void preflight_dirty(struct pf_facts *f, struct vm *vm)
{
	const struct timespec pause = { .tv_nsec = (long)PREFLIGHT_SAMPLE_NS };
	struct dirty_map d;
	uint64_t begun, ns;

	if (dirty_map_init(&d, vm_mem(vm), NULL))
		return;
	if (vm_mig_ops.track_start(vm, NULL) == 0) {
		begun = clock_mono_ns();
		nanosleep(&pause, NULL);
		if (vm_mig_ops.track_harvest(vm, &d, NULL) == 0) {
			ns = clock_mono_ns() - begun;
			f->dirty_known = PF_YES;
			f->dirty_rate = (uint64_t)((double)dirty_map_count(&d) * GMEM_PAGE_SIZE *
						   NSEC_PER_SEC / (double)ns);
		}
		vm_mig_ops.track_stop(vm);
	}
	dirty_map_fini(&d);
}

static int preflight_meet(
	struct preflight_run *r, const struct ctl_preflight *p, struct err *e, bool *stranger)
{
	struct xport_addr addr = { .streams = 1, .memory = r->src.allocated };
	struct rdv_transports here, there;
	const struct xport_ops *xport;
	char note[CHOOSE_NOTE_MAX];
	struct err why = { 0 };
	int fd, rc;

	choose_probe(&p->transports, NULL, &here); /* drivers, before the target's clock runs */
	fd = rdv_connect(p->to.host, p->to.port, PREFLIGHT_WAIT_NS, e);
	if (fd < 0)
		return fd;
	rc = rdv_meet(fd, addr.memory, PREFLIGHT_WAIT_NS, e);
	*stranger = rc == -EPROTO || (rc == -ECONNREFUSED && strstr(e->msg, "protocol"));
	if (rc == 0)
		rc = rdv_host(fd, true, addr.host, e);
	if (rc == 0)
		choose_probe(&p->transports, &addr, &here);
	if (rc == 0)
		rc = rdv_can_read(fd, &there, PREFLIGHT_CAN_NS, e);
	if (rc == 0) {
		xport = choose_transport(&p->transports, &here, &there, note, &why);
		if (xport)
			preflight_chosen(&r->src, xport);
		snprintf(r->src.note, sizeof(r->src.note), "%.*s", (int)sizeof(r->src.note) - 1,
			xport ? note : why.msg);
		rc = preflight_exchange(r, fd, PREFLIGHT_WAIT_NS, true, e);
	}
	close(fd);
	return rc;
}

void ctl_preflight_check(const struct ctl_preflight *p, struct pf_report *out)
{
	struct preflight_run *r = calloc(1, sizeof(*r));
	struct err e = { 0 };
	bool stranger = false;

	if (!r) {
		memset(out, 0, sizeof(*out));
		out->worst = PF_FAIL;
		return;
	}
	preflight_source(&r->src, p->vm);
	r->src.downtime_limit_ns = p->downtime_limit_ns;
	if (p->thorough)
		preflight_dirty(&r->src, p->vm);
	if (preflight_meet(r, p, &e, &stranger) < 0) {
		snprintf(r->src.unreached, sizeof(r->src.unreached), "%s", e.msg);
		r->src.stranger = stranger;
	}
	pf_run(&r->src, &r->dst, p->skip, p->thorough, out);
	free(r);
}

/* ---- the target's half ----------------------------------------------------------------------- */

int ctl_preflight_answer(
	const void *body, size_t len, int fd, struct pf_facts *here, int *port, struct err *e)
{
	struct pf_facts *src = calloc(1, sizeof(*src));
	int rc = src ? pf_facts_decode(src, body, len, e)
		     : err_set(e, -ENOMEM, "no memory for the checks");

	if (rc == 0 && !ctl_name_ok(src->guest))
		rc = err_set(e, -EPROTO, "the source names no guest");
	if (rc < 0)
		goto out;
	memset(here, 0, sizeof(*here));
	memcpy(here->guest, src->guest, sizeof(here->guest));
	memcpy(here->kernel, src->kernel, sizeof(here->kernel));
	here->cpus = src->cpus > VM_CPUS_MAX ? VM_CPUS_MAX : src->cpus;
	here->memory = src->memory;
	here->page = src->page == 2u << 20 || src->page == 1u << 30 ? src->page : 0;
	here->nodes = src->nodes;
	preflight_versions(here, NULL);
	for (; here->ndisks < src->ndisks; here->ndisks++) {
		struct pf_disk *d = &here->disk[here->ndisks];

		memcpy(d->name, src->disk[here->ndisks].name, sizeof(d->name));
		memcpy(d->path, src->disk[here->ndisks].path, sizeof(d->path));
		d->readonly = src->disk[here->ndisks].readonly;
	}
	for (; here->nnets < src->nnets; here->nnets++) {
		struct pf_net *n = &here->net[here->nnets];

		memcpy(n->name, src->net[here->nnets].name, sizeof(n->name));
		memcpy(n->tap, src->net[here->nnets].tap, sizeof(n->tap));
		memcpy(n->bridge, src->net[here->nnets].bridge, sizeof(n->bridge));
	}
	pf_gather_link(&here->link, fd);
	pf_port_try(&here->link, fd, src->link.port, PREFLIGHT_PORT_MS);
	if (*port >= 0)
		close(*port);
	*port = pf_port_open(&here->link, fd);
	pf_disks_look(here);
	pf_gather_target(here);
	preflight_dirs(here);
out:
	free(src);
	return rc;
}

/* ---- as JSON --------------------------------------------------------------------------------- */

json_t *ctl_preflight_json(const struct pf_report *p, enum pf_level least)
{
	json_t *all = json_array();

	for (unsigned i = 0; all && i < p->n; i++) {
		const struct pf_check *c = p->row[i].check;
		json_t *one;

		if (p->row[i].r.level < least)
			continue;
		/* s*: words of a peer, which may be no UTF-8 */
		one = json_pack("{s:s,s:s,s:s*,s:s,s:s,s:s}", "name", c->name, "result",
			pf_level_name(p->row[i].r.level), "said", p->row[i].r.said, "what", c->what,
			"why", c->why, "mend", c->mend);
		if (one)
			json_array_append_new(all, one);
	}
	return all;
}

int ctl_preflight_skip(const json_t *request, uint64_t *skip, struct err *e)
{
	const json_t *names = json_object_get(request, "skip"), *one;
	size_t i;

	*skip = 0;
	if (names && !json_is_array(names))
		return err_set(e, -EINVAL, "'skip' is no list of checks");
	json_array_foreach(names, i, one)
	{
		int rc;

		if (!json_is_string(one))
			return err_set(e, -EINVAL, "'skip' is no list of checks");
		rc = pf_skip_parse(json_string_value(one), skip, e);
		if (rc < 0)
			return rc;
	}
	return 0;
}
