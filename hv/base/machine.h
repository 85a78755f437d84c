/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where things are in the guest's address spaces: ports, interrupt lines and fixed physical
 * addresses that the devices answer, the ACPI tables describe and KVM implements. The folders that
 * share them may not include each other, so the numbers live here.
 * Invariant: nothing but numbers; changing one changes the machine that running guests see.
 * Next in the flow: hv/dev/dev.h (who answers), hv/boot/acpi.h (who tells the guest).
 */
#ifndef WATARI_BASE_MACHINE_H
#define WATARI_BASE_MACHINE_H

/* I/O ports. */
#define MACHINE_PORT_I8042_DATA 0x60u
#define MACHINE_PORT_I8042_CMD  0x64u
#define MACHINE_PORT_RTC        0x70u  /* index; data at +1 */
#define MACHINE_PORT_COM1       0x3f8u /* 8 ports */
#define MACHINE_PORT_PVPANIC    0x505u /* 1 byte */
#define MACHINE_PORT_PM1_EVT    0x600u /* status 2 bytes, enable 2 bytes */
#define MACHINE_PORT_PM1_CNT    0x604u /* 2 bytes */
#define MACHINE_PORT_PM_TMR     0x608u /* 4 bytes */
#define MACHINE_PORT_RESET      0xcf9u /* 1 byte */
#define MACHINE_PORT_PCI_ADDR   0xcf8u /* 4 bytes, at once: other accesses are not for PCI */
#define MACHINE_PORT_PCI_DATA   0xcfcu /* 4 bytes */

/* Interrupt lines (GSI numbers; ISA lines are the same, but for line 0). */
#define MACHINE_GSI_PIT  2u /* ISA line 0 arrives at I/O APIC pin 2 */
#define MACHINE_IRQ_COM1 4u
#define MACHINE_IRQ_SCI  9u /* level, active high */

/* ACPI values that both the tables and the device must know. */
#define MACHINE_SLP_TYP_S5  5u       /* soft off */
#define MACHINE_RESET_VALUE 0x06u    /* written to MACHINE_PORT_RESET: hard reset */
#define MACHINE_PM_TMR_HZ   3579545u /* ACPI 6.4, 4.8.3.3 */

/*
 * PCI: in the hole between RAM below 4 GiB and the interrupt controllers. Bus 0 only, so ECAM is
 * one MiB (32 slots of 8 functions of 4 KiB). Each slot has a share of the memory window, where its
 * BARs are before the guest moves them.
 */
#define MACHINE_PCI_MEM_BASE  0xc0000000u
#define MACHINE_PCI_MEM_SIZE  0x20000000u
#define MACHINE_PCI_SLOT_SIZE 0x01000000u /* of the window, for each of 32 slots */
#define MACHINE_PCI_ECAM_BASE 0xe0000000u
#define MACHINE_PCI_ECAM_SIZE 0x00100000u

/* Guest-physical addresses of the interrupt controllers. */
#define MACHINE_IOAPIC_BASE 0xfec00000u
#define MACHINE_LAPIC_BASE  0xfee00000u
/*
 * From here to 4 GiB the memory map says "reserved": interrupt controllers, and the pages that KVM
 * wants for itself (KVM_SET_TSS_ADDR, KVM_SET_IDENTITY_MAP_ADDR).
 */
#define MACHINE_RESERVED_HIGH 0xfec00000u

#endif
