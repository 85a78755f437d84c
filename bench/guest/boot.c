/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns what must happen in ring 0, on the boot vCPU: the loader's memory map and command line are
 * read, memory is laid out and mapped, the TSC's frequency found, the other vCPUs started. Keeps
 * it short: where ring 0 is interpreted, an instruction takes a third of a microsecond.
 * Must never use more than plain integer instructions, and never wait.
 * Invariant: on return `guest` is complete and the report's header is published.
 * Next in the flow: bench/guest/work.c.
 */
#include "bench/guest/guest.h"
#include "bench/guest/page.h"

#define MIB                 (1ull << 20)
#define LARGE_PAGE          (2 * MIB)
#define TABLE_REACH         (512ull << 30) /* what one page-directory-pointer table maps */
#define LAPIC               0xfee00000ull
#define LAPIC_SVR           0xf0
#define LAPIC_ICR           0x300
#define ICR_INIT_OTHERS     0xc4500u /* INIT, assert, all excluding self */
#define ICR_SIPI_OTHERS     0xc4600u
#define MSR_KVM_SYSTEM_TIME 0x4b564d01u
#define KVM_CLOCKSOURCE2    (1u << 3) /* CPUID 0x40000001 EAX */
/*
 * Present, writable, user, and accessed and dirty from the start: so the processor never writes the
 * tables, and a host may compare them.
 */
#define PTE_TABLE     0x27ull
#define PTE_LARGE     0xe7ull /* and PS */
#define TSC_KHZ_GUESS 2000000ull

/* Xen's start_info, version 1 and its memory map entries
 * (xen/include/public/arch-x86/hvm/start_info.h). */
struct pvh_start_info {
	uint32_t magic, version, flags, nr_modules;
	uint64_t modlist, cmdline, rsdp;
	uint64_t memmap; /* from here on: version 1 */
	uint32_t memmap_entries, reserved;
};
struct pvh_memmap {
	uint64_t addr, size;
	uint32_t type, reserved;
};
#define PVH_MAGIC 0x336ec578u
#define PVH_RAM   1u

struct guest guest;
struct bench_report report __attribute__((section(".bss.report"), aligned(4096)));

_Static_assert(offsetof(struct guest, stacks) == 0, "start.S: GUEST_STACKS");
_Static_assert(offsetof(struct guest, cpus) == 8, "start.S: GUEST_CPUS");

static void boot_cpuid(uint32_t leaf, uint32_t *a, uint32_t *b, uint32_t *c)
{
	uint32_t d;

	__asm__ volatile("cpuid" : "=a"(*a), "=b"(*b), "=c"(*c), "=d"(d) : "a"(leaf), "c"(0));
}

static void boot_wrmsr(uint32_t msr, uint64_t v)
{
	__asm__ volatile("wrmsr" ::"c"(msr), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)) : "memory");
}

static void boot_outb(uint16_t port, uint8_t v)
{
	__asm__ volatile("outb %0, %1" ::"a"(v), "Nd"(port));
}

/* ---- the command line: key=value words ---- */

/* The value of @key in @line, or NULL. It ends at a blank or the NUL. */
static const char *boot_option(const char *line, const char *key)
{
	for (const char *p = line; *p; p++) {
		const char *k = key;

		if (p != line && p[-1] != ' ')
			continue;
		while (*k && *p == *k) {
			p++;
			k++;
		}
		if (!*k && *p == '=')
			return p + 1;
		if (!*p)
			break;
	}
	return NULL;
}

static uint64_t boot_number(const char *line, const char *key, uint64_t def)
{
	const char *s = boot_option(line, key);
	uint64_t v = 0;

	if (!s || *s < '0' || *s > '9')
		return def;
	for (; *s >= '0' && *s <= '9'; s++)
		v = v * 10 + (uint64_t)(*s - '0');
	switch (*s) {
	case 'K': return v << 10;
	case 'M': return v << 20;
	case 'G': return v << 30;
	}
	return v;
}

/* True if the value of @key starts with @letter; every choice differs in its first. */
static int boot_is(const char *line, const char *key, char letter)
{
	const char *s = boot_option(line, key);

	return s && *s == letter;
}

