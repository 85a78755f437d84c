/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hand-over of a guest, from the freeze on, as spin sees it. The two machines are the rows of
 * handover.table (rows makes handover-rows.pml of them); this file is their world: the link, the
 * lock and its record, the guest, time, and FAULTS faults at any point.
 * Must never decide what a machine decides in the program.
 * Checked: never two runners; no start from a state that is not the newest; whoever runs holds the
 * lock; in the end one runner or a named in-doubt state, unless the guest went down with its owner.
 *
 * What one run checks is read from the environment, so that it is compiled once:
 *   ARBITER=1|0    a lock with a record, or nothing but the messages
 *   FAULTS=n       how many faults may happen
 *   PATIENT=1|0    a limit passes only if nothing else can happen any more, or at any time
 *   BREAK=n        the protocol broken on purpose (BREAK_..., each must be found), 0: whole
 * Next in the flow: tests/model/check runs it.
 */
c_decl {
\#include <stdlib.h>
}
bool arbiter, patient;
byte faults, broken;
#define BREAK_RELEASE_LATE  1 /* the source gives the lock up after COMMIT */
#define BREAK_TARGET_EARLY  2 /* the target thaws before it has acquired (or was told COMMIT) */
#define BREAK_SOURCE_EARLY  3 /* the source thaws before it has acquired (or was promised) */
#define BREAK_EPOCH         4 /* whoever gets the lock runs the guest, whatever the record says */
#define BREAK_HELD          5 /* a lock held elsewhere is taken for an owner, whatever the record says */
#define BREAK_FENCE         6 /* the record is written also after the lock was lost */
#define BREAK_OWN_WRITE     7 /* the own write, whose answer was lost, is taken for another's */
#define BREAK_MUTE          8 /* the target gives up although its write may have arrived */
#define BREAKS              8
#define LIMIT_PASSES (!patient || timeout)

#define SOURCE 0
#define TARGET 1
#define NOBODY 2
#define OTHER  3 /* whoever looks at the lock for a moment, as a target of an earlier move does */

#define N 1 /* the epoch this move begins with */

byte state[2];
byte pending[2];            /* the answer to a to-do, an event for the machine */
chan todo[2] = [4] of { byte };
chan to[2] = [3] of { byte }; /* messages, as the events they will be */
byte held[2];                /* a message delayed or copied: it arrives at any time, or never */
bool cut, told_down[2], cancelled;
bool late[2], waiting[2], down[2], promised[2], committed[2]; /* flags of handover.table */

bool alive[2] = true, finished[2], reach[2] = true; /* reach: of the storage */
byte op[2], lock = SOURCE, epoch = N, writer = SOURCE;
bool mute[2], last[2];       /* what the last attempt was told; the next one is the last */
bool lets_go[2];            /* its lock will go by itself: exit of the process, end of the lease */
bool expired[2];            /* its lease has ended while it was cut off */
bool late_release, looked;     /* looked: OTHER has had its moment */

bool running[2], off;
byte version = 1, image[2]; /* starts of the guest so far; what each end's copy of it has seen */

bool wrote[2], started[2], loaded;

#define is_arbiter(x) arbiter
#define is_late(x) late[x]
#define is_waiting(x) waiting[x]
#define is_down(x) down[x]
#define is_promised(x) promised[x]
#define is_committed(x) committed[x]
#include "handover-rows.pml"

/* ---- what is checked --------------------------------------------------------------------------- */
#define in_doubt(x) (alive[x] && (x == SOURCE && state[SOURCE] == SOURCE_IN_DOUBT || \
				  x == TARGET && state[TARGET] == TARGET_IN_DOUBT))
/* That host went which alone had, or alone had the right to, the newest state of the guest. */
#define went_down(x) (!alive[x] && (wrote[x] || started[x]))
#define died (went_down(SOURCE) || went_down(TARGET) || !alive[SOURCE] && !loaded)
#define over(x) (!alive[x] || finished[x] && len(todo[x]) == 0)
#define one_runner (running[SOURCE] + running[TARGET] == 1)
#define fine (one_runner || off || in_doubt(SOURCE) || in_doubt(TARGET) || died)
#define settled (over(SOURCE) && over(TARGET) && fine)

inline start(x)
{
	assert(!running[SOURCE] && !running[TARGET]);
	assert(image[x] == version);
	/* a lease may end at any time, also before the first instruction: the record has it then */
	assert(!arbiter || lock == x || writer == x && expired[x]);
	version++;
	image[x] = version;
	started[x] = true;
	running[x] = true
}

/* ---- the storage: steps between which anything may happen ------------------------------------- */
#define IDLE    0
#define LOCKING 1
#define READING 2
#define WRITING 3

inline answer(x, ev)
{
	op[x] = IDLE;
	mute[x] = (ev == EV_MUTE);
	late[x] = last[x];
	last[x] = false;
	if
	:: broken == BREAK_MUTE && late[x] && mute[x] && x == TARGET -> pending[x] = EV_HELD
	:: else -> pending[x] = ev
	fi
}

