/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the ACPI tables (see acpi.h). Must never describe what is not there: every port and line
 * comes from hv/base/machine.h, which the devices use too.
 * Invariant: each table's bytes sum to zero, and all tables lie in the area that the memory map
 * calls reserved.
 * Next in the flow: boot.c puts the RSDP's address into the boot parameters.
 */
#include "hv/boot/acpi.h"

#include <errno.h>
#include <string.h>

#include "hv/base/codec.h"
#include "hv/base/machine.h"
#include "hv/boot/aml.h"
#include "hv/boot/image.h"

#define ACPI_RSDP_SIZE  36u
#define ACPI_RSDP_V1    20u /* the part that the first checksum covers */
#define ACPI_FACS_SIZE  64u
#define ACPI_FACS_ALIGN 64u
#define ACPI_CPUS_MAX   254u
#define ACPI_OEM        "WATARI"

/* FADT flags (table 5.10) and boot architecture flags (5.11). */
#define FADT_WBINVD      (1u << 0)
#define FADT_PROC_C1     (1u << 2)
#define FADT_SLP_BUTTON  (1u << 5) /* no fixed sleep button */
#define FADT_FIX_RTC     (1u << 6) /* no RTC wake status in the fixed registers */
#define FADT_TMR_VAL_EXT (1u << 8) /* the timer has 32 bits */
#define FADT_RESET_REG   (1u << 10)
#define FADT_BOOT_LEGACY (1u << 0)
#define FADT_BOOT_8042   (1u << 1)
#define FADT_BOOT_NO_VGA (1u << 2)
#define FADT_LAT_NO_C2   0xfffu /* beyond the largest latency that counts: not supported */
#define FADT_LAT_NO_C3   0xffffu
#define FADT_RTC_CENTURY 0x32u
#define ACPI_STA_THERE   0x0f /* present, enabled, shown, working (6.3.7) */
#define ACPI_SPACE_IO    1u

/* MADT entry types (5.2.12). */
enum { MADT_LAPIC = 0, MADT_IOAPIC = 1, MADT_OVERRIDE = 2, MADT_LAPIC_NMI = 4 };
#define MADT_PCAT_COMPAT  1u /* there are two 8259s */
#define MADT_ENABLED      1u
#define MADT_IRQ_AS_BUS   0u
#define MADT_IRQ_LEVEL_HI 0x000du /* active high, level */
#define MADT_ALL_CPUS     0xffu

static uint8_t acpi_checksum(const uint8_t *p, size_t n)
{
	uint8_t sum = 0;

	while (n--)
		sum = (uint8_t)(sum + *p++);
	return (uint8_t)-sum;
}

static void acpi_zeros(struct wbuf *w, size_t n)
{
	while (n--)
		wbuf_u8(w, 0);
}

static void acpi_align(struct wbuf *w, size_t align)
{
	while (!w->failed && w->len % align)
		wbuf_u8(w, 0);
}

/* Guest-physical address of what is written next. */
static uint32_t acpi_here(const struct wbuf *w)
{
	return (uint32_t)(BOOT_ROM_ADDR + w->len);
}

/* Opens a table; returns where it starts in the buffer. */
static size_t acpi_begin(struct wbuf *w, const char *signature, uint8_t revision)
{
	size_t at;

	acpi_align(w, 16);
	at = w->len;
	wbuf_bytes(w, signature, 4);
	wbuf_u32(w, 0); /* length and checksum come in acpi_end() */
	wbuf_u8(w, revision);
	wbuf_u8(w, 0);
	wbuf_bytes(w, ACPI_OEM, 6);
	wbuf_bytes(w, ACPI_OEM "  ", 8);
	wbuf_u32(w, 1);
	wbuf_bytes(w, "WTRI", 4);
	wbuf_u32(w, 1);
	return at;
}

/* Closes a table; returns its guest-physical address. */
static uint32_t acpi_end(struct wbuf *w, size_t at)
{
	size_t n = w->len - at;

	wbuf_patch_u32(w, at + 4, (uint32_t)n);
	if (!w->failed)
		w->data[at + 9] = acpi_checksum(w->data + at, n);
	return (uint32_t)(BOOT_ROM_ADDR + at);
}

