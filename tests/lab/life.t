#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Debian's unmodified cloud kernel in an emulated host: it hears its power button, says that it
# panicked through the pvpanic port, and has its console on hvc0 by its own virtio_console.
# Never needs /dev/kvm on this machine: the emulated host has its own.
# Next in the flow: tests/lab/life-inside.
set -u
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

[ -x "$lab_watari" ] || lab_die "$lab_watari is not built: run make"
lab_prepare
dir=$lab_dir/run/life
rm -rf "$dir" && mkdir -p "$dir" || exit 1
cat >"$dir/settings" <<END
watari=$(realpath "$lab_watari")
kernel=$lab_guest_kernel
initrd=$lab_guest_initrd
END
cp "$lab_tests/life-inside" "$dir/script"
lab_host_run life "${LAB_TIMEOUT:-1200}" --memory 2G

n=0 bad=0
# point WHAT PATTERN FILE: the file says it, or is shown.
point() {
	n=$((n + 1))
	if grep -q "$2" "$dir/$3" 2>/dev/null; then
		echo "ok $n - $1"
		return
	fi
	bad=1
	echo "not ok $n - $1"
	tail -n 20 "$dir/$3" 2>&1 | sed 's/^/# /'
}

echo 1..12
point "run --detach comes back once the guest runs" '^guest button runs, process' button.run
point "Linux hears its power button" 'lab: pressed' button.console
point "and powers off; stop waited for it" '^guest button powered off$' button.stop
point "the console says when the guest is gone" 'does not live here any more' button.end
point "Linux says that it panicked" "kernel panicked" panic.status
point "its last words are on the console" 'end Kernel panic' panic.console
point "reset starts it again" 'asked for from outside' panic.after
point "the first lines, on the serial port, are on the console too" 'Linux version 6' hvc.console
point "what is typed reaches hvc0 and is answered" '^lab: heard one' hvc.console
point "the guest moves" '^guest hvc moved to 127.0.0.1' hvc.move
point "there its scrollback came along" '^lab: heard one' hvc.there
point "and what is typed is answered" '^lab: heard two' hvc.there
exit $bad
