#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A real Debian system with systemd, its own initrd, a virtio disk and a virtio network card moves
# between two emulated hosts, twice by each transport, and neither it nor the world outside notices:
# a TCP connection that carries a number every millisecond, blocks written with fsync and read back,
# and a console line every 100 ms go on; nothing is lost, nothing comes twice, no log complains.
# Runs in a network namespace of its own. Never gives the kept image to a guest, only a copy.
# Next in the flow: tests/lab/debian-image makes the image, tests/lab/system/life.c is what it does.
#
#   Environment: LAB_TRANSPORTS="tcp tcp uring uring rdma rdma", one move each, back and forth.
set -u
[ "${LAB_NETNS:-}" = 1 ] || LAB_NETNS=1 exec unshare -n "$0" "$@"
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

transports=${LAB_TRANSPORTS:-tcp tcp uring uring rdma rdma}
[ -x "$lab_watari" ] || lab_die "$lab_watari is not built: run make"
lab_prepare
image=$("$lab_tests/debian-image") || exit 1
dir=$lab_dir/run/system
listener=
# shellcheck disable=SC2317
end() {
	lab_pair_end
	[ -z "$listener" ] || kill "$listener" 2>/dev/null
	rm -f "$lab_dir/run/system.raw"
}
trap end EXIT

uptime() {
	cut -d' ' -f1 /proc/uptime
}

other() {
	[ "$1" = a ] && echo b || echo a
}

# The world outside hears and the console tells @1 more times than now.
goes_on() {
	local lines=$(($(grep -c '^life: line' "$dir/console") + $1))
	local blocks=$(($(grep -c '^life: disk' "$dir/console") + 1))
	local numbers=$(($(grep -c '^life: net' "$dir/console") + 1))
	lab_wait 60 eval "[ \$(grep -c '^life: line' '$dir/console') -ge $lines ] &&
		[ \$(grep -c '^life: disk' '$dir/console') -ge $blocks ] &&
		[ \$(grep -c '^life: net' '$dir/console') -ge $numbers ]" && ! grep -a FAILED "$dir/console"
}

# longest FROM TO: the longest pause that the world outside saw in this time, ms.
longest() {
	awk -v from="$1" -v to="$2" '$1 >= from && $1 - $2 / 1000 <= to && $2 > most { most = $2 }
		END { print most + 0 }' "$dir/heard.gaps"
}

# No login prompt: it would hang up the console of those who print on it.
words="root=/dev/vda rw console=ttyS0 quiet panic=-1 life.outside=10.78.0.1:5599"
words+=" systemd.mask=serial-getty@ttyS0.service"

start_system() {
	lab_do a "start system \$watari run --name migrant --cpus 2 --memory 384M \
		--kernel $image/vmlinuz --initrd $image/initrd.img \
		--disk root,path=/dev/vda,serial=migrant,direct=on \
		--net lan,bridge=br0,mac=52:54:00:77:00:01 --serial file:/pair/console \
		--append '$words'" &&
		lab_wait 240 grep -q '^life: net' "$dir/console" && goes_on 10
}

# move FROM N TRANSPORT
move() {
	lab_do "$1" "\$watari migrate migrant --to \$$(other "$1"):7777 --transport $3 \
		--downtime-limit 300ms --json" >"$dir/move.$2" 2>"$dir/move.$2.errors" &&
		grep -q "\"transport\":\"$3\"" "$dir/move.$2" && return
	cat "$dir/move.$2" "$dir/move.$2.errors"
	return 1
}

figures() {
	perl -ne 'for my $k (qw(goodput total_ns rounds)) { printf "%s %s  ", $k, /"$k":(\d+)/ }
		printf "blackout_ns %s\n", /"blackout":\{"total_ns":(\d+)/' "$1"
}

# Every line of the console once and in order.
lines_whole() {
	perl -ne 'if (/^life: line (\d+) /) { $n //= 0;
			die "line $1 came where $n was due\n" if $1 != $n++ }
		END { print $n // 0, " lines\n"; exit($n < 50) }' "$dir/console"
}

# What the report says that a boot alone does not: after the first move, and what failed. The kernel
# says once, at a boot as well, that its timer's interrupt took long: so it is where the emulated
# host is slow, and the guest's clock goes on through a blackout by design.
report_clean() {
	grep -q '^life: report ends' "$dir/console" || { echo "there is no report"; return 1; }
	perl -ne 'BEGIN { $first = shift }
		$in = 1 if /^life: report begins/; $in = 0 if /^life: report ends/;
		next unless $in; print;
		$bad++ if /^failed: /;
		next if /hrtimer: interrupt took \d+ ns/;
		$bad++ if /^(?:warning|kernel): \[\s*([\d.]+)\]/ && $1 > $first;
		END { exit !!$bad }' "$first_move" "$dir/console"
}

system_gone() {
	! lab_do "$1" '$watari status migrant' >/dev/null 2>&1
}

rm -rf "$dir" && mkdir -p "$dir" && cp --sparse=always "$image/disk.raw" "$lab_dir/run/system.raw" ||
	lab_die "cannot copy the image"
gcc -O2 -Wall -D_GNU_SOURCE -o "$lab_dir/life" "$lab_tests/system/life.c" || lab_die "cannot build life"
lab_lan_up || lab_die "cannot make the guests' LAN"
lab_pair_start system --lan --memory 2G --disk "$lab_dir/run/system.raw"
"$lab_dir/life" listen 5599 "$dir/heard" >"$dir/listen" &
listener=$!

lab_check "two hosts come up" lab_pair_up || lab_done
lab_check "both wait for guests" eval "lab_do a 'receiver \$a' && lab_do b 'receiver \$b'" || lab_done
lab_check "Debian boots on a to its network, its disk and its console" start_system || lab_done
first_move=$(sed -n 's/^life: line [0-9]* at \([0-9.]*\).*/\1/p' "$dir/console" | tail -n 1)
quiet=$(uptime)
lab_check "a second guest on its disk is refused, and the first is named" eval \
	"! lab_do a '\$watari run --name second --memory 128M --kernel $image/vmlinuz --serial none \
		--disk root,path=/dev/vda' 2>'$dir/second' && cat '$dir/second' && grep -q migrant '$dir/second'"
echo "# without a move the world outside waited $(longest "$quiet" "$(uptime)") ms at most"
from=a n=0
for transport in $transports; do
	n=$((n + 1)) begin=$(uptime)
	lab_check "move $n: from $from to $(other $from) over $transport" move $from $n $transport || break
	from=$(other $from)
	lab_check "move $n: console, disk and network go on" goes_on 20 || break
	echo "# $(figures "$dir/move.$n")outside waited $(longest "$begin" "$(uptime)") ms at most"
done
lab_check "told to power off, it does" eval "lab_do $from '\$watari stop migrant --timeout 120s' &&
	lab_wait 30 system_gone $from"
lab_check "every console line came once" lines_whole
wait $listener
lab_check "every number came once, over one connection" eval \
	"cat '$dir/heard' '$dir/listen'; grep -q 'closed' '$dir/heard'"
listener=
lab_check "nothing failed, and no log complains of what came after the first move" report_clean
lab_check "its file system is clean" /sbin/e2fsck -fn "$lab_dir/run/system.raw"
lab_done
