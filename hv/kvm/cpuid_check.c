/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the comparison of two processors: which features a guest was given that another host cannot
 * give. Must never pass over a feature bit it has no name for: such a bit is named by leaf,
 * register and number.
 * Next in the flow: state_vcpu.c.
 */
#include "hv/kvm/cpuid.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "hv/kvm/internal.h"

enum cpuid_reg { EAX, EBX, ECX, EDX };

static const char *const cpuid_reg_name[] = { "eax", "ebx", "ecx", "edx" };

/*
 * The registers that are sets of features, a set bit being something the guest may use. Left out
 * of `mask`: bits KVM changes while the guest runs (OSXSAVE, APIC, OSPKE), bits that say something
 * is absent (leaf 7 FDP_EXCPTN_ONLY, ZERO_FCS_FDS), and the number of logical processors.
 */
static const struct {
	uint32_t function, index;
	enum cpuid_reg reg;
	uint32_t mask;
	const char *const name[32];
} cpuid_feature[] = {
	{ 0x1, 0, ECX, ~(1u << 27),
		{ "sse3", "pclmulqdq", [9] = "ssse3", [12] = "fma", [13] = "cx16", [17] = "pcid",
			[19] = "sse4_1", [20] = "sse4_2", [21] = "x2apic", [22] = "movbe",
			[23] = "popcnt", [24] = "tsc_deadline", [25] = "aes", [26] = "xsave",
			[28] = "avx", [29] = "f16c", [30] = "rdrand", [31] = "hypervisor" } },
	{ 0x1, 0, EDX, ~(1u << 9 | 1u << 28),
		{ "fpu", "vme", "de", "pse", "tsc", "msr", "pae", "mce",
			"cx8", [11] = "sep", [12] = "mtrr", [13] = "pge", [14] = "mca",
			[15] = "cmov", [16] = "pat", [17] = "pse36", [19] = "clflush", [23] = "mmx",
			[24] = "fxsr", [25] = "sse", [26] = "sse2", [27] = "selfsnoop" } },
	{ 0x7, 0, EBX, ~(1u << 6 | 1u << 13),
		{ "fsgsbase", "tsc_adjust", "sgx", "bmi1", "hle",
			"avx2", [7] = "smep", [8] = "bmi2", [9] = "erms", [10] = "invpcid",
			[11] = "rtm", [16] = "avx512f", [17] = "avx512dq", [18] = "rdseed",
			[19] = "adx", [20] = "smap", [21] = "avx512ifma", [23] = "clflushopt",
			[24] = "clwb", [25] = "intel_pt", [28] = "avx512cd", [29] = "sha_ni",
			[30] = "avx512bw", [31] = "avx512vl" } },
	{ 0x7, 0, ECX, ~(1u << 4),
		{ [1] = "avx512vbmi",
			[2] = "umip",
			[3] = "pku",
			[5] = "waitpkg",
			[6] = "avx512_vbmi2",
			[7] = "shstk",
			[8] = "gfni",
			[9] = "vaes",
			[10] = "vpclmulqdq",
			[11] = "avx512_vnni",
			[12] = "avx512_bitalg",
			[14] = "avx512_vpopcntdq",
			[16] = "la57",
			[22] = "rdpid",
			[24] = "bus_lock_detect",
			[25] = "cldemote",
			[27] = "movdiri",
			[28] = "movdir64b" } },
	{ 0x7, 0, EDX, ~0u,
		{ [2] = "avx512_4vnniw",
			[3] = "avx512_4fmaps",
			[4] = "fsrm",
			[8] = "avx512_vp2intersect",
			[10] = "md_clear",
			[14] = "serialize",
			[16] = "tsxldtrk",
			[20] = "ibt",
			[22] = "amx_bf16",
			[23] = "avx512_fp16",
			[24] = "amx_tile",
			[25] = "amx_int8",
			[26] = "spec_ctrl",
			[27] = "stibp",
			[28] = "flush_l1d",
			[29] = "arch_capabilities",
			[31] = "ssbd" } },
	{ 0x7, 1, EAX, ~0u,
		{ [4] = "avx_vnni",
			[5] = "avx512_bf16",
			[10] = "fzrm",
			[11] = "fsrs",
			[12] = "fsrc",
			[21] = "amx_fp16",
			[23] = "avx_ifma" } },
	{ 0x7, 1, EDX, ~0u, { [4] = "avx_vnni_int8", [14] = "prefetchiti" } },
	{ 0x7, 2, EDX, ~0u, { "psfd", "ipred_ctrl", "rrsba_ctrl", [4] = "bhi_ctrl" } },
	{ 0xd, 0, EAX, ~0u,
		{ "xsave_x87", "xsave_sse", "xsave_avx", "xsave_bndregs", "xsave_bndcsr",
			"xsave_opmask", "xsave_zmm_hi256", "xsave_hi16_zmm", [9] = "xsave_pkru",
			[17] = "xsave_xtilecfg", [18] = "xsave_xtiledata" } },
	{ 0xd, 0, EDX, ~0u, { NULL } },
	{ 0xd, 1, EAX, ~0u, { "xsaveopt", "xsavec", "xgetbv1", "xsaves", "xfd" } },
	{ 0xd, 1, ECX, ~0u, { [11] = "xsave_cet_u", [12] = "xsave_cet_s" } },
	{ 0x14, 0, EBX, ~0u, { NULL } },
	{ 0x80000001, 0, ECX, ~(1u << 1),
		{ "lahf_lm", [3] = "extapic", [4] = "cr8_legacy", [5] = "abm", [6] = "sse4a",
			[7] = "misalignsse", [8] = "3dnowprefetch", [9] = "osvw", [11] = "xop",
			[16] = "fma4", [21] = "tbm", [22] = "topoext" } },
	{ 0x80000001, 0, EDX, ~(1u << 9),
		{ [11] = "syscall",
			[20] = "nx",
			[22] = "mmxext",
			[25] = "fxsr_opt",
			[26] = "pdpe1gb",
			[27] = "rdtscp",
			[29] = "lm" } },
	{ 0x80000007, 0, EDX, ~0u, { [8] = "invtsc" } },
	{ 0x80000008, 0, EBX, ~0u,
		{ "clzero", [2] = "xsaveerptr", [9] = "wbnoinvd", [12] = "ibpb", [14] = "ibrs",
			[15] = "stibp_amd", [24] = "ssbd_amd", [25] = "virt_ssbd" } },
	{ 0x80000021, 0, EAX, ~0u, { [2] = "lfence_rdtsc", [6] = "null_sel_clr_base" } },
	{ 0x40000001, 0, EAX, ~0u,
		{ "kvmclock_old", "kvm_nop_io_delay", [3] = "kvmclock", [4] = "kvm_async_pf",
			[5] = "kvm_steal_time", [6] = "kvm_pv_eoi", [7] = "kvm_pv_unhalt",
			[9] = "kvm_pv_tlb_flush", [10] = "kvm_async_pf_vmexit",
			[11] = "kvm_pv_send_ipi", [12] = "kvm_poll_control",
			[13] = "kvm_pv_sched_yield", [14] = "kvm_async_pf_int",
			[24] = "kvmclock_stable" } },
};

