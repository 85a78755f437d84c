/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every check before a move: one pair of hosts on which it passes, and what it says on each pair on
 * which it must not. A check without both is found out by the last test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hv/kvm/cpuid.h"
#include "hv/preflight/preflight.h"

struct pair {
	struct pf_facts src, dst;
};

/* A processor that has @ecx of leaf 1. */
static void cpu(struct pf_facts *f, const char *vendor, uint32_t ecx)
{
	struct kvm_cpuid2 *c = calloc(1, sizeof(*c) + 2 * sizeof(c->entries[0]));
	struct wbuf w;

	c->nent = 2;
	memcpy(&c->entries[0].ebx, vendor, 4);
	memcpy(&c->entries[0].edx, vendor + 4, 4);
	memcpy(&c->entries[0].ecx, vendor + 8, 4);
	c->entries[1].function = 1;
	c->entries[1].ecx = ecx;
	wbuf_init(&w);
	cpuid_encode(c, &w);
	assert_true(w.len <= sizeof(f->cpuid));
	memcpy(f->cpuid, w.data, w.len);
	f->cpuid_len = (uint32_t)w.len;
	wbuf_fini(&w);
	free(c);
}

static void good_disks(struct pf_facts *f)
{
	f->ndisks = 3;
	f->disk[0] = (struct pf_disk){ .name = "root",
		.path = "/san/root.img",
		.size = 1 << 20,
		.inode = 7,
		.nonce = 0x1234,
		.held = PF_YES,
		.lock = PF_LOCK_HELD };
	f->disk[1] = (struct pf_disk){ .name = "iso",
		.path = "/san/iso.img",
		.readonly = true,
		.size = 1 << 20,
		.inode = 8,
		.digest = 99 };
	f->disk[2] = (struct pf_disk){ .name = "lun",
		.path = "/dev/mapper/lun",
		.readonly = true,
		.device = true,
		.size = 1 << 20,
		.identity = "naa.6001405" };
}

static void good_end(struct pf_facts *f)
{
	*f = (struct pf_facts){ .software = "0.1",
		.formats = "serial:1 virtio-blk:2 ",
		.protocol = 5,
		.guest = "bird",
		.kernel = "/boot/vmlinuz",
		.cpus = 2,
		.memory = 1 << 30,
		.allocated = 512 << 20,
		.page = 2 << 20,
		.nodes = 3,
		.tsc_khz = 2600000,
		.tsc_scaling = PF_NO,
		.available = 4ull << 30,
		.huge_free = 1 << 30,
		.nodes_here = 3,
		.memlock = UINT64_MAX,
		.memlock_known = PF_YES,
		.overcommit = PF_NO,
		.name_free = PF_YES,
		.kernel_there = PF_YES,
		.space = 1ull << 30,
		.space_known = PF_YES,
		.synced = PF_YES,
		.clock_error_us = 500,
		.link = { .device = "mig0",
			.here = PF_NO,
			.fallback = PF_NO,
			.mbit = 25000,
			.mtu = 9000,
			.port = 4711,
			.reached = PF_YES } };
	good_disks(f);
	f->nnets = 2;
	f->net[0] = (struct pf_net){ .name = "lan", .bridge = "br0", .have_bridge = PF_YES };
	f->net[1] = (struct pf_net){ .name = "out", .tap = "perch", .have_tap = PF_YES };
	cpu(f,
		"GenuineIntel"
		"",
		1u << 12 | 1u << 25);
}

static void good(struct pair *p)
{
	good_end(&p->src);
	good_end(&p->dst);
	strcpy(p->src.transport, "rdma");
	p->src.pins = true;
	p->src.clock_known = PF_YES;
	p->src.offset_ns = 120000;
	p->src.rtt_ns = 80000;
	p->src.rate = 1ull << 30;
	p->src.dirty_known = PF_YES;
	p->src.dirty_rate = 64 << 20;
	p->src.downtime_limit_ns = 10000000;
}

