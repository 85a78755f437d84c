/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the threads of a guest's vCPUs run: the text form of it, the key "vcpu-cpus", and what it
 * means on a host.
 *
 *	place = set | "VCPUS:" set { ",VCPUS:" set }
 *	set   = item { "," item }     item = "N" | "N-M" | "node:N"     VCPUS = "N" | "N-M"
 *
 * "0-3,8": every vCPU on these CPUs. "0:2,1:3": vCPU 0 on CPU 2, vCPU 1 on CPU 3, the others
 * anywhere. "node:0": the CPUs of that NUMA node that may be used. "": anywhere.
 * Of a host, not of a guest: it does not travel.
 * Next in the flow: definition.c (the key), vcpus.c (the threads).
 */
#ifndef WATARI_VM_PLACE_H
#define WATARI_VM_PLACE_H

#include "hv/base/err.h"
#include "hv/mem/cpus.h"

/* The form, and that it names no vCPU from @cpus on. Nothing of a host. -EINVAL, naming the word.
 */
int place_check(const char *text, unsigned cpus, struct err *e);
/* Takes vCPUs from @cpus on out of a text that place_check() let through. */
void place_trim(char *text, unsigned cpus);
/*
 * Whether host @h has all that such a text names, and lets this process use it. -ENODEV, -EPERM and
 * others, naming the CPU or node and the way out.
 */
int place_fits(const char *text, const struct cpus_host *h, struct err *e);
/* Where vCPU @vcpu runs, of a text that fits: 1 and the set in @out; 0: anywhere. As above. */
int place_of(
	const char *text, unsigned vcpu, const struct cpus_host *h, cpu_set_t *out, struct err *e);

#endif