/* What cannot be given up goes with the process or the lease. */
inline unlock(x)
{
	if
	:: lock == x && reach[x] -> lock = NOBODY
	:: lock == x && !reach[x] -> lets_go[x] = true
	:: else
	fi
}

inline write(x)
{
	epoch = (epoch < N + 2 -> epoch + 1 : epoch);
	writer = x;
	wrote[x] = true
}

/* ---- the to-dos --------------------------------------------------------------------------------- */
inline send(x, m)
{
	if
	:: !cut && !finished[1 - x] && alive[1 - x] && len(to[1 - x]) < 3 -> to[1 - x]!m
	:: else
	fi
}

inline start_unless_running(x)
{
	if
	:: !running[x] -> start(x)
	:: else
	fi
}

inline acquire(x)
{
	if
	:: arbiter -> op[x] = LOCKING
	:: else -> pending[x] = EV_ACQUIRED /* no disk, or locks without a record: nobody wants them */
	fi
}

inline release(x)
{
	if
	:: broken == BREAK_RELEASE_LATE -> late_release = true; pending[x] = EV_RELEASED
	:: broken != BREAK_RELEASE_LATE && reach[x] -> unlock(x); pending[x] = EV_RELEASED
	:: broken != BREAK_RELEASE_LATE && !reach[x] -> pending[x] = EV_FAILED
	fi
}

#define too_early(x, what) \
	(broken == BREAK_TARGET_EARLY && x == TARGET && what == (arbiter -> DO_ACQUIRE : DO_LOADED) || \
	 broken == BREAK_SOURCE_EARLY && x == SOURCE && committed[x] && \
		 (arbiter && what == DO_ACQUIRE || !arbiter && what == DO_FINISH && state[x] == SOURCE_IN_DOUBT))

/* A copy that is not run is given up, and with it what it holds of the storage. */
inline finish(x)
{
	finished[x] = true;
	if
	:: arbiter && !running[x] && !in_doubt(x) -> unlock(x)
	:: else
	fi
}

inline carry_out(x, what)
{
	if
	:: what == DO_THAW || too_early(x, what) -> start_unless_running(x)
	:: else
	fi;
	if
	:: what == DO_ACQUIRE -> acquire(x)
	:: what == DO_RELEASE -> release(x)
	:: what == DO_THAW && x == TARGET -> pending[x] = EV_RUNS
	:: what == DO_LOAD -> image[x] = 1; pending[x] = EV_STATE_LOADED
	:: what == DO_LOADED -> loaded = true; send(x, EV_LOADED)
	:: what == DO_COMMIT -> send(x, EV_COMMIT)
	:: what == DO_THAWED -> send(x, EV_THAWED)
	:: what == DO_ABORT -> send(x, EV_ABORT)
	:: what == DO_FINISH -> finish(x)
	:: else
	fi
}

/* ---- one end of the move ------------------------------------------------------------------------ */
#define idle(x) (alive[x] && len(todo[x]) == 0)
#define listens(x) (idle(x) && !finished[x] && !pending[x] && op[x] == IDLE)
#define gone(x) (cut || !alive[1 - x] || finished[1 - x] && len(to[x]) == 0)
#define waits(x) (x == SOURCE && (state[SOURCE] == SOURCE_SAVE || state[SOURCE] == SOURCE_WAIT_LOADED || \
				  state[SOURCE] == SOURCE_WAIT_THAWED) || \
		  x == TARGET && state[TARGET] == TARGET_LOADED)
/* Attempts that would be answered as the last one was are left out. */
#define other_answer(x) (mute[x] -> reach[x] && (free_for(x) || !own_write(x)) : !reach[x] || free_for(x) || moved_on(x))
/* The limits of waiting for a lock are longer than a lease, and than what a host that is there does
 * with a lock before it ends its part. */
#define patience_ends(x) (!reach[x] || lock == 1 - x && alive[1 - x] && !lets_go[1 - x] && finished[1 - x])
#define may_cancel (state[SOURCE] == SOURCE_SAVE || state[SOURCE] == SOURCE_WAIT_LOADED)
#define own_write(x) (epoch == N + 1 && writer == x && broken != BREAK_OWN_WRITE)
#define moved_on(x) (epoch != N && !own_write(x))
#define free_for(x) (lock == x || lock == NOBODY)