/* What is other than on the good pair: a line each. */
/* clang-format off */
#define CASE(what) static void what(struct pair *p)
CASE(as_good) { (void)p; }
CASE(nobody_listens) { strcpy(p->src.unreached, "the target h:1 cannot be reached: Connection refused"); }
CASE(rtt_unknown) { p->src.clock_known = PF_UNKNOWN; }
CASE(stranger) { strcpy(p->src.unreached, "the peer speaks protocol 77"); p->src.stranger = true; }
CASE(other_protocol) { p->dst.protocol = 6; strcpy(p->dst.software, "0.2"); }
CASE(older_section) { strcpy(p->dst.formats, "serial:1 virtio-blk:1 "); }
CASE(no_section) { strcpy(p->dst.formats, "serial:1 "); }
CASE(formats_unknown) { p->dst.formats[0] = '\0'; }
CASE(no_transport)
{
	p->src.transport[0] = '\0';
	strcpy(p->src.note, "transport rdma cannot be used: here: no device");
}
CASE(cpu_lacks) { cpu(&p->dst, "GenuineIntel", 1u << 25); }
CASE(cpu_other) { cpu(&p->dst, "AuthenticAMD", 1u << 12 | 1u << 25); }
CASE(cpu_no_kvm) { strcpy(p->dst.kvm_error, "there is no usable /dev/kvm here"); }
CASE(cpu_unknown) { p->dst.cpuid_len = 0; }
CASE(cpu_garbage) { memset(p->dst.cpuid, 0xff, 64); }
CASE(tsc_other) { p->dst.tsc_khz = 3000000; }
CASE(tsc_scales) { p->dst.tsc_khz = 3000000; p->dst.tsc_scaling = PF_YES; }
CASE(tsc_maybe) { p->dst.tsc_khz = 3000000; p->dst.tsc_scaling = PF_UNKNOWN; }
CASE(tsc_unknown) { p->dst.tsc_khz = 0; }
CASE(one_host) { p->src.link = p->dst.link = (struct pf_link){ .here = PF_YES }; }
CASE(one_host_adrift)
{
	p->src.link = p->dst.link = (struct pf_link){ .here = PF_YES };
	p->src.synced = p->dst.synced = PF_NO;
}
CASE(lan_default) { p->src.link.fallback = PF_YES; }
CASE(lan_default_there) { p->dst.link.fallback = PF_YES; strcpy(p->dst.link.device, "eth0"); }
CASE(lan_unknown) { p->dst.link.device[0] = '\0'; }
CASE(slow) { p->dst.link.mbit = 1000; }
CASE(speed_unknown) { p->src.link.mbit = 0; }
CASE(mtu_differs) { p->dst.link.mtu = 1500; }
CASE(mtu_unknown) { p->dst.link.mtu = 0; }
CASE(port_closed) { p->src.link.reached = PF_NO; strcpy(p->src.link.reach_error, "Connection timed out"); }
CASE(no_port) { p->dst.link.port = 0; strcpy(p->dst.link.reach_error, "Address already in use"); }
CASE(port_unknown) { p->src.link.reached = PF_UNKNOWN; }
CASE(no_way_back) { p->dst.link.reached = PF_NO; strcpy(p->dst.link.reach_error, "No route to host"); }
CASE(back_unknown) { p->dst.link.reached = PF_UNKNOWN; }
CASE(disk_missing) { strcpy(p->dst.disk[0].error, "No such file or directory"); }
CASE(disk_not_told) { p->dst.ndisks = 1; }
CASE(disk_size) { p->dst.disk[0].size = 2 << 20; }
CASE(disk_other) { p->dst.disk[0].nonce = 0x4321; }
CASE(disk_none_read) { p->dst.disk[0].nonce = 0; }
CASE(disk_unproven) { p->src.disk[0].nonce = p->dst.disk[0].nonce = 0; }
CASE(disk_inode) { p->dst.disk[0].inode = 9; }
CASE(disk_gone) { strcpy(p->src.disk[0].error, "No such file or directory"); }
CASE(disk_replaced) { p->src.disk[0].held = PF_NO; }
CASE(disk_beside) { p->dst.disk[0].held = PF_NO; }
CASE(disk_kind) { p->dst.disk[2].device = false; }
CASE(disk_bytes) { p->dst.disk[1].digest = 98; }
CASE(disk_unread) { p->dst.disk[1].digest = 0; }
CASE(disk_device) { strcpy(p->dst.disk[2].identity, "naa.6001999"); }
CASE(disk_nameless) { p->dst.disk[2].identity[0] = '\0'; }
CASE(lock_got) { p->dst.disk[0].lock = PF_LOCK_FREE; }
CASE(lock_none) { p->dst.disk[0].lock = PF_LOCK_NONE; strcpy(p->dst.disk[0].lock_error, "No locks available"); }
CASE(lock_unknown) { p->dst.disk[0].lock = PF_LOCK_UNKNOWN; }
CASE(lock_not_held) { p->src.disk[0].lock = PF_LOCK_UNKNOWN; }
CASE(no_arbiter)
{
	p->src.disk[0].readonly = p->dst.disk[0].readonly = true;
	p->src.disk[2].readonly = p->dst.disk[2].readonly = false;
}
CASE(little_memory) { p->src.page = 0; p->dst.available = 512 << 20; }
CASE(enough_memory) { p->src.page = 0; }
CASE(overcommitted) { little_memory(p); p->dst.overcommit = PF_YES; }
CASE(memory_unknown) { p->src.page = 0; p->dst.available = 0; }
CASE(few_huge) { p->dst.huge_free = 10 << 20; }
CASE(locked) { p->dst.memlock = 8 << 20; }
CASE(lock_limit_unknown) { p->dst.memlock_known = PF_UNKNOWN; }
CASE(no_node) { p->dst.nodes_here = 1; }
CASE(nodes_unknown) { p->dst.nodes_here = 0; }
CASE(no_bridge) { p->dst.net[0].have_bridge = PF_NO; }
CASE(no_tap) { p->dst.net[1].have_tap = PF_NO; }
CASE(net_unknown) { p->dst.net[0].have_bridge = PF_UNKNOWN; }
CASE(name_taken) { p->dst.name_free = PF_NO; strcpy(p->dst.name_error, "a guest named 'bird' lives here already"); }
CASE(name_unknown) { p->dst.name_free = PF_UNKNOWN; }
CASE(no_kernel) { p->dst.kernel_there = PF_NO; }
CASE(kernel_unknown) { p->dst.kernel_there = PF_UNKNOWN; }
CASE(full) { p->dst.space = 1 << 20; }
CASE(space_unknown) { p->src.space_known = PF_UNKNOWN; }
CASE(clock_behind) { p->src.offset_ns = -3000000000ll; }
CASE(clock_vague) { p->src.rtt_ns = 2000000000ull; }
CASE(clock_unknown) { p->src.clock_known = PF_UNKNOWN; }
CASE(unsynced) { p->dst.synced = PF_NO; }
CASE(sync_unknown) { p->src.synced = PF_UNKNOWN; }
CASE(writes_much) { p->src.dirty_rate = 2ull << 30; }
CASE(writes_long) { p->src.dirty_rate = 1000ull << 20; p->src.downtime_limit_ns = 1000000; }
CASE(not_sampled) { p->src.dirty_known = PF_UNKNOWN; }
CASE(link_not_timed) { p->src.rate = 0; }
/* clang-format on */

