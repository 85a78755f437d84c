/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the states, events and to-dos of the two machines are called, in golden traces and messages.
 * Owns nothing else. Next in the flow: source.c, target.c.
 */
#include "hv/migrate/source.h"
#include "hv/migrate/target.h"

const char *source_state_name(enum source_state st)
{
	static const char *const names[] = {
		[SOURCE_IDLE] = "IDLE",
		[SOURCE_WAIT_READY] = "WAIT_READY",
		[SOURCE_TRACK] = "TRACK",
		[SOURCE_SEND] = "SEND",
		[SOURCE_WAIT_ACK] = "WAIT_ACK",
		[SOURCE_HARVEST] = "HARVEST",
		[SOURCE_FREEZE] = "FREEZE",
		[SOURCE_LAST_HARVEST] = "LAST_HARVEST",
		[SOURCE_LAST_SEND] = "LAST_SEND",
		[SOURCE_SAVE] = "SAVE",
		[SOURCE_WAIT_LOADED] = "WAIT_LOADED",
		[SOURCE_RELEASE] = "RELEASE",
		[SOURCE_WAIT_THAWED] = "WAIT_THAWED",
		[SOURCE_ARBITRATE] = "ARBITRATE",
		[SOURCE_DONE] = "DONE",
		[SOURCE_MOVED] = "MOVED",
		[SOURCE_GIVEN_UP] = "GIVEN_UP",
		[SOURCE_IN_DOUBT] = "IN_DOUBT",
	};

	return st < SOURCE_STATES ? names[st] : "?";
}

const char *source_event_name(enum source_event_type t)
{
	static const char *const names[] = {
		[SOURCE_EV_CONNECTED] = "CONNECTED",
		[SOURCE_EV_READY] = "READY",
		[SOURCE_EV_TRACKING] = "TRACKING",
		[SOURCE_EV_SENT] = "SENT",
		[SOURCE_EV_ACKED] = "ACKED",
		[SOURCE_EV_HARVESTED] = "HARVESTED",
		[SOURCE_EV_NUDGED] = "NUDGED",
		[SOURCE_EV_FROZEN] = "FROZEN",
		[SOURCE_EV_SAVED] = "SAVED",
		[SOURCE_EV_LOADED] = "LOADED",
		[SOURCE_EV_RELEASED] = "RELEASED",
		[SOURCE_EV_THAWED] = "THAWED",
		[SOURCE_EV_ACQUIRED] = "ACQUIRED",
		[SOURCE_EV_HELD] = "HELD",
		[SOURCE_EV_DENIED] = "DENIED",
		[SOURCE_EV_MUTE] = "MUTE",
		[SOURCE_EV_TICK] = "TICK",
		[SOURCE_EV_CANCEL] = "CANCEL",
		[SOURCE_EV_ABORT] = "ABORT",
		[SOURCE_EV_DOWN] = "DOWN",
		[SOURCE_EV_FAILED] = "FAILED",
	};

	return t < SOURCE_EVENTS ? names[t] : "?";
}

const char *source_todo_name(enum source_todo_type t)
{
	static const char *const names[] = {
		[SOURCE_DO_TRACK] = "track",
		[SOURCE_DO_SEND] = "send",
		[SOURCE_DO_ROUND] = "round",
		[SOURCE_DO_HARVEST] = "harvest",
		[SOURCE_DO_THROTTLE] = "throttle",
		[SOURCE_DO_FREEZE] = "freeze",
		[SOURCE_DO_SAVE] = "save",
		[SOURCE_DO_RELEASE] = "release",
		[SOURCE_DO_COMMIT] = "commit",
		[SOURCE_DO_ACQUIRE] = "acquire",
		[SOURCE_DO_THAW] = "thaw",
		[SOURCE_DO_ABORT] = "abort",
		[SOURCE_DO_UNTRACK] = "untrack",
		[SOURCE_DO_FINISH] = "finish",
	};

	return names[t];
}

const char *target_state_name(enum target_state st)
{
	static const char *const names[] = {
		[TARGET_IDLE] = "IDLE",
		[TARGET_REHEARSE] = "REHEARSE",
		[TARGET_COPY] = "COPY",
		[TARGET_LOAD] = "LOAD",
		[TARGET_LOADED] = "LOADED",
		[TARGET_ACQUIRE] = "ACQUIRE",
		[TARGET_ARBITRATE] = "ARBITRATE",
		[TARGET_THAW] = "THAW",
		[TARGET_DONE] = "DONE",
		[TARGET_GIVEN_UP] = "GIVEN_UP",
		[TARGET_IN_DOUBT] = "IN_DOUBT",
	};

	return st < TARGET_STATES ? names[st] : "?";
}

const char *target_event_name(enum target_event_type t)
{
	static const char *const names[] = {
		[TARGET_EV_CONNECTED] = "CONNECTED",
		[TARGET_EV_REHEARSED] = "REHEARSED",
		[TARGET_EV_ROUND] = "ROUND",
		[TARGET_EV_STATE] = "STATE",
		[TARGET_EV_STATE_LOADED] = "STATE_LOADED",
		[TARGET_EV_COMMIT] = "COMMIT",
		[TARGET_EV_ACQUIRED] = "ACQUIRED",
		[TARGET_EV_HELD] = "HELD",
		[TARGET_EV_DENIED] = "DENIED",
		[TARGET_EV_MUTE] = "MUTE",
		[TARGET_EV_RUNS] = "RUNS",
		[TARGET_EV_TICK] = "TICK",
		[TARGET_EV_ABORT] = "ABORT",
		[TARGET_EV_DOWN] = "DOWN",
		[TARGET_EV_FAILED] = "FAILED",
	};

	return t < TARGET_EVENTS ? names[t] : "?";
}

const char *target_todo_name(enum target_todo_type t)
{
	static const char *const names[] = {
		[TARGET_DO_REHEARSE] = "rehearse",
		[TARGET_DO_READY] = "ready",
		[TARGET_DO_ACK] = "ack",
		[TARGET_DO_LOAD] = "load",
		[TARGET_DO_LOADED] = "loaded",
		[TARGET_DO_ACQUIRE] = "acquire",
		[TARGET_DO_THAW] = "thaw",
		[TARGET_DO_THAWED] = "thawed",
		[TARGET_DO_ABORT] = "abort",
		[TARGET_DO_FINISH] = "finish",
	};

	return names[t];
}
