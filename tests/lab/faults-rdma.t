#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What can fail between two emulated hosts while a guest moves over RDMA.
# Next in the flow: tests/lab/pair-faults.
exec "$(dirname "$0")/pair-faults" rdma