/* ---- the TSC ---- */

/* What KVM's paravirtual clock multiplies TSC ticks with says how long a tick is. */
static uint64_t boot_tsc_pvclock(void)
{
	static struct {
		uint32_t version, pad;
		uint64_t tsc, system_time;
		uint32_t mul;
		int8_t shift;
		uint8_t flags, pad2[2];
	} clock __attribute__((aligned(64)));
	uint32_t a, b, c;
	uint64_t khz;

	boot_cpuid(0x40000001, &a, &b, &c);
	if (!(a & KVM_CLOCKSOURCE2))
		return 0;
	boot_wrmsr(MSR_KVM_SYSTEM_TIME, (uint64_t)&clock | 1);
	boot_cpuid(0, &a, &b, &c); /* an exit, after which the clock is written */
	khz = *(volatile uint32_t *)&clock.mul ? (1000000ull << 32) / clock.mul : 0;
	khz = clock.shift < 0 ? khz << -clock.shift : khz >> clock.shift;
	boot_wrmsr(MSR_KVM_SYSTEM_TIME, 0);
	return khz;
}

static uint64_t boot_tsc_khz(const char *line)
{
	uint64_t khz = boot_number(line, "tsc_khz", 0);
	uint32_t a, b, c, max, hypervisor;

	if (khz)
		return khz;
	boot_cpuid(0x40000000, &hypervisor, &b, &c);
	if (b == 0x4b4d564b) { /* "KVMK" */
		if (hypervisor >= 0x40000010) {
			boot_cpuid(0x40000010, &a, &b, &c);
			if (a)
				return a;
		}
		khz = boot_tsc_pvclock();
		if (khz)
			return khz;
	}
	boot_cpuid(0, &max, &b, &c);
	if (max < 0x15)
		return 0;
	boot_cpuid(0x15, &a, &b, &c);
	return a && b && c ? (uint64_t)c * b / a / 1000 : 0;
}

/* ---- memory ---- */

static uint64_t boot_round_up(uint64_t v, uint64_t to)
{
	return (v + to - 1) / to * to;
}

/* Everything to @end mapped one to one by 2 MiB pages, in tables from @tables on. */
static void boot_map(uint64_t tables, uint64_t end)
{
	for (uint64_t gib = 1; gib << 30 < end; gib++) {
		uint64_t *pd = (uint64_t *)(tables + (gib - 1) * 4096);

		for (uint64_t i = 0; i < 512; i++)
			pd[i] = (gib << 30) + i * LARGE_PAGE + PTE_LARGE;
		boot_pdpt[gib] = (uint64_t)pd + PTE_TABLE;
	}
}

/* The end of RAM, at least 4 GiB (for the local APIC), at most what the tables reach. */
static uint64_t boot_memory_end(const struct pvh_memmap *map, uint32_t n)
{
	uint64_t end = 4ull << 30;

	for (uint32_t i = 0; i < n; i++)
		if (map[i].type == PVH_RAM && map[i].addr + map[i].size > end)
			end = map[i].addr + map[i].size;
	return end < TABLE_REACH ? end : TABLE_REACH;
}

/* RAM from @from on becomes the areas of numbered pages. Returns how many pages they hold. */
static uint64_t boot_areas(const struct pvh_memmap *map, uint32_t n, uint64_t from)
{
	uint64_t pages = 0;

	for (uint32_t i = 0; i < n && guest.areas < BENCH_AREAS_MAX; i++) {
		uint64_t start = boot_round_up(map[i].addr, 4096);
		uint64_t end = (map[i].addr + map[i].size) & ~4095ull;

		if (start < from)
			start = from;
		if (end > TABLE_REACH)
			end = TABLE_REACH;
		if (map[i].type != PVH_RAM || end <= start)
			continue;
		guest.area[guest.areas].gpa = start;
		guest.area[guest.areas++].pages = (end - start) / 4096;
		pages += (end - start) / 4096;
	}
	return pages;
}

/*
 * After the image: page tables, stacks, the version table; then, from the next 2 MiB on, pages.
 * A working set that does not fit is cut to what does.
 */
