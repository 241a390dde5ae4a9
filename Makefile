# SPDX-License-Identifier: Apache-2.0
#
# Build of Donjon.  `make help` lists the targets.
#
# MODE=release|debug|asan|tsan selects a build; each has its own directory build/$(MODE).
# O=DIR builds in DIR instead of build, WERROR=1 makes warnings errors, V=1 shows commands.
#
# Sources are found by wildcard.  A directory that needs a rule of its own (a generated header, a
# special flag) has a fragment `module.mk`; see "Generated files" below.

MODE ?= release
O    ?= build
B    := $(O)/$(MODE)
GEN  := $(B)/gen

MODES := release debug asan tsan fuzz
ifeq ($(filter $(MODE),$(MODES)),)
$(error MODE=$(MODE) is unknown; use one of $(MODES))
endif

# A modest default; `make -jN` overrides it.
ifeq ($(MAKELEVEL)$(filter -j%,$(MAKEFLAGS)),0)
MAKEFLAGS += -j2
endif
MAKEFLAGS += --no-builtin-rules
.DELETE_ON_ERROR:
.SECONDARY:

CLANG ?= $(or $(shell command -v clang-14),clang)
ifeq ($(origin CC),default)
CC := $(if $(filter tsan fuzz,$(MODE)),$(CLANG),gcc)
endif
AR      := ar
NM      := nm
OBJCOPY := objcopy
PYTHON  ?= python3
IS_CLANG := $(if $(findstring clang,$(shell $(CC) --version 2>/dev/null)),1)

ifneq ($(V),1)
Q   := @
say  = @printf '  %-5s %s\n' $(1) $(2);
else
say  =
endif

# ---- Flags -----------------------------------------------------------------------------------

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition \
	-Wvla -Wundef -Wwrite-strings -Wformat=2 -Wimplicit-fallthrough -Wno-unused-parameter
ifeq ($(WERROR),1)
WARN += -Werror
endif

HARDEN := -fstack-protector-strong -fcf-protection -ftrivial-auto-var-init=zero
ifeq ($(IS_CLANG),1)
HARDEN += -enable-trivial-auto-var-init-zero-knowing-it-will-be-removed-from-clang
endif
FORTIFY := -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2

DIALECT  := -std=gnu2x -D_GNU_SOURCE -fno-strict-aliasing
INCLUDES := -Isrc -I$(GEN)

OPT_release := -O2 $(FORTIFY)
OPT_debug   := -O1 -fno-omit-frame-pointer -DDONJON_DEBUG=1 $(FORTIFY)
OPT_asan    := -O1 -fno-omit-frame-pointer -DDONJON_DEBUG=1
OPT_tsan    := -O1 -fno-omit-frame-pointer -DDONJON_DEBUG=1
OPT_fuzz    := -O1 -fno-omit-frame-pointer -DDONJON_DEBUG=1
SAN_asan    := -fsanitize=address,undefined -fno-sanitize-recover=undefined
SAN_tsan    := -fsanitize=thread
SAN_fuzz    := -fsanitize=fuzzer-no-link,address

CPPFLAGS := $(INCLUDES) -MMD -MP
CFLAGS   := $(DIALECT) -g $(OPT_$(MODE)) -fPIE $(WARN) $(HARDEN) $(SAN_$(MODE)) $(EXTRA_CFLAGS)
ASFLAGS  := -g -D__ASSEMBLY__=1
LDFLAGS  := -pie -Wl,-z,relro,-z,now,-z,noexecstack $(SAN_$(MODE)) $(EXTRA_LDFLAGS)
LDLIBS   := -lseccomp -lpthread

# Code that runs inside the guest's process is freestanding, plain and never instrumented.
BARE := $(DIALECT) -g -O2 -ffreestanding -nostdlib -mgeneral-regs-only -fno-builtin \
	-fno-stack-protector -fcf-protection=none -U_FORTIFY_SOURCE $(WARN)
ifneq ($(IS_CLANG),1)
BARE += -fno-tree-loop-distribute-patterns
endif

# The stub is linked at a fixed address; -fpie only makes its code reach its data by %rip, which
# is shorter than the large model and works wherever stub.lds puts it.
STUB_CFLAGS  := $(BARE) -fpie -fno-asynchronous-unwind-tables -fno-jump-tables
STUB_LDFLAGS := -nostdlib -static -Wl,--build-id=none,-z,noexecstack,-z,max-page-size=4096
VDSO_CFLAGS  := $(BARE) -fPIC -fasynchronous-unwind-tables
VDSO_LDFLAGS := -nostdlib -shared -Wl,-soname,linux-vdso.so.1,-Bsymbolic,--hash-style=both \
	-Wl,--build-id=sha1,--eh-frame-hdr,-z,noexecstack,-z,max-page-size=4096

