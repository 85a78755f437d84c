#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The bench guest, 256 MiB of it random, moves between two emulated hosts over TCP, there and back (LAB_MOVES=2).
# Next in the flow: tests/lab/pair-moves.
LAB_MOVES=${LAB_MOVES:-2} exec "$(dirname "$0")/pair-moves" tcp bench
