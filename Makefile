# SPDX-License-Identifier: Apache-2.0
#
# One non-recursive Makefile: every object knows its headers, every folder is one archive, and a
# test links only the archives its folder may include, so a breach of the layering fails to link.
#
#   make V=1 ...   show the commands            make O=DIR ...   build elsewhere than build/
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:

O       ?= build
ifeq ($(strip $(O)),)
$(error O= is empty: name a folder to build in)
endif
VARIANT ?=
B       := $(O)$(if $(VARIANT),/$(VARIANT))
Q       := $(if $(V),,@)
say      = $(if $(V),@:,@printf '  %-8s %s\n' $(1) $(2))

CC         ?= gcc
CFLAGS     ?= -O2 -g
PKGS       := jansson openssl liburing librdmacm libibverbs numa ini_config
CPPFLAGS   += -D_GNU_SOURCE -I. -I$(B)
WARN       := -Wall -Wextra -Werror -Wconversion -Wno-sign-conversion -Wshadow -Wstrict-prototypes \
              -Wmissing-prototypes -Wvla -Wformat=2
ALL_CFLAGS  = -std=gnu11 -pthread -fno-strict-aliasing -fno-common -MMD -MP $(WARN) $(CFLAGS) \
              $(SAN) $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
LIBS       := $(shell pkg-config --libs $(PKGS) 2>/dev/null || echo -ljansson -lssl -lcrypto -luring -lrdmacm -libverbs -lnuma -lini_config) -lm -pthread

# Both at once, so that one run of the tests serves both; ubsan alone is there for what ASan hides.
SAN_asan  := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
SAN_ubsan := -fsanitize=undefined -fno-sanitize-recover=all
SAN_tsan  := -fsanitize=thread
SAN       := $(SAN_$(VARIANT))