# Guest programs are ordinary static programs, the same in every mode.  They pass bad arguments on
# purpose, so the compiler's opinion of those is not wanted.
GUEST_CC     ?= gcc
GUEST_CFLAGS := -std=gnu2x -D_GNU_SOURCE -O1 -g -Wall -Wextra -Wno-unused-parameter -Wno-nonnull \
	-Wno-stringop-overread -Wno-stringop-overflow -Wno-array-bounds -Wno-unused-result \
	-static -pthread -Isrc -Itests -Itests/guest -MMD -MP $(if $(filter 1,$(WERROR)),-Werror)
GUEST_LDLIBS := -lm

# ---- Sources ---------------------------------------------------------------------------------

STUB_DIR := src/platform/systrap/stub
VDSO_DIR := src/loader/vdso

SRCS      := $(filter-out $(VDSO_DIR)/% $(STUB_DIR)/% src/cli/main.c, \
	$(wildcard src/*/*.c src/*/*/*.c src/*/*.S src/*/*/*.S))
MAIN_SRC  := $(wildcard src/cli/main.c)
STUB_SRCS := $(wildcard $(STUB_DIR)/*.c $(STUB_DIR)/*.S)
VDSO_SRCS := $(wildcard $(VDSO_DIR)/*.c $(VDSO_DIR)/*.S)

all: ## Build the donjon binary (default)

# ---- Generated files -------------------------------------------------------------------------
#
# tools/gen-NAME.py (or .sh) prints a file on standard output.  To have build/$(MODE)/gen/NAME.h
# made by it, a fragment src/DIR/module.mk says
#
#	GEN_HEADERS += NAME.h
#	$(GEN)/NAME.h: src/DIR/table.def
#
# and the script is run with the files of the second line as its arguments.  GEN_SOURCES += NAME.c
# is the same for a source file that goes into libdonjon.a.  A generator with other arguments gets
# a rule of its own in the fragment:
#
#	GEN_HEADERS += marshal.h
#	$(GEN)/marshal.h: tools/gen-syscalls.py src/syscall/table.def
#		$(call generate,$(PYTHON) $< --marshal src/syscall/table.def)
#
# Every object waits for GEN_HEADERS.  A file with flags of its own:
#
#	$(B)/obj/src/DIR/file.c.o: CFLAGS += -mavx2

GEN_HEADERS :=
GEN_SOURCES :=

# $(call generate,COMMAND): the command's output becomes the target, when it succeeds.
generate = $(call say,GEN,$@) mkdir -p $(@D) && $(1) >$@.tmp && mv $@.tmp $@

include $(wildcard src/*/module.mk src/*/*/module.mk)

GEN_H := $(addprefix $(GEN)/,$(GEN_HEADERS))

$(GEN)/%.h: tools/gen-%.py
	$(call generate,$(PYTHON) $< $(filter-out $<,$^))
$(GEN)/%.h: tools/gen-%.sh
	$(call generate,sh $< $(filter-out $<,$^))
$(GEN)/%.c: tools/gen-%.py
	$(call generate,$(PYTHON) $< $(filter-out $<,$^))
$(GEN)/%.c: tools/gen-%.sh
	$(call generate,sh $< $(filter-out $<,$^))

# ---- Objects ---------------------------------------------------------------------------------

LIB_OBJS  := $(SRCS:%=$(B)/obj/%.o) $(GEN_SOURCES:%=$(B)/obj/gen/%.o)
MAIN_OBJ  := $(MAIN_SRC:%=$(B)/obj/%.o)
STUB_OBJS := $(STUB_SRCS:%=$(B)/obj/%.o)
VDSO_OBJS := $(VDSO_SRCS:%=$(B)/obj/%.o)
ALL_OBJS  := $(LIB_OBJS) $(MAIN_OBJ) $(STUB_OBJS) $(VDSO_OBJS)
LIB       := $(B)/libdonjon.a
BIN       := $(if $(MAIN_SRC),$(B)/donjon)
ALIAS     := $(if $(and $(BIN),$(filter release,$(MODE))),$(O)/donjon)

# $(call record,TEXT): the target holds TEXT, and is new only if that changed.
record = @mkdir -p $(@D); printf '%s\n' '$(1)' | cmp -s - $@ || printf '%s\n' '$(1)' >$@

FORCE:
$(B)/flags: FORCE
	$(call record,$(CC) $(CFLAGS) $(ASFLAGS) $(STUB_CFLAGS) $(VDSO_CFLAGS))
$(B)/objects: FORCE
	$(call record,$(LIB_OBJS) $(STUB_OBJS) $(VDSO_OBJS))
$(O)/guest.flags: FORCE
	$(call record,$(GUEST_CC) $(GUEST_CFLAGS))

