/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes vm_mig_ops.load() on a real machine: a whole saved state in which the payload of one
 * section, chosen by the first byte, is the rest of the input; or the input alone. The guest never
 * runs. Without /dev/kvm there is nothing to load into, and every input is skipped.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "hv/base/log.h"
#include "hv/base/section.h"
#include "hv/vm/vm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct vm *fuzz_machine(struct wbuf *saved)
{
	static const struct vm_config c = { .name = "fuzz",
		.cpus = 1,
		.memory = 64u << 20,
		.kernel = "none",
		.serial = "socket",
		.console = VM_CONSOLE_VIRTIO };
	struct err e = { 0 };
	struct vm *vm = NULL;

	log_set_level(LOG_LEVEL_ERROR);
	wbuf_init(saved);
	if (access("/dev/kvm", R_OK | W_OK) != 0)
		return NULL;
	if (vm_new(&vm, &c, &e) || vm_mig_ops.save(vm, saved, &e)) {
		fprintf(stderr, "%s\n", e.msg);
		abort();
	}
	return vm;
}

static void fuzz_load(struct vm *vm, const struct wbuf *w)
{
	struct rbuf r = rbuf_of(w->data, w->len);
	struct err e = { 0 };

	/* Refused or loaded; refused must say why. */
	if (vm_mig_ops.load(vm, &r, 0, &e) != 0 && e.msg[0] == '\0')
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct vm *vm;
	static struct wbuf saved, w;
	static int tried;
	struct err e = { 0 };
	struct section s;
	struct rbuf r;

	if (!tried)
		vm = fuzz_machine(&saved);
	tried = 1;
	if (!vm || size < 1)
		return 0;
	wbuf_reset(&w);
	r = rbuf_of(saved.data, saved.len);
	for (unsigned i = 0; section_next(&r, &s, &e) > 0; i++) {
		size_t at = section_begin(&w, s.name, s.instance, s.version);

		if (i == data[0])
			wbuf_bytes(&w, data + 1, size - 1);
		else
			wbuf_bytes(&w, s.body.p, rbuf_left(&s.body));
		section_end(&w, at);
	}
	if (data[0] == 0xff) {
		wbuf_reset(&w);
		wbuf_bytes(&w, data + 1, size - 1);
	}
	fuzz_load(vm, &w);
	return 0;
}