static const struct {
	const char *check;
	void (*change)(struct pair *p);
	enum pf_level level;
	const char *said;
} cases[] = {
	{ "reach", as_good, PF_PASS, "it answers within 80 us" },
	{ "reach", nobody_listens, PF_FAIL,
		"the target h:1 cannot be reached: Connection refused" },
	{ "reach", rtt_unknown, PF_WARN, "it answers, but how quickly is not known" },
	{ "versions", as_good, PF_PASS, "protocol 5 at both ends, watari 0.1 here and 0.1 there" },
	{ "versions", stranger, PF_FAIL, "the peer speaks protocol 77" },
	{ "versions", nobody_listens, PF_WARN, "not known: the target did not say" },
	{ "versions", other_protocol, PF_FAIL,
		"protocol 5 here (watari 0.1), 6 there (watari 0.2)" },
	{ "versions", older_section, PF_FAIL,
		"the guest's state has section 'virtio-blk' in version 2, the target reads up to 1" },
	{ "versions", no_section, PF_FAIL,
		"the guest's state has a section 'virtio-blk', which the target does not know" },
	{ "versions", formats_unknown, PF_WARN, "the formats of the guest's state are not known" },
	{ "transport", as_good, PF_PASS, "rdma" },
	{ "transport", no_transport, PF_FAIL, "transport rdma cannot be used: here: no device" },
	{ "cpu", as_good, PF_PASS, "the target has every feature that the guest was given" },
	{ "cpu", cpu_lacks, PF_FAIL,
		"as the target sees it, the guest was given processor features that this host lacks: fma" },
	{ "cpu", cpu_other, PF_FAIL,
		"the guest runs on a GenuineIntel processor, this host has AuthenticAMD" },
	{ "cpu", cpu_no_kvm, PF_FAIL,
		"the target cannot run a guest: there is no usable /dev/kvm" },
	{ "cpu", cpu_unknown, PF_WARN, "the processor there is not known" },
	{ "cpu", cpu_garbage, PF_WARN, "the processors cannot be compared" },
	{ "tsc", as_good, PF_PASS, "2600000 kHz for the guest, 2600000 kHz there" },
	{ "tsc", tsc_scales, PF_PASS, "3000000 kHz there, which scales" },
	{ "tsc", tsc_other, PF_WARN,
		"the guest's TSC ticks at 2600000 kHz, the target's at 3000000 kHz, and its processor "
		"cannot scale it" },
	{ "tsc", tsc_maybe, PF_WARN, "whether that host scales is not known" },
	{ "tsc", tsc_unknown, PF_WARN, "the TSC frequency there is not known" },
	{ "lan", as_good, PF_PASS, "here by mig0, which has no default route; there by mig0" },
	{ "lan", one_host, PF_PASS, "both ends are on this host" },
	{ "lan", lan_default, PF_WARN, "here the way is by mig0, which has the default route" },
	{ "lan", lan_default_there, PF_WARN,
		"there the way is by eth0, which has the default route" },
	{ "lan", lan_unknown, PF_WARN, "which network it is there is not known" },
	{ "link-speed", as_good, PF_PASS,
		"25000 Mbit/s here; 25000 Mbit/s there; one connection carried 1.00 GiB/s" },
	{ "link-speed", one_host, PF_PASS, "both ends are on this host" },
	{ "link-speed", slow, PF_WARN, "mig0 there has 1000 Mbit/s, less than 10000" },
	{ "link-speed", speed_unknown, PF_WARN, "how fast mig0 is here, its device does not say" },
	{ "mtu", as_good, PF_PASS, "MTU 9000 at both ends" },
	{ "mtu", one_host, PF_PASS, "both ends are on this host" },
	{ "mtu", mtu_differs, PF_WARN, "MTU 9000 of mig0 here, 1500 of mig0 there" },
	{ "mtu", mtu_unknown, PF_WARN, "the MTU there is not known" },
	{ "ports", as_good, PF_PASS, "port 4711, opened there for the test, was reached" },
	{ "ports", port_closed, PF_FAIL,
		"port 4711, opened there for the test, was not reached: Connection timed out" },
	{ "ports", no_port, PF_FAIL, "the target can open no port: Address already in use" },
	{ "ports", port_unknown, PF_WARN, "whether data can reach the target is not known" },
	{ "way-back", as_good, PF_PASS, "the target reached port 4711, opened here for the test" },
	{ "way-back", no_way_back, PF_WARN,
		"the target did not reach port 4711, opened here for the test: No route to host" },
	{ "way-back", back_unknown, PF_WARN, "whether the target reaches this host is not known" },
	{ "disks", as_good, PF_PASS,
		"disk 'root': the same file, proven by a number written beside it" },
	{ "disks", as_good, PF_PASS, "disk 'lun': device 'naa.6001405' at both ends" },
	{ "disks", disk_missing, PF_FAIL,
		"disk 'root': cannot open /san/root.img there: No such file or directory" },
	{ "disks", disk_not_told, PF_FAIL, "disk 'iso': the target says nothing of it" },
	{ "disks", disk_size, PF_FAIL,
		"disk 'root': /san/root.img has 1048576 bytes here and 2097152 there" },
	{ "disks", disk_other, PF_FAIL,
		"disk 'root': /san/root.img there is another file: what was written beside it here is not "
		"to be read there" },
	{ "disks", disk_none_read, PF_FAIL, "/san/root.img there is another file" },
	{ "disks", disk_unproven, PF_WARN, "that it is the same file there is not proven" },
	{ "disks", disk_inode, PF_WARN, "but is file number 7 here and 9 there" },
	{ "disks", disk_gone, PF_FAIL,
		"disk 'root': cannot open /san/root.img here: No such file or directory" },
	{ "disks", disk_replaced, PF_FAIL,
		"disk 'root': /san/root.img here is not the image that the guest uses: it was renamed" },
	{ "disks", disk_beside, PF_FAIL,
		"/san/root.img there is another file in the same folder: the guest's lock is not on it" },
	{ "disks", disk_kind, PF_FAIL,
		"disk 'lun': /dev/mapper/lun is a device here and a file there" },
	{ "disks", disk_bytes, PF_FAIL, "disk 'iso': /san/iso.img holds other bytes there" },
	{ "disks", disk_unread, PF_WARN, "/san/iso.img could not be read there to compare it" },
	{ "disks", disk_device, PF_FAIL,
		"disk 'lun': /dev/mapper/lun is device 'naa.6001405' here and 'naa.6001999' there" },
	{ "disks", disk_nameless, PF_WARN, "is a device whose identity is not known there" },
	{ "disk-locks", as_good, PF_PASS, "disk 'root': a lock held here was refused there" },
	{ "disk-locks", lock_got, PF_FAIL,
		"disk 'root': the target got a lock beside /san/root.img that this host holds: locks do "
		"not reach from one host to the other" },
	{ "disk-locks", lock_none, PF_FAIL, "disk 'root': no locks there: No locks available" },
	{ "disk-locks", lock_unknown, PF_WARN,
		"disk 'root': whether locks work there is not known" },
	{ "disk-locks", lock_not_held, PF_WARN,
		"disk 'root': whether its locks work could not be tried" },
	{ "disk-locks", no_arbiter, PF_WARN,
		"disk 'lun': no arbiter: a lock on the device /dev/mapper/lun is its host's alone" },
	{ "memory", enough_memory, PF_PASS, "1.00 GiB needed, 4.00 GiB available there" },
	{ "memory", little_memory, PF_FAIL, "1.00 GiB needed, 512.0 MiB available there" },
	{ "memory", overcommitted, PF_WARN, "and its receiver overcommits" },
	{ "memory", memory_unknown, PF_WARN, "what the target has free is not known" },
	{ "huge-pages", as_good, PF_PASS, "512 huge pages of 2.00 MiB needed, 512 free there" },
	{ "huge-pages", few_huge, PF_FAIL, "512 huge pages of 2.00 MiB needed, 5 free there" },
	{ "memlock", as_good, PF_PASS, "no limit here; no limit there" },
	{ "memlock", locked, PF_WARN,
		"512.0 MiB of guest memory to be locked, 8.00 MiB may be there" },
	{ "memlock", lock_limit_unknown, PF_WARN, "how much may be locked there is not known" },
	{ "numa", as_good, PF_PASS, "the target has every node that the guest is bound to" },
	{ "numa", no_node, PF_FAIL, "the guest is bound to NUMA node 1, the target has none" },
	{ "numa", nodes_unknown, PF_WARN, "which NUMA nodes the target has is not known" },
	{ "nets", as_good, PF_PASS,
		"net 'lan': bridge 'br0' is there; net 'out': tap 'perch' is there" },
	{ "nets", no_bridge, PF_FAIL, "net 'lan': bridge 'br0' does not exist there" },
	{ "nets", no_tap, PF_FAIL, "net 'out': tap 'perch' does not exist there" },
	{ "nets", net_unknown, PF_WARN, "net 'lan': whether its bridge is there is not known" },
	{ "name", as_good, PF_PASS, "'bird' is free there" },
	{ "name", name_taken, PF_FAIL, "a guest named 'bird' lives here already" },
	{ "name", name_unknown, PF_WARN, "whether 'bird' is free there is not known" },
	{ "kernel", as_good, PF_PASS, "/boot/vmlinuz can be read there" },
	{ "kernel", no_kernel, PF_WARN,
		"/boot/vmlinuz cannot be read there: the guest arrives, but a reboot ends it" },
	{ "kernel", kernel_unknown, PF_WARN,
		"whether /boot/vmlinuz can be read there is not known" },
	{ "space", as_good, PF_PASS, "1.00 GiB free here; 1.00 GiB free there" },
	{ "space", full, PF_WARN, "1.00 MiB free there" },
	{ "space", space_unknown, PF_WARN, "how much room there is here is not known" },
	{ "clock", as_good, PF_PASS, "the target's clock is 120 us ahead, give or take 40 us" },
	{ "clock", clock_behind, PF_WARN,
		"the target's clock is 3.00 s behind, give or take 40 us" },
	{ "clock", clock_vague, PF_WARN, "give or take 1.00 s" },
	{ "clock", clock_unknown, PF_WARN, "the offset of the clocks was not measured" },
	{ "time-sync", as_good, PF_PASS, "here the clock is synchronised, within 500 us" },
	{ "time-sync", one_host_adrift, PF_PASS, "both ends are on this host" },
	{ "time-sync", unsynced, PF_WARN, "there the clock is not synchronised" },
	{ "time-sync", sync_unknown, PF_WARN,
		"here it is not known whether the clock is synchronised" },
	{ "duration", as_good, PF_PASS,
		"about 533.33 ms in all, and a blackout of about 2.29 ms: the guest writes 64.0 MiB/s, one "
		"connection carries 1.00 GiB/s" },
	{ "duration", writes_much, PF_WARN,
		"the guest writes 2.00 GiB/s and one connection carries 1.00 GiB/s: it would be slowed down, "
		"or not get through" },
	{ "duration", writes_long, PF_WARN, "more than the downtime limit" },
	{ "duration", not_sampled, PF_WARN,
		"not to be told: the rate of the guest's writing was not" },
	{ "duration", link_not_timed, PF_WARN,
		"not to be told: the rate of the link was not measured" },
};
#define CASES (sizeof(cases) / sizeof(cases[0]))