static void boot_layout(const char *line, const struct pvh_memmap *map, uint32_t n)
{
	uint64_t at = (uint64_t)image_end, end = boot_memory_end(map, n), pages, from;

	boot_map(at, end);
	at += (boot_round_up(end, 1ull << 30) >> 30) * 4096;
	guest.stacks = at;
	guest.versions = at + BENCH_CPUS_MAX * GUEST_STACK_SIZE;
	guest.workset = boot_number(line, "workset", 8 * MIB) / 4096;
	if (guest.workset > end / 4096)
		guest.workset = end / 4096;
	from = boot_round_up(guest.versions + guest.workset * 4, LARGE_PAGE);
	pages = boot_areas(map, n, from);
	if (guest.workset > pages)
		guest.workset = pages;
	guest.fill = boot_is(line, "fill", 'a') ? pages : boot_number(line, "fill", ~0ull) / 4096;
	if (guest.fill > pages)
		guest.fill = pages;
	if (guest.fill < guest.workset)
		guest.fill = guest.workset;
}

/* ---- the other vCPUs ---- */

static void boot_start_others(void)
{
	volatile uint32_t *svr = (volatile uint32_t *)(LAPIC + LAPIC_SVR);
	volatile uint32_t *icr = (volatile uint32_t *)(LAPIC + LAPIC_ICR);

	memcpy((void *)AP_TRAMPOLINE, ap_start, (size_t)(ap_end - ap_start));
	*svr = *svr | 0x1ff;
	*icr = ICR_INIT_OTHERS;
	for (int i = 0; i < 1000; i++)
		guest_rdtsc();
	*icr = ICR_SIPI_OTHERS | AP_TRAMPOLINE >> 12;
}

static void boot_publish(void)
{
	struct bench_header *h = &report.h;

	memset(&report, 0, offsetof(struct bench_report, gap));
	h->layout = BENCH_LAYOUT;
	h->tsc_khz = guest.tsc_khz_found;
	h->cpus_wanted = guest.cpus;
	h->workset_pages = guest.workset;
	h->fill_pages = guest.fill;
	h->rate = guest.rate;
	h->pattern = guest.pattern;
	h->content = guest.content;
	h->versions_gpa = guest.versions;
	h->stacks_gpa = guest.stacks;
	h->stacks_size = BENCH_CPUS_MAX * GUEST_STACK_SIZE;
	h->areas = guest.areas;
	for (uint64_t i = 0; i < guest.areas; i++)
		h->area[i] = guest.area[i];
	__atomic_store_n(&h->magic, BENCH_MAGIC, __ATOMIC_RELEASE);
}

void boot_main(uint64_t start_info)
{
	static char line[BENCH_CMDLINE_MAX];
	const struct pvh_start_info *info = (const void *)start_info;
	const char *src = (const char *)info->cmdline;

	boot_outb(0x21, 0xff); /* firmware may have left the PICs open */
	boot_outb(0xa1, 0xff);
	for (size_t i = 0; src && i < sizeof(line) - 1 && src[i]; i++)
		line[i] = src[i];
	guest.cpus = boot_number(line, "cpus", 1);
	if (guest.cpus < 1 || guest.cpus > BENCH_CPUS_MAX)
		guest.cpus = BENCH_CPUS_MAX;
	guest.rate = boot_number(line, "rate", 200000);
	guest.pattern = boot_is(line, "pattern", 'h')   ? BENCH_HOT
			: boot_is(line, "pattern", 's') ? BENCH_SEQUENTIAL
							: BENCH_UNIFORM;
	guest.content = boot_is(line, "content", 'z')   ? BENCH_ZERO
			: boot_is(line, "content", 'c') ? BENCH_COMPRESSIBLE
							: BENCH_RANDOM;
	guest.tsc_khz_found = boot_tsc_khz(line);
	guest.tsc_khz = guest.tsc_khz_found ? guest.tsc_khz_found : TSC_KHZ_GUESS;
	if (info->magic == PVH_MAGIC && info->version >= 1)
		boot_layout(line, (const void *)info->memmap, info->memmap_entries);
	boot_publish();
	if (guest.cpus > 1)
		boot_start_others();
}