proctype Host(byte x)
{
	byte what, ev;

end:
	do
	:: atomic { alive[x] && len(todo[x]) > 0 -> todo[x]?what; carry_out(x, what); what = 0 }
	:: atomic {
		if
		:: idle(x) && !finished[x] && pending[x] -> ev = pending[x]; pending[x] = 0
		:: listens(x) && !told_down[x] && len(to[x]) > 0 -> to[x]?ev
		:: listens(x) && held[x] -> ev = held[x]; held[x] = 0
		:: listens(x) && !told_down[x] && gone(x) -> told_down[x] = true; ev = EV_DOWN
		/* time: the limit of a wait, or the next attempt */
		:: listens(x) && waits(x) && LIMIT_PASSES -> late[x] = true; ev = EV_TICK
		:: listens(x) && waiting[x] && other_answer(x) -> ev = EV_TICK
		:: listens(x) && waiting[x] && patience_ends(x) && LIMIT_PASSES -> last[x] = true; ev = EV_TICK
		:: !patient && x == SOURCE && listens(x) && may_cancel && !cancelled -> cancelled = true; ev = EV_CANCEL
		:: !patient && x == SOURCE && listens(x) && state[x] == SOURCE_WAIT_LOADED && !told_down[x] && len(to[x]) > 0 ->
			to[x]?ev; late[x] = true
		fi;
		if
		:: x == SOURCE -> source_step(x, ev)
		:: else -> target_step(x, ev)
		fi;
		late[x] = false;
		ev = 0
	}
	/* the guest powers itself off, and its process ends */
	:: atomic { !patient && idle(x) && running[x] && finished[x] -> running[x] = false; off = true; unlock(x) }
	:: atomic { late_release && x == SOURCE && idle(x) && op[x] == IDLE && state[x] > SOURCE_WAIT_THAWED ->
		late_release = false; unlock(x) }
	/* an attempt to acquire: lock, read, write */
	:: atomic { idle(x) && op[x] != IDLE && !reach[x] ->
		if
		:: op[x] == WRITING && lock == x -> write(x) /* it arrived, its answer does not */
		:: true
		fi;
		unlock(x);
		answer(x, EV_MUTE) }
	:: atomic { idle(x) && op[x] == LOCKING && reach[x] ->
		if
		:: free_for(x) -> lock = x; lets_go[x] = false; op[x] = READING
		:: !free_for(x) && epoch == N && broken != BREAK_HELD -> answer(x, EV_HELD)
		:: !free_for(x) && own_write(x) && broken != BREAK_HELD -> answer(x, EV_MUTE) /* it may be ours */
		:: !free_for(x) && (moved_on(x) || broken == BREAK_HELD) -> answer(x, EV_DENIED)
		fi }
	:: atomic { idle(x) && op[x] == READING && reach[x] ->
		if
		:: epoch == N || broken == BREAK_EPOCH -> op[x] = WRITING
		:: own_write(x) && broken != BREAK_EPOCH -> answer(x, EV_ACQUIRED) /* its answer was lost */
		:: moved_on(x) && broken != BREAK_EPOCH ->
			unlock(x); answer(x, EV_DENIED)
		fi }
	:: atomic { idle(x) && op[x] == WRITING && reach[x] ->
		if
		:: lock != x && broken != BREAK_FENCE -> op[x] = LOCKING /* refused: once more from the lock on */
		:: lock == x || broken == BREAK_FENCE -> write(x); answer(x, EV_ACQUIRED)
		fi }
	od
}

/* ---- faults, and what goes by itself ------------------------------------------------------------ */
#define happens(condition) faults > 0 && (condition) -> faults--

inline crash(x)
{
	alive[x] = false;
	running[x] = false;
	op[x] = IDLE;
	pending[x] = 0;
	lets_go[x] = true
}

proctype Fate(byte x)
{
	byte m;

end:
	do
	:: atomic { happens(len(to[x]) > 0) -> to[x]?m; m = 0 } /* drop */
	:: atomic { happens(len(to[x]) > 0 && held[x] == 0) -> to[x]?m; held[x] = m; m = 0 } /* delay */
	:: atomic { happens(len(to[x]) > 0 && held[x] == 0) -> to[x]?<m>; held[x] = m; m = 0 } /* copy */
	:: atomic { happens(alive[x]) -> crash(x) }
	:: atomic { happens(x == SOURCE && !cut) -> cut = true }
	:: atomic { happens(arbiter && reach[x] && alive[x]) -> reach[x] = false }
	:: atomic { happens(arbiter && reach[x] && alive[x]) -> reach[x] = false; cut = true }
	/* what goes by itself */
	:: atomic { !reach[x] -> reach[x] = true }
	:: atomic { lock == x && lets_go[x] -> lock = NOBODY; lets_go[x] = false }
	:: atomic { lock == x && !reach[x] -> lock = NOBODY; expired[x] = true }
	:: atomic { arbiter && x == SOURCE && lock == NOBODY && !looked -> lock = OTHER; looked = true }
	:: atomic { x == SOURCE && lock == OTHER -> lock = NOBODY }
	od
}

init {
	atomic {
		c_code {
			now.arbiter = atoi(getenv("ARBITER"));
			now.patient = atoi(getenv("PATIENT"));
			now.faults = atoi(getenv("FAULTS"));
			now.broken = atoi(getenv("BREAK"));
		};
		state[SOURCE] = SOURCE_SAVE;
		state[TARGET] = TARGET_COPY;
		image[SOURCE] = 1;
		to[TARGET]!EV_STATE;
		pending[SOURCE] = EV_SAVED;
		run Host(SOURCE);
		run Host(TARGET);
		run Fate(SOURCE);
		run Fate(TARGET)
	}
}

ltl ends { <> [] settled }
/* Without a fault, and if nobody loses patience, the guest moves. */
ltl moves { <> [] (running[TARGET] && over(SOURCE) && over(TARGET)) }
