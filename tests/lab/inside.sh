# SPDX-License-Identifier: Apache-2.0
#
# What every command that lab_do gives to an emulated host may use. /lab is the host's own folder,
# /pair the one that both hosts of a pair see.
# Never ends a process it did not start.
# Next in the flow: tests/lab/agent runs the commands.
# shellcheck shell=bash
. /lab/settings

export WATARI_RUNTIME_DIR=/run/watari
mkdir -m 700 -p "$WATARI_RUNTIME_DIR"

# wait_for SECONDS COMMAND...: until the command succeeds.
wait_for() {
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.1
	done
}

# says PATTERN FILE
says() {
	grep -q "$1" "$2" 2>/dev/null
}

# start NAME COMMAND...: in the background, its output in /lab/NAME and /lab/NAME.errors, its exit
# status in /lab/NAME.status when it ends. Outlives the command of lab_do; prints nothing.
start() {
	local name=$1
	shift
	rm -f "/lab/$name.status"
	(
		"$@" >"/lab/$name" 2>"/lab/$name.errors" </dev/null &
		echo $! >"/lab/$name.pid"
		wait $!
		echo $? >"/lab/$name.status"
	) >/dev/null 2>&1 </dev/null &
	wait_for 10 test -s "/lab/$name.pid"
}

# stop NAME [SIGNAL]: ends what start began, and waits for its end.
stop() {
	kill "-${2:-TERM}" "$(cat "/lab/$1.pid")" 2>/dev/null
	wait_for 20 test -e "/lab/$1.status"
}