$(ALL_OBJS): $(B)/flags | $(GEN_H)

$(STUB_OBJS): private CFLAGS := $(STUB_CFLAGS)
$(VDSO_OBJS): private CFLAGS := $(VDSO_CFLAGS)

define compile_c
$(call say,CC,$<) mkdir -p $(@D)
$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -c $< -o $@
endef
define compile_s
$(call say,AS,$<) mkdir -p $(@D)
$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(ASFLAGS) -c $< -o $@
endef

$(B)/obj/%.c.o: %.c
	$(compile_c)
$(B)/obj/%.S.o: %.S
	$(compile_s)
$(B)/obj/gen/%.c.o: $(GEN)/%.c
	$(compile_c)

$(LIB): $(LIB_OBJS) $(B)/objects
	$(call say,AR,$@) rm -f $@
	$(Q)$(AR) rcs $@ $(LIB_OBJS)

# The whole archive: some objects are referred to by nothing but their linker section (devices).
$(B)/donjon: $(MAIN_OBJ) $(LIB)
	$(call say,LD,$@) $(CC) $(LDFLAGS) $(MAIN_OBJ) -Wl,--whole-archive $(LIB) \
		-Wl,--no-whole-archive $(LDLIBS) -o $@

$(O)/donjon: $(B)/donjon
	$(Q)ln -sfn $(MODE)/donjon $@

# ---- The stub image and the vDSO -------------------------------------------------------------

# $(call symbols,PREFIX,ELF): a header with the address of each global symbol.
hash := \#
symbols = $(call generate,$(NM) -g --defined-only $(2) | awk '$$3 ~ /^[A-Za-z_0-9]+$$/ \
	{ print "$(hash)define $(1)" $$3 " 0x" $$1 }')

$(B)/stub.elf: $(STUB_OBJS) $(STUB_DIR)/stub.lds $(B)/objects
	$(call say,LD,$@) $(CC) $(STUB_LDFLAGS) -Wl,-T,$(STUB_DIR)/stub.lds $(STUB_OBJS) -o $@
$(GEN)/stub.bin: $(B)/stub.elf
	@mkdir -p $(@D)
	$(Q)$(OBJCOPY) -O binary $< $@
$(GEN)/stub_syms.h: $(B)/stub.elf
	$(call symbols,STUB_SYM_,$<)

$(B)/vdso.elf: $(VDSO_OBJS) $(VDSO_DIR)/vdso.lds $(B)/objects
	$(call say,LD,$@) $(CC) $(VDSO_LDFLAGS) -Wl,-T,$(VDSO_DIR)/vdso.lds $(VDSO_OBJS) -o $@
$(GEN)/vdso.so: $(B)/vdso.elf
	@mkdir -p $(@D)
	$(Q)$(OBJCOPY) --strip-all $< $@
$(GEN)/vdso_syms.h: $(B)/vdso.elf
	$(call symbols,VDSO_SYM_,$<)

ifneq ($(STUB_SRCS),)
$(B)/obj/src/platform/systrap/image.S.o: $(GEN)/stub.bin
$(filter $(B)/obj/src/platform/systrap/%,$(LIB_OBJS)): | $(GEN)/stub_syms.h
endif
ifneq ($(VDSO_SRCS),)
$(B)/obj/src/loader/vdso_image.S.o: $(GEN)/vdso.so
$(filter $(B)/obj/src/loader/%,$(LIB_OBJS)): | $(GEN)/vdso_syms.h
endif

# ---- Tests -----------------------------------------------------------------------------------

UNIT_SRCS := $(wildcard tests/unit/test_*.c)
UNIT_BINS := $(UNIT_SRCS:tests/unit/%.c=$(B)/unit/%)
FUZZ_BINS := $(patsubst tests/fuzz/%.c,$(O)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))

