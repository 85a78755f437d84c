/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds out what this host has, into a record of facts. Changes nothing but for a file beside each
 * writable disk that lives as long as the check (gather_disk.c). Nothing here fails: what cannot be
 * found out stays unknown. Next in the flow: gather.c, gather_link.c, gather_disk.c.
 */
#ifndef WATARI_PREFLIGHT_GATHER_H
#define WATARI_PREFLIGHT_GATHER_H

#include "hv/preflight/facts.h"

#define PF_MARK ".check" /* appended to an image's path */

/* Memory, room in @dirs (NULL ends them), locks on memory, nodes, time. @f->page says which pages.
 */
void pf_gather_host(struct pf_facts *f, const char *const *dirs);
/* What KVM here would give the guest, and whether its kernel and nets are here. */
void pf_gather_target(struct pf_facts *f);

/* The way of the connected socket @fd. */
void pf_gather_link(struct pf_link *l, int fd);
/* Listens on the local address of @fd at a port of the kernel's choice: the descriptor, or -1 and
 * the reason in the link. Nobody has to accept: the kernel answers. */
int pf_port_open(struct pf_link *l, int fd);
/* Tries @port of the other end of @fd, and notes in @l whether it answered. */
void pf_port_try(struct pf_link *l, int fd, uint16_t port, int timeout_ms);

/* What the source holds while the check lasts: -1 for a disk without. */
struct pf_marks {
	int fd[PF_DISKS];
};
/* Source: looks at every disk; writes a number beside each that is written, and holds a lock there.
 */
void pf_disks_mark(struct pf_facts *f, struct pf_marks *m);
void pf_disks_unmark(const struct pf_facts *f, struct pf_marks *m);
/* Target: looks at every disk of @f, reads the numbers and tries the locks. */
void pf_disks_look(struct pf_facts *f);

#endif
