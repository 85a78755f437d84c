#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Debian's unmodified cloud kernel moves between two emulated hosts over TCP, five times each way (LAB_MOVES=10).
# Next in the flow: tests/lab/pair-moves.
exec "$(dirname "$0")/pair-moves" tcp linux
