/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checks, each in the file of its name. Private to this folder and its tests.
 * Next in the flow: preflight.c, which has them in order.
 */
#ifndef WATARI_PREFLIGHT_CHECKS_H
#define WATARI_PREFLIGHT_CHECKS_H

#include "hv/preflight/preflight.h"

extern const struct pf_check pf_check_reach, pf_check_versions, pf_check_transport, pf_check_cpu,
	pf_check_tsc, pf_check_lan, pf_check_link_speed, pf_check_mtu, pf_check_ports,
	pf_check_way_back, pf_check_disks, pf_check_disk_locks, pf_check_memory,
	pf_check_huge_pages, pf_check_memlock, pf_check_numa, pf_check_nets, pf_check_name,
	pf_check_kernel, pf_check_space, pf_check_clock, pf_check_time_sync, pf_check_duration;

#endif
