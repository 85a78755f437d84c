/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `watari check` in the guest's process: the checks before a move on a thread of their own, with no
 * move after them. All calls belong to the loop's thread. Next in the flow: preflight.h.
 */
#ifndef WATARI_CTL_CHECK_H
#define WATARI_CTL_CHECK_H

#include "hv/base/err.h"
#include "hv/base/loop.h"
#include "hv/ctl/preflight.h"

struct ctl_check;

/*
 * Starts to check as @p says; @done is called once, with the report, and the check is freed when it
 * returns. The machine must outlive it.
 */
int ctl_check_start(struct ctl_check **out, struct loop *l, const struct ctl_preflight *p,
	void (*done)(void *arg, const struct pf_report *p), void *arg, struct err *e);

#endif
