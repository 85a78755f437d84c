/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `watari bench`: measures live migration with a guest that knows what happened to it. Starts both
 * ends itself, on this machine, and cleans up whatever happens.
 * Next in the flow: downtime.h (the options), campaign.h (one measurement after the other).
 */
#ifndef WATARI_BENCH_BENCH_H
#define WATARI_BENCH_BENCH_H

/* Runs `watari bench ARGV[1] ...`; ARGV[0] is "watari bench". Returns the exit status: 0, 1, 2. */
int bench_main(int argc, char **argv);

/* The subcommands, same convention, with their own name in ARGV[0]. */
int bench_downtime_main(int argc, char **argv);
int bench_demo_main(int argc, char **argv);
int bench_guest_main(int argc, char **argv);

#endif
