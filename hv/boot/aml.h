/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Just enough of the ACPI machine language (ACPI 6.4, chapter 20) to name devices and their
 * resources. Everything appends to a wbuf; objects with a length are opened and closed in pairs,
 * and nest. A length beyond 4095 bytes sets the buffer's `failed`.
 * Next in the flow: hv/boot/acpi.c.
 */
#ifndef WATARI_BOOT_AML_H
#define WATARI_BOOT_AML_H

#include <stdint.h>

#include "hv/base/codec.h"

/* Opens Scope(@path), Device(@name), Package of @n elements; returns the cookie for aml_end(). */
size_t aml_scope(struct wbuf *w, const char *path);
size_t aml_device(struct wbuf *w, const char *name);
size_t aml_package(struct wbuf *w, uint8_t n);
void aml_end(struct wbuf *w, size_t cookie);

/* Name(@path, ...): the value follows. Paths are "\\" (root) or not, and four characters. */
void aml_name(struct wbuf *w, const char *path);
void aml_int(struct wbuf *w, uint32_t v);
void aml_string(struct wbuf *w, const char *s);
/* EisaId("PNP0501"): three capitals and four hexadecimal digits. */
void aml_eisaid(struct wbuf *w, const char *id);

/* Opens a ResourceTemplate; close with aml_resources_end(). It does not nest. */
size_t aml_resources(struct wbuf *w);
void aml_resources_end(struct wbuf *w, size_t cookie);
void aml_io(struct wbuf *w, uint16_t port, uint8_t len);
void aml_irq(struct wbuf *w, unsigned line);
/* Memory that is taken: read and write, at a fixed place. */
void aml_memory_fixed(struct wbuf *w, uint32_t addr, uint32_t len);
/* What a bridge passes on, both ends included: bus numbers, ports, memory (not prefetchable). */
void aml_window_bus(struct wbuf *w, uint16_t first, uint16_t last);
void aml_window_io(struct wbuf *w, uint16_t first, uint16_t last);
void aml_window_memory(struct wbuf *w, uint32_t first, uint32_t last);

#endif
