/* SPDX-License-Identifier: Apache-2.0 */
/* The way into the benchmarks. Next in the flow: bench/bench.h. */
#include "bench/bench.h"

#include "hv/cmd/cmd.h"
#include "hv/cmd/transports.h"

int cmd_bench(int argc, char **argv)
{
	return bench_main(argc, argv, transport_at);
}
