/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `watari bench`: measures live migration with a guest that knows what happened to it. Starts both
 * ends itself, on this machine, and cleans up whatever happens.
 * Next in the flow: downtime.h (the options), campaign.h (one measurement after the other).
 */
#ifndef WATARI_BENCH_BENCH_H
#define WATARI_BENCH_BENCH_H

#include <stddef.h>

struct xport_ops;

/* The transports of this binary by number; NULL behind the last. */
typedef const struct xport_ops *(*bench_transports)(size_t i);

/*
 * Runs `watari bench ARGV[1] ...`; ARGV[0] is "watari bench". @at is the one list of transports.
 * Returns the exit status: 0, 1, 2.
 */
int bench_main(int argc, char **argv, bench_transports at);

/* The subcommands, same convention, with their own name in ARGV[0]. */
int bench_downtime_main(int argc, char **argv, bench_transports at);
int bench_transport_main(int argc, char **argv, bench_transports at);
int bench_tracker_main(int argc, char **argv, bench_transports at);
int bench_target_main(int argc, char **argv, bench_transports at);
int bench_demo_main(int argc, char **argv, bench_transports at);
int bench_guest_main(int argc, char **argv, bench_transports at);

#endif