#define FEATURES (sizeof(cpuid_feature) / sizeof(cpuid_feature[0]))

static const struct kvm_cpuid_entry2 *cpuid_find(
	const struct kvm_cpuid2 *c, uint32_t function, uint32_t index)
{
	for (uint32_t i = 0; i < c->nent; i++) {
		const struct kvm_cpuid_entry2 *e = &c->entries[i];

		if (e->function == function &&
			(!(e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) || e->index == index))
			return e;
	}
	return NULL;
}

static uint32_t cpuid_reg(
	const struct kvm_cpuid2 *c, uint32_t function, uint32_t index, enum cpuid_reg reg)
{
	const struct kvm_cpuid_entry2 *e = cpuid_find(c, function, index);

	if (!e)
		return 0;
	switch (reg) {
	case EAX: return e->eax;
	case EBX: return e->ebx;
	case ECX: return e->ecx;
	default: return e->edx;
	}
}

/* "GenuineIntel" of leaf 0; what a hostile table puts there is printed as '?'. */
static void cpuid_vendor(const struct kvm_cpuid2 *c, char *out)
{
	uint32_t r[] = { cpuid_reg(c, 0, 0, EBX), cpuid_reg(c, 0, 0, EDX),
		cpuid_reg(c, 0, 0, ECX) };

	memcpy(out, r, sizeof(r));
	for (size_t i = 0; i < sizeof(r); i++) {
		if (out[i] < 0x20 || out[i] > 0x7e)
			out[i] = '?';
	}
	out[sizeof(r)] = '\0';
}

/* Appends the names of the bits of feature register @f that @missing has. */
static void cpuid_name_bits(char *msg, size_t size, size_t f, uint32_t missing)
{
	for (uint32_t b = 0; b < 32; b++) {
		size_t n = strlen(msg);
		const char *comma = n ? ", " : "";

		if (!(missing >> b & 1))
			continue;
		if (cpuid_feature[f].name[b])
			snprintf(msg + n, size - n, "%s%s", comma, cpuid_feature[f].name[b]);
		else
			snprintf(msg + n, size - n, "%scpuid %#x.%u %s bit %u", comma,
				cpuid_feature[f].function, cpuid_feature[f].index,
				cpuid_reg_name[cpuid_feature[f].reg], b);
	}
}

int cpuid_check(const struct kvm_cpuid2 *saved, const struct kvm_cpuid2 *offered, struct err *e)
{
	char was[16], is[16], missing[320] = "";
	uint32_t need, have;

	cpuid_vendor(saved, was);
	cpuid_vendor(offered, is);
	if (strcmp(was, is) != 0)
		return err_set(
			e, -ENOTSUP, "the guest runs on a %s processor, this host has %s", was, is);
	for (size_t f = 0; f < FEATURES; f++) {
		need = cpuid_reg(saved, cpuid_feature[f].function, cpuid_feature[f].index,
			cpuid_feature[f].reg);
		have = cpuid_reg(offered, cpuid_feature[f].function, cpuid_feature[f].index,
			cpuid_feature[f].reg);
		cpuid_name_bits(missing, sizeof(missing), f, need & ~have & cpuid_feature[f].mask);
	}
	if (missing[0])
		return err_set(e, -ENOTSUP,
			"the guest was given processor features that this host lacks: %s", missing);
	need = cpuid_reg(saved, 0x80000008, 0, EAX) & 0xff;
	have = cpuid_reg(offered, 0x80000008, 0, EAX) & 0xff;
	if (need > have)
		return err_set(e, -ENOTSUP,
			"the guest was given %u bits of physical address, this host has %u", need,
			have);
	return 0;
}