static void every_case_says_what_it_must(void **state)
{
	struct pair *p = calloc(1, sizeof(*p));

	(void)state;
	for (size_t i = 0; i < CASES; i++) {
		const struct pf_check *c = pf_check_find(cases[i].check);
		struct pf_result r = { PF_PASS, "" };

		assert_non_null(c);
		good(p);
		cases[i].change(p);
		c->run(&p->src, &p->dst, &r);
		if (r.level != cases[i].level || !strstr(r.said, cases[i].said))
			fail_msg("check %s (case %zu): %s '%s', not %s '%s'", c->name, i,
				pf_level_name(r.level), r.said, pf_level_name(cases[i].level),
				cases[i].said);
	}
	free(p);
}

static void every_check_has_both_kinds_of_case(void **state)
{
	const struct pf_check *c;

	(void)state;
	for (unsigned i = 0; (c = pf_check_at(i)); i++) {
		unsigned good_ones = 0, bad_ones = 0;

		for (size_t k = 0; k < CASES; k++) {
			if (strcmp(cases[k].check, c->name) != 0)
				continue;
			good_ones += cases[k].level == PF_PASS;
			bad_ones += cases[k].level > PF_SKIPPED;
		}
		if (!good_ones || !bad_ones)
			fail_msg("check %s: %u good cases, %u bad ones", c->name, good_ones,
				bad_ones);
		assert_true(c->what[0] && c->why[0] && c->mend[0]);
	}
}

