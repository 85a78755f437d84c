/* SPDX-License-Identifier: Apache-2.0 */
/* The tables a guest finds: right sums, right links, and ACPI's own compiler can read them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "hv/base/machine.h"
#include "hv/boot/acpi.h"
#include "hv/boot/aml.h"

static uint64_t peek(const struct gmem *m, uint64_t gpa, size_t n)
{
	uint64_t v = 0;

	assert_true(gmem_read(m, gpa, &v, n));
	return v;
}

static uint8_t sum(const struct gmem *m, uint64_t gpa, uint64_t n)
{
	uint8_t s = 0;

	for (uint64_t i = 0; i < n; i++)
		s = (uint8_t)(s + peek(m, gpa + i, 1));
	return s;
}

static void check_table(const struct gmem *m, uint64_t gpa, const char *signature)
{
	const uint8_t *p = gmem_view(m, gpa, 36);

	assert_non_null(p);
	assert_memory_equal(p, signature, 4);
	assert_int_equal(sum(m, gpa, peek(m, gpa + 4, 4)), 0);
	assert_in_range(gpa + peek(m, gpa + 4, 4), 0xe0000, 0x100000);
}

struct tables {
	uint64_t rsdp, xsdt, fadt, madt, mcfg, dsdt, facs;
};

static void open_tables(struct gmem *m, struct tables *t, unsigned cpus)
{
	struct err e;

	assert_int_equal(gmem_init(m, GMEM_SIZE_MIN, &e), 0);
	assert_int_equal(acpi_write(m, cpus, &t->rsdp, &e), 0);
	t->xsdt = peek(m, t->rsdp + 24, 8);
	t->fadt = peek(m, t->xsdt + 36, 8);
	t->madt = peek(m, t->xsdt + 44, 8);
	t->mcfg = peek(m, t->xsdt + 52, 8);
	t->facs = peek(m, t->fadt + 36, 4);
	t->dsdt = peek(m, t->fadt + 40, 4);
}

static void test_tables_are_linked_and_sum_to_zero(void **state)
{
	struct gmem m;
	struct tables t;

	(void)state;
	open_tables(&m, &t, 2);
	assert_memory_equal(gmem_view(&m, t.rsdp, 8), "RSD PTR ", 8);
	assert_int_equal(t.rsdp % 16, 0);
	assert_int_equal(sum(&m, t.rsdp, 20), 0);
	assert_int_equal(sum(&m, t.rsdp, 36), 0);
	check_table(&m, t.xsdt, "XSDT");
	check_table(&m, t.fadt, "FACP");
	check_table(&m, t.madt, "APIC");
	check_table(&m, t.dsdt, "DSDT");
	assert_memory_equal(gmem_view(&m, t.facs, 4), "FACS", 4);
	assert_int_equal(t.facs % 64, 0);
	gmem_fini(&m);
}

/* Stock kernels find the panic port by this name, and the power button by a clear flag. */
static void test_the_panic_port_and_the_power_button_are_there(void **state)
{
	struct gmem m;
	struct tables t;
	uint64_t n;

	(void)state;
	open_tables(&m, &t, 1);
	n = peek(&m, t.dsdt + 4, 4);
	assert_non_null(memmem(gmem_view(&m, t.dsdt, n), n, "\x0dQEMU0001", 10));
	assert_int_equal(peek(&m, t.fadt + 112, 4) & 0x10, 0); /* PWR_BUTTON: no other one */
	gmem_fini(&m);
}

static void test_fadt_names_the_ports_of_the_devices(void **state)
{
	struct gmem m;
	struct tables t;

	(void)state;
	open_tables(&m, &t, 1);
	assert_int_equal(peek(&m, t.fadt + 4, 4), 244);
	assert_int_equal(peek(&m, t.fadt + 46, 2), MACHINE_IRQ_SCI);
	assert_int_equal(peek(&m, t.fadt + 48, 4), 0);
	assert_int_equal(peek(&m, t.fadt + 56, 4), MACHINE_PORT_PM1_EVT);
	assert_int_equal(peek(&m, t.fadt + 64, 4), MACHINE_PORT_PM1_CNT);
	assert_int_equal(peek(&m, t.fadt + 76, 4), MACHINE_PORT_PM_TMR);
	assert_int_equal(peek(&m, t.fadt + 88, 4), 0x04000204);
	assert_int_equal(peek(&m, t.fadt + 108, 1), 0x32);
	assert_int_equal(peek(&m, t.fadt + 109, 2), 0x07);
	assert_int_equal(peek(&m, t.fadt + 112, 4), 0x565);
	assert_int_equal(peek(&m, t.fadt + 116, 4), 0x01000801);
	assert_int_equal(peek(&m, t.fadt + 120, 8), MACHINE_PORT_RESET);
	assert_int_equal(peek(&m, t.fadt + 128, 1), MACHINE_RESET_VALUE);
	assert_int_equal(peek(&m, t.fadt + 140, 8), t.dsdt);
	assert_int_equal(peek(&m, t.fadt + 152, 8), MACHINE_PORT_PM1_EVT);
	assert_int_equal(peek(&m, t.fadt + 176, 8), MACHINE_PORT_PM1_CNT);
	assert_int_equal(peek(&m, t.fadt + 212, 8), MACHINE_PORT_PM_TMR);
	gmem_fini(&m);
}