# ---- the house: archives, in the order of who may include whom -----------------------------------
HV_DIRS    := hv/base hv/mem hv/kvm hv/dev hv/boot hv/vm hv/migrate hv/migrate/xport hv/preflight hv/ctl
DIRS       := $(HV_DIRS) transport-tcp transport-rdma bench hv/cmd
archive     = $(B)/$(subst /,_,$(1)).a
objs        = $(patsubst %.c,$(B)/%.o,$(wildcard $(1)/*.c))
ARCHIVES   := $(foreach d,$(DIRS),$(call archive,$d))

# What a unit test may link: tests/unit/<folder>_<subject>_test.c gets LINK_<folder>.
LINK_base    := hv/base
LINK_mem     := hv/mem hv/base
LINK_kvm     := hv/kvm hv/mem hv/base
LINK_dev     := hv/dev hv/mem hv/base
LINK_boot    := hv/boot hv/mem hv/base
LINK_migrate := hv/migrate hv/migrate/xport hv/mem hv/base
LINK_preflight := hv/preflight hv/kvm hv/mem hv/base
LINK_xport   := hv/migrate/xport hv/base
LINK_tcp     := transport-tcp $(LINK_xport)
LINK_rdma    := transport-rdma $(LINK_xport)
LINK_vm      := hv/vm hv/kvm hv/dev hv/boot hv/migrate hv/migrate/xport hv/mem hv/base
LINK_ctl     := hv/ctl hv/preflight $(LINK_vm)
LINK_cmd     := hv/cmd bench hv/ctl hv/preflight transport-tcp transport-rdma $(LINK_vm)
# The one file of hv/cmd that is fuzzed, with what it needs.
LINK_inifile := hv/ctl hv/preflight $(LINK_vm)
FUZZ_SRC_inifile := hv/cmd/inifile.c
LINK_bench   := bench hv/ctl hv/preflight transport-tcp transport-rdma $(LINK_vm)

.PHONY: all help demo check lint fmt lab fuzz bench install clean asan ubsan tsan deps tests

all: $(B)/watari

$(B)/watari: $(ARCHIVES)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ -Wl,--start-group $^ -Wl,--end-group $(LDFLAGS) $(LIBS)

define archive_rule
$(call archive,$(1)): $(call objs,$(1)) $(EXTRA_$(subst /,_,$(1)))
	$$(call say,AR,$$@)
	$$(Q)rm -f $$@ && ar rcs $$@ $$(filter %.o,$$^)
endef
EXTRA_bench := $(B)/bench/guest_blob.o
$(foreach d,$(DIRS),$(eval $(call archive_rule,$d)))

$(B)/%.o: %.c
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -c -o $@ $<

# ---- the bench guest: freestanding, carried inside the binary ------------------------------------
GUEST_SRC    := $(wildcard bench/guest/*.c bench/guest/*.S)
GUEST_OBJ    := $(patsubst %,$(O)/%.o,$(GUEST_SRC))
GUEST_CFLAGS := -std=gnu11 -O2 -g0 -Wall -Wextra -Werror -ffreestanding -fno-pic -fno-pie \
                -fno-stack-protector -fno-asynchronous-unwind-tables -fcf-protection=none \
                -mcmodel=kernel -mno-red-zone -mgeneral-regs-only -MMD -MP -I.
$(O)/bench/guest/%.o: bench/guest/%
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)gcc $(GUEST_CFLAGS) -c -o $@ $<
$(O)/bench-guest.elf: $(GUEST_OBJ) bench/guest/guest.ld
	$(call say,LD,$@)
	$(Q)gcc -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-z,noexecstack -Wl,-z,max-page-size=4096 \
		-T bench/guest/guest.ld -o $@ $(GUEST_OBJ)
$(B)/bench/guest_blob.o: $(O)/bench-guest.elf
	$(call say,EMBED,$<)
	$(Q)mkdir -p $(@D)
	$(Q)printf '.section .rodata\n.global bench_guest_elf\n.global bench_guest_elf_end\n.balign 16\nbench_guest_elf:\n.incbin "%s"\nbench_guest_elf_end:\n.section .note.GNU-stack,"",@progbits\n' $< | $(CC) -x assembler -c -o $@ -

# ---- tests ---------------------------------------------------------------------------------------
UNIT     := $(wildcard tests/unit/*_test.c)
UNIT_BIN := $(patsubst tests/unit/%.c,$(B)/tests/unit/%,$(UNIT))
CONTRACT_BIN := $(if $(wildcard tests/contract/*.c),$(B)/tests/contract/contract)
TESTLIB   = $(call archive,tests/lib)
CMOCKA   := -lcmocka
$(eval $(call archive_rule,tests/lib))

unit_link = $(LINK_$(firstword $(subst _, ,$(1))))
define unit_rule
$(B)/tests/unit/$(1): $(B)/tests/unit/$(1).o $$(TESTLIB) $(foreach d,$(call unit_link,$(1)),$(call archive,$d))
	$$(call say,LD,$$@)
	$$(Q)$$(CC) $$(ALL_CFLAGS) -o $$@ -Wl,--start-group $$^ -Wl,--end-group $$(LDFLAGS) $$(CMOCKA) $$(LIBS)
endef
$(foreach t,$(patsubst tests/unit/%.c,%,$(UNIT)),$(eval $(call unit_rule,$t)))

$(B)/tests/contract/contract: $(call objs,tests/contract) $(TESTLIB) $(foreach d,transport-tcp transport-rdma hv/migrate/xport hv/migrate hv/mem hv/base,$(call archive,$d))
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ -Wl,--start-group $^ -Wl,--end-group $(LDFLAGS) $(CMOCKA) $(LIBS)

# The program with faults that can be asked for: the very objects, but the linker leads these names
# through tests/kvm/mutant.c. For tests/kvm alone, so not under the sanitizers, and never installed.
MUTANT       := $(if $(VARIANT),,$(B)/watari-mutant)
MUTANT_WRAPS := vm_owner_ops source_todo target_todo block_own_acquire
$(B)/watari-mutant: $(B)/tests/kvm/mutant.o $(ARCHIVES)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $(MUTANT_WRAPS:%=-Wl,--wrap=%) -Wl,--start-group $^ -Wl,--end-group $(LDFLAGS) $(LIBS)

tests: $(UNIT_BIN) $(CONTRACT_BIN) $(MUTANT)

asan ubsan tsan:
	$(Q)$(MAKE) --no-print-directory VARIANT=$@ tests
	$(Q)tests/run --title $@ --variant $@ programs

# Each fuzzer is one file with LLVMFuzzerTestOneInput, linked with what its first word allows and
# what FUZZ_WITH_<its name> adds from tests/lib.
FUZZ_WITH_dev_net_balloon_fuzz := tests/lib/virtio_driver.c
FUZZ     := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/*_fuzz.c))
FUZZ_SECONDS ?= 60
define fuzz_rule
$(O)/fuzz/$(1): tests/fuzz/$(1).c $(FUZZ_WITH_$(1)) $(FUZZ_SRC_$(firstword $(subst _, ,$(1)))) $(wildcard $(foreach d,$(call unit_link,$(1)),$d/*.[ch]))
	$$(call say,FUZZ-CC,$$@)
	$$(Q)mkdir -p $$(@D)
	$$(Q)clang -g -O1 -D_GNU_SOURCE -I. -std=gnu11 -pthread -fno-strict-aliasing \
		-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -o $$@ \
		$$(filter %.c,$$^) $(LIBS)
endef
$(foreach f,$(FUZZ),$(eval $(call fuzz_rule,$f)))
fuzz: $(patsubst %,$(O)/fuzz/%,$(FUZZ))
	$(Q)tests/fuzz/run $(O)/fuzz $(FUZZ_SECONDS) $(FUZZ)

lint:
	$(Q)tests/lint

fmt:
	$(Q)clang-format -i $$(git ls-files '*.c' '*.h' | grep -v '^bench/guest/.*\.S')

deps:
	$(Q)tests/deps $(WHAT)

lab: deps-lab all
	$(Q)tests/run --title lab lab

# A measurement, not a test: it is no part of `make check`.
lab-speed: deps-lab all
	$(Q)tests/lab/rdma-speed
	$(Q)tests/lab/system-speed

lab-faults: deps-lab all
	$(Q)tests/run tests/lab/nfs.t
	$(Q)tests/lab/faults-nfs $(or $(N),100) $(or $(SEED),1)

.PHONY: lab-speed lab-faults deps-build deps-check deps-lab
deps-build:
	$(Q)tests/deps build
deps-check:
	$(Q)tests/deps check
deps-lab:
	$(Q)tests/deps lab

# demo and check install what they need first, then start again with a clean look at the system
demo: deps-build
	$(Q)$(MAKE) --no-print-directory all
	$(Q)$(B)/watari bench demo

check: deps-check
	$(Q)$(MAKE) --no-print-directory all tests
	$(Q)tests/check

bench: all
	$(Q)$(B)/watari bench downtime

PREFIX ?= /usr/local
install: all
	$(Q)install -D -m 755 $(B)/watari $(DESTDIR)$(PREFIX)/bin/watari
	$(Q)for f in docs/man/*.1; do install -D -m 644 $$f $(DESTDIR)$(PREFIX)/share/man/man1/$${f##*/}; done

clean:
	$(Q)rm -rf $(O)

help:
	@echo 'make           build build/watari'
	@echo 'make demo      install packages, build, move a running guest, show the blackout'
	@echo 'make check     install packages, build, run every test; ends in one line of counts'
	@echo 'make lint      layering, formatting, every header alone, file and function sizes'
	@echo 'make fmt       clang-format all C'
	@echo 'make lab       real Linux guests moved in an emulated host'
	@echo 'make lab-faults N=100 SEED=1  a Linux guest on shared storage: its test, and random faults over its moves'
	@echo 'make lab-speed RDMA beside ib_write_bw and TCP, disk and network beside QEMU, in emulated hosts'
	@echo 'make fuzz      every decoder, FUZZ_SECONDS=60 each'
	@echo 'make asan      unit and contract tests under AddressSanitizer and UBSan (also: ubsan, tsan)'
	@echo 'make bench     watari bench downtime with its defaults'
	@echo 'make install   PREFIX=/usr/local DESTDIR='
	@echo 'V=1 shows the commands; O=DIR builds elsewhere.'

# Not what the lab keeps: a Debian system has such names, too.
-include $(shell find $(O) -path $(O)/lab -prune -o -name '*.d' -type f -print 2>/dev/null)
