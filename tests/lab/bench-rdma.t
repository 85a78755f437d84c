#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The bench guest, 256 MiB of it random, moves between two emulated hosts over RDMA, five times each way (LAB_MOVES=10).
# Next in the flow: tests/lab/pair-moves.
exec "$(dirname "$0")/pair-moves" rdma bench