static void test_madt_lists_every_cpu(void **state)
{
	struct gmem m;
	struct tables t;
	uint64_t p;

	(void)state;
	open_tables(&m, &t, 254);
	check_table(&m, t.madt, "APIC");
	p = t.madt + 44;
	for (unsigned i = 0; i < 254; i++, p += 8) {
		assert_int_equal(peek(&m, p, 2), 0x0800);
		assert_int_equal(peek(&m, p + 2, 2), i | i << 8);
		assert_int_equal(peek(&m, p + 4, 4), 1);
	}
	assert_int_equal(peek(&m, p, 2), 0x0c01);
	assert_int_equal(peek(&m, p + 4, 4), 0xfec00000);
	assert_true(peek(&m, p + 12, 8) == 0x0000000200000a02ull); /* line 0 at pin 2 */
	assert_true(peek(&m, p + 22, 8) == 0x0000000909000a02ull);
	assert_int_equal(peek(&m, p + 30, 2), 0x000d);
	assert_true(peek(&m, p + 32, 6) == 0x010000ff0604ull);
	assert_int_equal(p + 38, t.madt + peek(&m, t.madt + 4, 4));
	gmem_fini(&m);
}

static void test_mcfg_has_the_bus_that_the_bridge_has(void **state)
{
	struct gmem m;
	struct tables t;

	(void)state;
	open_tables(&m, &t, 1);
	check_table(&m, t.mcfg, "MCFG");
	assert_int_equal(peek(&m, t.mcfg + 4, 4), 60);
	assert_int_equal(peek(&m, t.mcfg + 44, 8), MACHINE_PCI_ECAM_BASE);
	assert_int_equal(peek(&m, t.mcfg + 52, 4), 0); /* segment 0, bus 0 to 0 */
	gmem_fini(&m);
}

/* The encodings of ACPI 6.4, 6.4.3.5.2 and on, written out by hand. */
static void test_aml_windows(void **state)
{
	static const uint8_t want[] = { 0x88, 13, 0, 2, 0x0c, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0x88,
		13, 0, 1, 0x0c, 3, 0, 0, 0x00, 0x0d, 0xff, 0xff, 0, 0, 0x00, 0xf3, 0x87, 23, 0, 0,
		0x0c, 1, 0, 0, 0, 0, 0, 0, 0, 0xc0, 0xff, 0xff, 0xff, 0xdf, 0, 0, 0, 0, 0, 0, 0,
		0x20, 0x86, 9, 0, 1, 0, 0, 0, 0xe0, 0, 0, 0x10, 0 };
	struct wbuf w;

	(void)state;
	wbuf_init(&w);
	aml_window_bus(&w, 0, 0);
	aml_window_io(&w, 0xd00, 0xffff);
	aml_window_memory(&w, 0xc0000000, 0xdfffffff);
	aml_memory_fixed(&w, 0xe0000000, 0x100000);
	assert_int_equal(w.len, sizeof(want));
	assert_memory_equal(w.data, want, sizeof(want));
	wbuf_fini(&w);
}

static void test_cpu_count_out_of_range(void **state)
{
	struct gmem m;
	struct err e = { 0 };
	uint64_t rsdp;

	(void)state;
	assert_int_equal(gmem_init(&m, GMEM_SIZE_MIN, &e), 0);
	assert_int_equal(acpi_write(&m, 0, &rsdp, &e), -EINVAL);
	assert_int_equal(acpi_write(&m, 255, &rsdp, &e), -EINVAL);
	assert_non_null(strstr(e.msg, "255"));
	gmem_fini(&m);
}

