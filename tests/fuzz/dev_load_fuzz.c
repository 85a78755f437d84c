/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes every device: state to load, then register accesses, as the input says. The first byte
 * picks the device, the second is the length of its state; then come accesses of four bytes each.
 * What a device loaded it must be able to save and load again.
 */
#include <stdlib.h>
#include <string.h>

#include "hv/dev/acpi_pm.h"
#include "hv/dev/i8042.h"
#include "hv/dev/pci.h"
#include "hv/dev/pvpanic.h"
#include "hv/dev/rtc.h"
#include "hv/dev/serial.h"

#define DEVICES 6

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void no_irq(void *arg, int level)
{
	(void)arg;
	(void)level;
}

static void no_tx(void *arg, const uint8_t *p, size_t n)
{
	(void)arg;
	(void)p;
	(void)n;
}

static void no_panic(void *arg, bool panicked)
{
	(void)arg;
	(void)panicked;
}

static void no_msi(void *arg, uint64_t addr, uint32_t data)
{
	(void)arg;
	(void)addr;
	(void)data;
}

static int no_kick(void *arg, uint64_t addr, int fd, bool on)
{
	(void)arg;
	(void)addr;
	(void)fd;
	(void)on;
	return -1;
}

static void no_power(void *arg)
{
	(void)arg;
}

static void reload(const struct dev_ops *ops, void *dev)
{
	struct section s = { .version = ops->version };
	struct err e = { 0 };
	struct wbuf w;

	strcpy(s.name, ops->name);
	wbuf_init(&w);
	ops->save(dev, &w);
	s.body = rbuf_of(w.data, w.len);
	if (w.failed || ops->load(dev, &s, &e))
		abort();
	wbuf_fini(&w);
}

/* One access: port from the device's own, size, direction, value. */
static void access_port(struct bus *pio, struct serial *s, const uint8_t *p)
{
	const struct bus_range *r = &pio->range[p[0] % pio->n];
	uint64_t addr = r->base + p[1] % (r->len + 1);
	unsigned size = 1u << (p[2] & 3);

	if (p[2] & 0x80)
		bus_write(pio, addr, size, p[3] * 0x01010101ull);
	else
		bus_read(pio, addr, size);
	if (p[2] & 0x40)
		serial_input(s, p, 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct dev_irq irq = { no_irq, NULL };
	const struct acpi_pm_power power = { no_power, no_power, NULL };
	const struct pci_wires wires = { .msi = no_msi, .kick = no_kick };
	const struct dev_ops *ops[] = { &serial_dev_ops, &rtc_dev_ops, &i8042_dev_ops,
		&acpi_pm_dev_ops, &pci_bus_dev_ops, &pvpanic_dev_ops };
	struct pvpanic *panic;
	struct pci_bus *pci;
	struct acpi_pm *pm;
	struct serial *uart;
	struct i8042 *kbd;
	struct rtc *rtc;
	struct err e = { 0 };
	struct bus pio, mmio;
	size_t n;

	if (size < 2)
		return 0;
	bus_init(&pio);
	bus_init(&mmio);
	if (serial_new(&uart, &pio, 0x3f8, irq, no_tx, NULL, &e) || rtc_new(&rtc, &pio, &e) ||
		i8042_new(&kbd, &pio, no_power, NULL, &e) ||
		acpi_pm_new(&pm, &pio, irq, &power, &e) ||
		pci_bus_new(&pci, &pio, &mmio, &wires, &e) ||
		pvpanic_new(&panic, &pio, no_panic, NULL, &e))
		abort();
	void *dev[] = { uart, rtc, kbd, pm, pci, panic };
	n = data[1] < size - 2 ? data[1] : size - 2;
	struct section s = { .version = 1, .body = rbuf_of(data + 2, n) };
	strcpy(s.name, ops[data[0] % DEVICES]->name);
	if (ops[data[0] % DEVICES]->load(dev[data[0] % DEVICES], &s, &e) &&
		(e.code >= 0 || !e.msg[0]))
		abort();
	for (size_t i = 2 + n; i + 4 <= size; i += 4)
		access_port(&pio, uart, data + i);
	for (unsigned i = 0; i < DEVICES; i++) {
		reload(ops[i], dev[i]);
		ops[i]->reset(dev[i]);
		ops[i]->free(dev[i]);
	}
	bus_fini(&mmio);
	bus_fini(&pio);
	return 0;
}
