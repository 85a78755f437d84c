/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ACPI tables that tell the guest what machine it is on (ACPI 6.4, chapter 5): RSDP, XSDT,
 * FADT, FACS, MADT, MCFG, DSDT, all between 0xe0000 and 1 MiB, where a kernel that was not told the
 * address finds the RSDP by scanning.
 * Next in the flow: hv/boot/aml.h for the DSDT.
 */
#ifndef WATARI_BOOT_ACPI_H
#define WATARI_BOOT_ACPI_H

#include <stdint.h>

#include "hv/base/err.h"
#include "hv/mem/gmem.h"

/* @cpus 1..254, with APIC ids from 0 up. Gives the RSDP's guest-physical address. */
int acpi_write(const struct gmem *m, unsigned cpus, uint64_t *rsdp, struct err *e);

#endif
