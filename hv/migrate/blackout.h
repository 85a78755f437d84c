/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steps of a blackout, under the same names for what was predicted and for what was measured.
 * Next in the flow: predict.h, progress.h.
 */
#ifndef WATARI_MIGRATE_BLACKOUT_H
#define WATARI_MIGRATE_BLACKOUT_H

#include <stdint.h>

/* Each in ns, as the source sees them; all but load_ns, which is within send_ns, add up to
 * total_ns. */
struct mig_blackout {
	uint64_t total_ns;    /* freeze asked for ... the target's word that it thawed */
	uint64_t stop_ns;     /* vCPUs stopped */
	uint64_t harvest_ns;  /* last dirty pages found */
	uint64_t residual_ns; /* last pages posted */
	uint64_t save_ns;     /* state saved */
	uint64_t send_ns;     /* state posted ... target's word that it loaded it */
	uint64_t load_ns;     /* of send_ns, what the target spent loading */
	uint64_t start_ns;    /* commit ... target's word that it thawed */
};

/* When each step ended, by the source's monotonic clock; @freeze: when the first began. */
struct mig_moments {
	uint64_t freeze, stopped, harvested, posted, saved, loaded, thawed;
};

static inline struct mig_blackout blackout_of(const struct mig_moments *m, uint64_t load_ns)
{
	return (struct mig_blackout){
		.total_ns = m->thawed - m->freeze,
		.stop_ns = m->stopped - m->freeze,
		.harvest_ns = m->harvested - m->stopped,
		.residual_ns = m->posted - m->harvested,
		.save_ns = m->saved - m->posted,
		.send_ns = m->loaded - m->saved,
		.load_ns = load_ns,
		.start_ns = m->thawed - m->loaded,
	};
}

#endif
