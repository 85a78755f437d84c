#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The moves of move.t with 2 vCPUs. This FAILS today (docs/lab.md, "Known defect"): after a move one
# CPU of the Linux guest may stand still, and its clock then steps by seconds. Until that is mended
# it runs only when asked for, LAB_SMP=1, and is counted as skipped, with this reason, otherwise.
# Next in the flow: tests/lab/move.t.
if [ "${LAB_SMP:-}" != 1 ]; then
	echo "1..0 # SKIP known defect, not mended: a Linux guest with 2 vCPUs loses a CPU after a move (LAB_SMP=1 runs it)"
	exit 0
fi
LAB_CPUS=2 exec "$(dirname "$0")/move.t"