/* Whoever knows nothing says so: no check that compares passes on two empty records. */
static void what_is_not_known_passes_nowhere(void **state)
{
	static const char *const have_nothing[] = { "disks", "disk-locks", "huge-pages", "memlock",
		"numa", "nets" };
	struct pair *p = calloc(1, sizeof(*p));
	struct pf_report *rep = calloc(1, sizeof(*rep));

	(void)state;
	pf_run(&p->src, &p->dst, 0, true, rep);
	for (unsigned i = 0; i < rep->n; i++) {
		bool none = false; /* a guest without a disk has none to prove */

		for (size_t k = 0; k < sizeof(have_nothing) / sizeof(have_nothing[0]); k++)
			none |= strcmp(rep->row[i].check->name, have_nothing[k]) == 0;
		if (rep->row[i].r.level == PF_PASS && !none)
			fail_msg(
				"check %s passes: %s", rep->row[i].check->name, rep->row[i].r.said);
	}
	free(rep);
	free(p);
}

static void a_report_counts_what_is_worst_and_tells_failures_as_one_error(void **state)
{
	struct pair *p = calloc(1, sizeof(*p));
	struct pf_report *rep = calloc(1, sizeof(*rep));
	struct err e = { 0 };

	(void)state;
	good(p);
	pf_run(&p->src, &p->dst, 0, true, rep);
	assert_int_equal(rep->worst, PF_PASS);
	assert_int_equal(pf_report_error(rep, &e), 0);
	mtu_differs(p);
	pf_run(&p->src, &p->dst, 0, false, rep);
	assert_int_equal(rep->worst, PF_WARN);
	assert_int_equal(pf_report_error(rep, &e), 0);
	for (unsigned i = 0; i < rep->n; i++)
		assert_int_equal(rep->row[i].check->flags & PF_THOROUGH, 0);
	disk_missing(p);
	no_bridge(p);
	pf_run(&p->src, &p->dst, 0, false, rep);
	assert_int_equal(rep->worst, PF_FAIL);
	assert_int_equal(pf_report_error(rep, &e), -EPERM);
	assert_non_null(
		strstr(e.msg, "checks before the move failed: disks: disk 'root': cannot open"));
	assert_non_null(strstr(e.msg, "; nets: net 'lan'"));
	free(rep);
	free(p);
}