static uint32_t acpi_facs(struct wbuf *w)
{
	uint32_t addr;

	acpi_align(w, ACPI_FACS_ALIGN);
	addr = acpi_here(w);
	wbuf_bytes(w, "FACS", 4);
	wbuf_u32(w, ACPI_FACS_SIZE);
	acpi_zeros(w, 24);
	wbuf_u8(w, 2); /* version */
	acpi_zeros(w, ACPI_FACS_SIZE - 33);
	return addr;
}

static void acpi_device_com1(struct wbuf *w)
{
	size_t dev = aml_device(w, "COM1"), res;

	aml_name(w, "_HID");
	aml_eisaid(w, "PNP0501");
	aml_name(w, "_UID");
	aml_int(w, 1);
	aml_name(w, "_CRS");
	res = aml_resources(w);
	aml_io(w, MACHINE_PORT_COM1, 8);
	aml_irq(w, MACHINE_IRQ_COM1);
	aml_resources_end(w, res);
	aml_end(w, dev);
}

static void acpi_device_rtc(struct wbuf *w)
{
	size_t dev = aml_device(w, "RTC_"), res;

	aml_name(w, "_HID");
	aml_eisaid(w, "PNP0B00");
	aml_name(w, "_CRS");
	res = aml_resources(w);
	aml_io(w, MACHINE_PORT_RTC, 2); /* no interrupt: see hv/dev/rtc.h */
	aml_resources_end(w, res);
	aml_end(w, dev);
}

/*
 * The root bridge: what it passes on is the window that hv/dev/pci.c answers. No _PRT: no function
 * has an interrupt line (docs/decisions/0050-pci-and-interrupts.md).
 */
static void acpi_device_pci(struct wbuf *w)
{
	size_t dev = aml_device(w, "PCI0"), res;

	aml_name(w, "_HID");
	aml_eisaid(w, "PNP0A08");
	aml_name(w, "_CID");
	aml_eisaid(w, "PNP0A03");
	aml_name(w, "_UID");
	aml_int(w, 0);
	aml_name(w, "_SEG");
	aml_int(w, 0);
	aml_name(w, "_BBN");
	aml_int(w, 0);
	aml_name(w, "_CRS");
	res = aml_resources(w);
	aml_window_bus(w, 0, 0);
	aml_io(w, MACHINE_PORT_PCI_ADDR, 8);
	aml_window_io(w, 0, MACHINE_PORT_PCI_ADDR - 1);
	aml_window_io(w, MACHINE_PORT_PCI_ADDR + 8, 0xffff);
	aml_window_memory(w, MACHINE_PCI_MEM_BASE, MACHINE_PCI_MEM_BASE + MACHINE_PCI_MEM_SIZE - 1);
	aml_resources_end(w, res);
	aml_end(w, dev);
}

/* Systems use ECAM only where it is somebody's: the mainboard's. */
static void acpi_device_board(struct wbuf *w)
{
	size_t dev = aml_device(w, "MRES"), res;

	aml_name(w, "_HID");
	aml_eisaid(w, "PNP0C02");
	aml_name(w, "_CRS");
	res = aml_resources(w);
	aml_memory_fixed(w, MACHINE_PCI_ECAM_BASE, MACHINE_PCI_ECAM_SIZE);
	aml_resources_end(w, res);
	aml_end(w, dev);
}

static void acpi_device_pvpanic(struct wbuf *w)
{
	size_t dev = aml_device(w, "PEVT"), res;

	aml_name(w, "_HID");
	aml_string(w, "QEMU0001"); /* the name Linux's driver knows: see hv/dev/pvpanic.h */
	aml_name(w, "_STA");
	aml_int(w, ACPI_STA_THERE);
	aml_name(w, "_CRS");
	res = aml_resources(w);
	aml_io(w, MACHINE_PORT_PVPANIC, 1);
	aml_resources_end(w, res);
	aml_end(w, dev);
}

/* Processors need no device of their own: the MADT lists them. */
static uint32_t acpi_dsdt(struct wbuf *w)
{
	size_t at = acpi_begin(w, "DSDT", 2), sb, s5;

	aml_name(w, "\\_S5_");
	s5 = aml_package(w, 4);
	aml_int(w, MACHINE_SLP_TYP_S5);
	aml_int(w, MACHINE_SLP_TYP_S5);
	aml_int(w, 0);
	aml_int(w, 0);
	aml_end(w, s5);
	sb = aml_scope(w, "\\_SB_");
	acpi_device_com1(w);
	acpi_device_rtc(w);
	acpi_device_pvpanic(w);
	acpi_device_board(w);
	acpi_device_pci(w);
	aml_end(w, sb);
	return acpi_end(w, at);
}