guest_bins = $(patsubst tests/$(1)/%.c,$(O)/$(1)/%,$(wildcard tests/$(1)/*.c))
GUEST_BINS := $(call guest_bins,guest) $(call guest_bins,hostile) $(call guest_bins,programs) $(call guest_bins,hosts)

$(B)/unit/%: tests/unit/%.c $(LIB) $(B)/flags | $(GEN_H)
	$(call say,CC,$<) mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) -Itests $(CFLAGS) $(LDFLAGS) $< $(LIB) -lcmocka $(LDLIBS) -MF $@.d -o $@

define guest_rule
$(O)/$(1)/%: tests/$(1)/%.c $(O)/guest.flags
	$$(call say,CC,$$<) mkdir -p $$(@D)
	$$(Q)$$(GUEST_CC) $$(GUEST_CFLAGS) $$< $$(GUEST_LDLIBS) -MF $$@.d -o $$@
endef
$(foreach d,guest hostile programs hosts,$(eval $(call guest_rule,$(d))))

TEST_DEPS := $(BIN) $(ALIAS) $(UNIT_BINS) $(GUEST_BINS)
RUN_TESTS := $(PYTHON) tools/run-tests --build $(O) --mode $(MODE)

build-tests: $(TEST_DEPS)

test: ## Install what is missing, build, run all tests; ends with "N passed, N failed"
	@tools/install-deps.sh build test
	@$(MAKE) --no-print-directory build-tests
	@$(RUN_TESTS) unit guest scripts

unit: $(UNIT_BINS) ## Run the unit tests
	@$(RUN_TESTS) unit

guest: $(TEST_DEPS) ## Run the guest tests
	@$(RUN_TESTS) guest

# SUITES="test_os test_io" chooses among the suites of tests/cpython.sh.
test-cpython: $(BIN) ## Compare CPython's own test suites natively and in Donjon; SUITES="test_os"
	@DONJON=$(B)/donjon tests/cpython.sh $(SUITES)

demo: ## Install what is missing, build, and run programs in the sandbox
	@tools/install-deps.sh build demo
	@$(MAKE) --no-print-directory all
	@DONJON=$(B)/donjon tests/demo.sh

lint: ## Check format, layers, headers, globals, locks; run clang-tidy and cppcheck
	@tools/install-deps.sh build lint
	@$(MAKE) --no-print-directory MODE=release all
	@BUILD=$(O)/release tools/lint/run

print-flags:
	@echo $(DIALECT) $(INCLUDES) $(WARN)

# ---- Fuzzing ---------------------------------------------------------------------------------

FUZZ_SECONDS ?= 20

$(O)/fuzz/fuzz_%: tests/fuzz/fuzz_%.c $(LIB) $(B)/flags | $(GEN_H)
	$(call say,CC,$<) mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) -Itests $(CFLAGS) $(LDFLAGS) -fsanitize=fuzzer $< $(LIB) $(LDLIBS) -MF $@.d -o $@

fuzz: ## Run each fuzzer for FUZZ_SECONDS=20 seconds
	@tools/install-deps.sh build fuzz
ifneq ($(FUZZ_BINS),)
	@$(MAKE) --no-print-directory MODE=fuzz $(FUZZ_BINS)
	@tools/run-fuzz $(O)/fuzz $(FUZZ_SECONDS) $(FUZZ_BINS)
endif

# ---- Benchmarks ------------------------------------------------------------------------------

BENCH_BINS := $(patsubst bench/%.c,$(O)/bench/%,$(wildcard bench/*.c))
BENCH_ARGS ?=

$(O)/bench/%: bench/%.c $(O)/guest.flags
	$(call say,CC,$<) mkdir -p $(@D)
	$(Q)$(GUEST_CC) $(GUEST_CFLAGS) -O2 $< $(GUEST_LDLIBS) -MF $@.d -o $@

bench: ## Compare native, donjon, bwrap and runsc; BENCH_ARGS="--quick --only NAME"
	@tools/install-deps.sh build bench
	@$(MAKE) --no-print-directory bench-build
	@$(PYTHON) bench/run.py --build $(O) $(BENCH_ARGS)

bench-build: $(BIN) $(ALIAS) $(BENCH_BINS)

# ---- The rest --------------------------------------------------------------------------------

PREFIX ?= /usr/local
DOCS   := $(wildcard README.md LICENSE docs/*.md)

install: $(BIN) ## Install under DESTDIR and PREFIX=/usr/local
	install -D -m 755 $(B)/donjon $(DESTDIR)$(PREFIX)/bin/donjon
	$(if $(wildcard docs/donjon.1),install -D -m 644 docs/donjon.1 $(DESTDIR)$(PREFIX)/share/man/man1/donjon.1)
	$(if $(DOCS),install -d $(DESTDIR)$(PREFIX)/share/doc/donjon)
	$(if $(DOCS),install -m 644 $(DOCS) $(DESTDIR)$(PREFIX)/share/doc/donjon)

clean: ## Remove everything that was built
	rm -rf $(O)

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-12s %s\n", $$1, $$2 }' Makefile
	@echo 'Variables: MODE=release|debug|asan|tsan O=build WERROR=1 V=1 EXTRA_CFLAGS='

all: $(if $(SRCS),$(LIB)) $(BIN) $(ALIAS) $(GEN_H)
.DEFAULT_GOAL := all
.PHONY: all test test-cpython unit guest demo lint fuzz bench bench-build build-tests install clean \
	help print-flags FORCE

-include $(ALL_OBJS:.o=.d) $(UNIT_BINS:=.d) $(GUEST_BINS:=.d) $(BENCH_BINS:=.d) $(FUZZ_BINS:=.d)
