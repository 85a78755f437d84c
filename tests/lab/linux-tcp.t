#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Debian's unmodified cloud kernel moves between two emulated hosts over TCP, twice each way (LAB_MOVES=4); move.t makes more moves over TCP.
# Next in the flow: tests/lab/pair-moves.
LAB_MOVES=${LAB_MOVES:-4} exec "$(dirname "$0")/pair-moves" tcp linux