/* A generic address (5.2.3.2) in I/O space; @port 0 is "not there". */
static void acpi_gas(struct wbuf *w, uint32_t port, uint8_t bits, uint8_t access)
{
	wbuf_u8(w, port ? ACPI_SPACE_IO : 0);
	wbuf_u8(w, bits);
	wbuf_u8(w, 0);
	wbuf_u8(w, access); /* 1 byte, 2 word, 3 dword */
	wbuf_u64(w, port);
}

/* The first 112 bytes of the FADT, as in ACPI 1.0. */
static void acpi_fadt_legacy(struct wbuf *w, uint32_t facs, uint32_t dsdt)
{
	wbuf_u32(w, facs);
	wbuf_u32(w, dsdt);
	wbuf_u8(w, 0);
	wbuf_u8(w, 0); /* power profile: unspecified */
	wbuf_u16(w, MACHINE_IRQ_SCI);
	wbuf_u32(w, 0); /* no SMI command port: always in ACPI mode */
	acpi_zeros(w, 4);
	wbuf_u32(w, MACHINE_PORT_PM1_EVT);
	wbuf_u32(w, 0);
	wbuf_u32(w, MACHINE_PORT_PM1_CNT);
	wbuf_u32(w, 0);
	wbuf_u32(w, 0);
	wbuf_u32(w, MACHINE_PORT_PM_TMR);
	wbuf_u32(w, 0); /* no general-purpose events */
	wbuf_u32(w, 0);
	wbuf_u8(w, 4); /* lengths: PM1 event, PM1 control, PM2, timer */
	wbuf_u8(w, 2);
	wbuf_u8(w, 0);
	wbuf_u8(w, 4);
	acpi_zeros(w, 4);
	wbuf_u16(w, FADT_LAT_NO_C2);
	wbuf_u16(w, FADT_LAT_NO_C3);
	acpi_zeros(w, 4 + 2 + 2); /* cache flush, duty cycle, alarm day and month */
	wbuf_u8(w, FADT_RTC_CENTURY);
	wbuf_u16(w, FADT_BOOT_LEGACY | FADT_BOOT_8042 | FADT_BOOT_NO_VGA);
	wbuf_u8(w, 0);
}

static uint32_t acpi_fadt(struct wbuf *w, uint32_t facs, uint32_t dsdt)
{
	size_t at = acpi_begin(w, "FACP", 4);

	acpi_fadt_legacy(w, facs, dsdt);
	wbuf_u32(w, FADT_WBINVD | FADT_PROC_C1 | FADT_SLP_BUTTON | FADT_FIX_RTC | FADT_TMR_VAL_EXT |
			    FADT_RESET_REG);
	acpi_gas(w, MACHINE_PORT_RESET, 8, 1);
	wbuf_u8(w, MACHINE_RESET_VALUE);
	acpi_zeros(w, 3);
	wbuf_u64(w, 0); /* the FACS is below 4 GiB, named above */
	wbuf_u64(w, dsdt);
	acpi_gas(w, MACHINE_PORT_PM1_EVT, 32, 2);
	acpi_gas(w, 0, 0, 0);
	acpi_gas(w, MACHINE_PORT_PM1_CNT, 16, 2);
	acpi_gas(w, 0, 0, 0);
	acpi_gas(w, 0, 0, 0);
	acpi_gas(w, MACHINE_PORT_PM_TMR, 32, 3);
	acpi_gas(w, 0, 0, 0);
	acpi_gas(w, 0, 0, 0);
	return acpi_end(w, at);
}

static void acpi_madt_override(struct wbuf *w, uint8_t irq, uint32_t gsi, uint16_t flags)
{
	wbuf_u8(w, MADT_OVERRIDE);
	wbuf_u8(w, 10);
	wbuf_u8(w, 0); /* ISA */
	wbuf_u8(w, irq);
	wbuf_u32(w, gsi);
	wbuf_u16(w, flags);
}