static void a_target_that_is_not_there_leaves_the_rest_unknown(void **state)
{
	struct pair *p = calloc(1, sizeof(*p));
	struct pf_report *rep = calloc(1, sizeof(*rep));

	(void)state;
	good_end(&p->src);
	nobody_listens(p);
	pf_run(&p->src, &p->dst, 0, true, rep);
	assert_int_equal(rep->row[0].r.level, PF_FAIL);
	for (unsigned i = 1; i < rep->n; i++) {
		assert_int_equal(rep->row[i].r.level, PF_WARN);
		assert_string_equal(rep->row[i].r.said, "not known: the target did not say");
	}
	free(rep);
	free(p);
}

static void what_is_skipped_is_not_run_and_only_what_is_safe_may_be(void **state)
{
	struct pair *p = calloc(1, sizeof(*p));
	struct pf_report *rep = calloc(1, sizeof(*rep));
	uint64_t skip = 0;
	char text[200];
	struct err e;

	(void)state;
	assert_int_equal(pf_skip_parse("mtu,nets", &skip, &e), 0);
	assert_string_equal(pf_skip_format(skip, text, sizeof(text)), "mtu,nets");
	assert_int_equal(pf_skip_parse("disks", &skip, &e), -EPERM);
	assert_string_equal(e.msg,
		"check disks cannot be skipped: a guest that goes on with another "
		"disk destroys it, and loses its own");
	assert_int_equal(pf_skip_parse("mtu,weather", &skip, &e), -EINVAL);
	assert_string_equal(e.msg, "there is no check 'weather'; 'watari check' lists them");
	for (const char *const *n =
			(const char *const[]){ "cpu", "versions", "disk-locks", "name", NULL };
		*n; n++)
		assert_int_equal(pf_skip_parse(*n, &skip, &e), -EPERM);
	good(p);
	mtu_differs(p);
	no_bridge(p);
	pf_run(&p->src, &p->dst, skip, true, rep);
	assert_int_equal(rep->worst, PF_SKIPPED);
	free(rep);
	free(p);
}