static void test_aml_encoding(void **state)
{
	static const uint8_t want[] = { 0x5b, 0x82, 0x40 | 13, 0x01, 'C', 'O', 'M', '1', 0x08, '_',
		'H', 'I', 'D', 0x0c, 0x41, 0xd0, 0x05, 0x01, 0x08, '_', 'C', 'R', 'S', 0x11, 0x46,
		0x01 };
	struct wbuf w;
	size_t dev, res;

	(void)state;
	wbuf_init(&w);
	dev = aml_device(&w, "COM1");
	aml_name(&w, "_HID");
	aml_eisaid(&w, "PNP0501");
	aml_int(&w, 0);
	aml_int(&w, 0x80);
	aml_int(&w, 0x1234);
	aml_int(&w, 0x12345678);
	aml_end(&w, dev);
	assert_false(w.failed);
	assert_int_equal(w.len, 29);
	assert_memory_equal(w.data, want, 2);
	assert_int_equal(w.data[2], 0x40 | (27 & 15));
	assert_int_equal(w.data[3], 27 >> 4);
	assert_memory_equal(w.data + 4, want + 4, 14);
	assert_memory_equal(w.data + 18, "\x00\x0a\x80\x0b\x34\x12\x0c\x78\x56\x34\x12", 11);
	wbuf_reset(&w);
	res = aml_resources(&w);
	aml_io(&w, 0x3f8, 8);
	aml_irq(&w, 4);
	aml_resources_end(&w, res);
	assert_int_equal(w.len, 6 + 13);
	assert_memory_equal(w.data,
		"\x11\x42\x01\x0b\x0d\x00\x47\x01\xf8\x03\xf8\x03\x01\x08\x22\x10\x00\x79\x00", 19);
	wbuf_reset(&w);
	dev = aml_scope(&w, "\\_SB_");
	for (unsigned i = 0; i < 5000; i++)
		aml_int(&w, 0);
	aml_end(&w, dev);
	assert_true(w.failed);
	wbuf_fini(&w);
}

/* Runs iasl -d on @n bytes as DIR/NAME.dat; returns its output, all of it in @log. */
static bool iasl_reads(const char *dir, const char *name, const void *p, size_t n)
{
	char dat[96], log[96], dsl[96], text[8192] = "";
	char *argv[] = { "iasl", "-d", dat, NULL };
	posix_spawn_file_actions_t fa;
	int fd, status = -1, rc;
	ssize_t got;
	pid_t pid;

	snprintf(dat, sizeof(dat), "%s/%s.dat", dir, name);
	snprintf(dsl, sizeof(dsl), "%s/%s.dsl", dir, name);
	snprintf(log, sizeof(log), "%s/%s.log", dir, name);
	fd = open(dat, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, p, n), (ssize_t)n);
	close(fd);
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_addopen(&fa, 1, log, O_CREAT | O_WRONLY, 0600);
	posix_spawn_file_actions_adddup2(&fa, 1, 2);
	rc = posix_spawnp(&pid, "iasl", &fa, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&fa);
	if (rc == 0) {
		assert_int_equal(waitpid(pid, &status, 0), pid);
		fd = open(log, O_RDONLY | O_CLOEXEC);
		got = read(fd, text, sizeof(text) - 1);
		text[got > 0 ? got : 0] = '\0';
		close(fd);
		if (status || strstr(text, "rror") || strstr(text, "arning"))
			print_message("%s", text);
	}
	unlink(dat);
	unlink(dsl);
	unlink(log);
	if (rc == ENOENT)
		return false;
	assert_int_equal(rc, 0);
	assert_int_equal(status, 0);
	assert_null(strstr(text, "rror"));
	assert_null(strstr(text, "arning"));
	assert_non_null(strstr(text, name));
	return true;
}

static void test_iasl_disassembles_every_table(void **state)
{
	char dir[] = "/tmp/acpi-test-XXXXXX";
	struct gmem m;
	struct tables t;
	bool found = true;

	(void)state;
	open_tables(&m, &t, 4);
	assert_non_null(mkdtemp(dir));
	const struct {
		const char *name;
		uint64_t gpa;
	} table[] = { { "DSDT", t.dsdt }, { "FACP", t.fadt }, { "APIC", t.madt },
		{ "MCFG", t.mcfg }, { "XSDT", t.xsdt }, { "FACS", t.facs } };
	for (size_t i = 0; found && i < sizeof(table) / sizeof(table[0]); i++) {
		uint64_t n = peek(&m, table[i].gpa + 4, 4);

		found = iasl_reads(dir, table[i].name, gmem_view(&m, table[i].gpa, n), n);
	}
	rmdir(dir);
	gmem_fini(&m);
	if (!found) {
		print_message("iasl is missing (Debian: acpica-tools)\n");
		skip();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tables_are_linked_and_sum_to_zero),
		cmocka_unit_test(test_the_panic_port_and_the_power_button_are_there),
		cmocka_unit_test(test_fadt_names_the_ports_of_the_devices),
		cmocka_unit_test(test_madt_lists_every_cpu),
		cmocka_unit_test(test_mcfg_has_the_bus_that_the_bridge_has),
		cmocka_unit_test(test_aml_windows),
		cmocka_unit_test(test_cpu_count_out_of_range),
		cmocka_unit_test(test_aml_encoding),
		cmocka_unit_test(test_iasl_disassembles_every_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