static uint32_t acpi_madt(struct wbuf *w, unsigned cpus)
{
	size_t at = acpi_begin(w, "APIC", 3);

	wbuf_u32(w, MACHINE_LAPIC_BASE);
	wbuf_u32(w, MADT_PCAT_COMPAT);
	for (unsigned i = 0; i < cpus; i++) {
		wbuf_u8(w, MADT_LAPIC);
		wbuf_u8(w, 8);
		wbuf_u8(w, (uint8_t)i); /* processor */
		wbuf_u8(w, (uint8_t)i); /* its APIC id: hv/kvm numbers them alike */
		wbuf_u32(w, MADT_ENABLED);
	}
	wbuf_u8(w, MADT_IOAPIC);
	wbuf_u8(w, 12);
	wbuf_u8(w, 0); /* id, as KVM's I/O APIC has it after reset */
	wbuf_u8(w, 0);
	wbuf_u32(w, MACHINE_IOAPIC_BASE);
	wbuf_u32(w, 0); /* first GSI */
	acpi_madt_override(w, 0, MACHINE_GSI_PIT, MADT_IRQ_AS_BUS);
	acpi_madt_override(w, MACHINE_IRQ_SCI, MACHINE_IRQ_SCI, MADT_IRQ_LEVEL_HI);
	wbuf_u8(w, MADT_LAPIC_NMI);
	wbuf_u8(w, 6);
	wbuf_u8(w, MADT_ALL_CPUS);
	wbuf_u16(w, MADT_IRQ_AS_BUS);
	wbuf_u8(w, 1); /* LINT1 */
	return acpi_end(w, at);
}

/* PCI Firmware Specification 3.2, 4.1.2: where the configuration space of bus 0 is. */
static uint32_t acpi_mcfg(struct wbuf *w)
{
	size_t at = acpi_begin(w, "MCFG", 1);

	acpi_zeros(w, 8);
	wbuf_u64(w, MACHINE_PCI_ECAM_BASE);
	wbuf_u16(w, 0); /* segment */
	wbuf_u8(w, 0);  /* first and last bus */
	wbuf_u8(w, 0);
	wbuf_u32(w, 0);
	return acpi_end(w, at);
}

static uint32_t acpi_xsdt(struct wbuf *w, uint32_t fadt, uint32_t madt, uint32_t mcfg)
{
	size_t at = acpi_begin(w, "XSDT", 1);

	wbuf_u64(w, fadt);
	wbuf_u64(w, madt);
	wbuf_u64(w, mcfg);
	return acpi_end(w, at);
}

/* Fills the room left for it at the start of the area. */
static void acpi_rsdp(struct wbuf *w, uint32_t xsdt)
{
	uint8_t *p = w->data;

	memcpy(p, "RSD PTR ", 8);
	memcpy(p + 9, ACPI_OEM, 6);
	p[15] = 2; /* revision: there is an XSDT, and no RSDT */
	wbuf_patch_u32(w, 20, ACPI_RSDP_SIZE);
	wbuf_patch_u32(w, 24, xsdt);
	p[8] = acpi_checksum(p, ACPI_RSDP_V1);
	p[32] = acpi_checksum(p, ACPI_RSDP_SIZE);
}

int acpi_write(const struct gmem *m, unsigned cpus, uint64_t *rsdp, struct err *e)
{
	uint32_t facs, dsdt, fadt, madt, mcfg, xsdt;
	struct wbuf w;
	int rc = 0;

	if (cpus == 0 || cpus > ACPI_CPUS_MAX)
		return err_set(e, -EINVAL, "%u CPUs cannot be described: 1 to %u can", cpus,
			ACPI_CPUS_MAX);
	wbuf_init(&w);
	acpi_zeros(&w, ACPI_RSDP_SIZE);
	facs = acpi_facs(&w);
	dsdt = acpi_dsdt(&w);
	fadt = acpi_fadt(&w, facs, dsdt);
	madt = acpi_madt(&w, cpus);
	mcfg = acpi_mcfg(&w);
	xsdt = acpi_xsdt(&w, fadt, madt, mcfg);
	if (!w.failed)
		acpi_rsdp(&w, xsdt);
	if (w.failed || w.len > BOOT_HIGH_START - BOOT_ROM_ADDR ||
		!gmem_write(m, BOOT_ROM_ADDR, w.data, w.len))
		rc = err_set(e, -ENOMEM, "no memory for the ACPI tables");
	wbuf_fini(&w);
	*rsdp = BOOT_ROM_ADDR;
	return rc;
}