static void facts_travel_but_for_what_would_prove_nothing(void **state)
{
	struct pair *p = calloc(1, sizeof(*p));
	struct wbuf w;
	struct err e;

	(void)state;
	good(p);
	wbuf_init(&w);
	pf_facts_encode(&p->src, true, &w);
	assert_int_equal(pf_facts_decode(&p->dst, w.data, w.len, &e), 0);
	assert_int_equal(p->dst.disk[0].nonce, 0);
	assert_int_equal(p->dst.disk[1].digest, 0);
	assert_int_equal(p->dst.rate, 0);
	assert_string_equal(p->dst.disk[2].identity, "naa.6001405");
	assert_string_equal(p->dst.net[1].tap, "perch");
	assert_int_equal(p->dst.cpuid_len, p->src.cpuid_len);
	assert_memory_equal(p->dst.cpuid, p->src.cpuid, p->src.cpuid_len);
	assert_int_equal(p->dst.link.mtu, 9000);
	/* every cut is refused or says less, none is read beyond */
	for (size_t n = 0; n < w.len; n++)
		pf_facts_decode(&p->dst, w.data, n, &e);
	wbuf_reset(&w);
	pf_facts_encode(&p->src, false, &w);
	assert_int_equal(pf_facts_decode(&p->dst, w.data, w.len, &e), 0);
	assert_int_equal(p->dst.disk[0].nonce, 0x1234);
	wbuf_fini(&w);
	free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_case_says_what_it_must),
		cmocka_unit_test(every_check_has_both_kinds_of_case),
		cmocka_unit_test(what_is_not_known_passes_nowhere),
		cmocka_unit_test(a_report_counts_what_is_worst_and_tells_failures_as_one_error),
		cmocka_unit_test(a_target_that_is_not_there_leaves_the_rest_unknown),
		cmocka_unit_test(what_is_skipped_is_not_run_and_only_what_is_safe_may_be),
		cmocka_unit_test(facts_travel_but_for_what_would_prove_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
