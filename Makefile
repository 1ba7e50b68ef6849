# SPDX-License-Identifier: GPL-2.0-only
# `make help` lists the targets. Everything built goes to $(BUILD); V=1 shows the commands.

STATIC  ?=
BUILD   ?= build$(if $(STATIC),-static)
PREFIX  ?= /usr/local
DESTDIR ?=
CC      ?= cc
CLANG   ?= clang
BPFTOOL ?= $(shell command -v bpftool 2>/dev/null || echo /usr/sbin/bpftool)
V       ?= 0

# A tarball has no git; a tree that belongs to somebody else is still read.
RELEASE := 0.1.0
RELEASED := 2026-11-23
COMMIT  := $(shell test -e .git && GIT_OPTIONAL_LOCKS=0 git -c safe.directory='*' \
             describe --always --dirty --match= 2>/dev/null)
VERSION := $(RELEASE)$(addprefix -g,$(COMMIT))

ifeq ($(V),0)
MAKEFLAGS += --no-print-directory
Q   = @
msg = @printf '  %-8s %s\n' '$(1)' '$(patsubst $(BUILD)/%,%,$(2))';
else
msg =
endif

.DELETE_ON_ERROR:
.SECONDARY:
.DEFAULT_GOAL := all

LIBS       := libbpf libelf zlib libpcap libmnl jansson
# Optional: `analyze` reads .zst files.
ZSTD       := $(shell pkg-config --exists libzstd 2>/dev/null && echo libzstd)
# Optional: incidents are kept.
SQLITE     := $(shell pkg-config --exists sqlite3 2>/dev/null && echo sqlite3)
# Optional, for the daemon: its files, HTTP out, HTTP in, the service manager.
INIH       := $(shell pkg-config --exists inih 2>/dev/null && echo inih)
CURL       := $(shell pkg-config --exists libcurl 2>/dev/null && echo libcurl)
MICROHTTPD := $(shell pkg-config --exists libmicrohttpd 2>/dev/null && echo libmicrohttpd)
SYSTEMD    := $(shell pkg-config --exists libsystemd 2>/dev/null && echo libsystemd)
# STATIC=1 leaves out those that drag in half a system, and needs archives of all others.
ifneq ($(STATIC),)
CURL       :=
MICROHTTPD :=
SYSTEMD    :=
STATICALLY := --static
endif
EXTRA      := $(ZSTD) $(SQLITE) $(INIH) $(CURL) $(MICROHTTPD) $(SYSTEMD)
HAVE       := $(if $(ZSTD),-DHAVE_ZSTD) $(if $(SQLITE),-DHAVE_SQLITE) $(if $(INIH),-DHAVE_INIH) \
              $(if $(CURL),-DHAVE_CURL) $(if $(MICROHTTPD),-DHAVE_MICROHTTPD) \
              $(if $(SYSTEMD),-DHAVE_SYSTEMD)
WARNINGS   := -Wall -Wextra -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wformat=2 -Wvla \
              -Wpointer-arith -Wundef
OPTIMISE   ?= -O2
HARDENING  ?= -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE
CFLAGS_ALL  = -std=gnu11 -g $(OPTIMISE) $(HARDENING) $(WARNINGS) $(WERROR) -Iuser -I$(BUILD) -Ibpf \
              -D_GNU_SOURCE -MMD -MP $(shell pkg-config --cflags $(LIBS) $(EXTRA) 2>/dev/null) \
              $(HAVE) $(CFLAGS)
LDLIBS_ALL  = $(shell pkg-config $(STATICALLY) --libs $(LIBS) $(EXTRA) 2>/dev/null) -lm $(LDLIBS)

SOURCES  := $(wildcard user/*.c user/*/*.c)
OBJECTS  := $(SOURCES:%.c=$(BUILD)/%.o)
BPF_SRC  := $(wildcard bpf/*.bpf.c)
SKELETON := $(BPF_SRC:bpf/%.bpf.c=$(BUILD)/%.skel.h)

# One program for each tests/unit/test_*.c; other files there are shared by all of them.
UNIT_SRC  := $(wildcard tests/unit/*.c)
UNIT_OBJ  := $(UNIT_SRC:%.c=$(BUILD)/%.o)
UNIT_HELP := $(filter-out $(BUILD)/tests/unit/test_%.o,$(UNIT_OBJ))
UNIT      := $(patsubst %.c,$(BUILD)/%,$(filter tests/unit/test_%,$(UNIT_SRC)))
# Each executable file there is a test program of its own; C files there are what they run.
LAB_TESTS := $(shell find tests/lab -maxdepth 1 -type f -perm -u+x 2>/dev/null | sort)
CAPTURE_TESTS := $(shell find tests/captures -maxdepth 1 -type f -perm -u+x 2>/dev/null | sort)
PACK_TESTS := $(wildcard tests/pack/test_*)
LAB_HELP  := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/lab/*.c))
DOCS_OBJ  := $(patsubst %.c,$(BUILD)/%.o,$(wildcard tools/docs/*.c))
DOCS      := $(addprefix $(BUILD)/,tcpstall.8 tcpstall.conf.5 tcpstall-events.5 tcpstall.conf \
               tcpstall.bash _tcpstall tcpstall.fish)
WIRE_OBJ  := $(patsubst %.c,$(BUILD)/%.o,$(wildcard tools/lab/*.c))

SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer

# Of what is built, which may not be this machine.
BPF_ARCH   := $(shell $(CC) -dumpmachine | sed 's/-.*//;s/x86_64/x86/;s/aarch64/arm64/')
BPF_CFLAGS := -g -O2 -Wall -Wextra -mcpu=v3 -target bpf -D__TARGET_ARCH_$(BPF_ARCH) -Ibpf

all: $(BUILD)/tcpstall  ## build the program

$(BUILD)/tcpstall: $(OBJECTS)
	$(call msg,LINK,$@)
	$(Q)$(CC) $(CFLAGS_ALL) $(if $(STATIC),-static-pie,-pie) $(LDFLAGS) -o $@ $^ $(LDLIBS_ALL)

$(BUILD)/%.o: %.c | $(BUILD)/version.h $(SKELETON) need
	$(call msg,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) -c -o $@ $<

$(BUILD)/%.bpf.o: bpf/%.bpf.c $(wildcard bpf/*.h) | need
	$(call msg,BPF,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) $(WERROR) -c -o $@ $<

$(BUILD)/%.skel.h: $(BUILD)/%.bpf.o
	$(call msg,GEN-SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< > $@

# Everything but main(), as an archive: a test links the objects it needs and no others.
$(BUILD)/tcpstall.a: $(filter-out $(BUILD)/user/main.o,$(OBJECTS)) $(UNIT_HELP)
	$(call msg,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(UNIT): $(BUILD)/%: $(BUILD)/%.o $(BUILD)/tcpstall.a
	$(call msg,LINK,$@)
	$(Q)$(CC) $(CFLAGS_ALL) -pie $(LDFLAGS) -o $@ $^ $(LDLIBS_ALL) -lcmocka

$(LAB_HELP): $(BUILD)/%: $(BUILD)/%.o $(BUILD)/tcpstall.a
	$(call msg,LINK,$@)
	$(Q)$(CC) $(CFLAGS_ALL) -pie $(LDFLAGS) -o $@ $^ $(LDLIBS_ALL)

$(BUILD)/call $(BUILD)/progstat $(BUILD)/pump $(BUILD)/line: $(BUILD)/%: $(BUILD)/tools/bench/%.o
	$(call msg,LINK,$@)
	$(Q)$(CC) $(CFLAGS_ALL) -pie $(LDFLAGS) -o $@ $^ $(LDLIBS_ALL)

$(BUILD)/engine_scale: $(BUILD)/tools/bench/engine_scale.o $(BUILD)/tcpstall.a
	$(call msg,LINK,$@)
	$(Q)$(CC) $(CFLAGS_ALL) -pie $(LDFLAGS) -o $@ $^ $(LDLIBS_ALL)

# Man pages, completions and the sample configuration, from the program's own tables.
$(BUILD)/docs: $(DOCS_OBJ) $(BUILD)/tcpstall.a
	$(call msg,LINK,$@)
	$(Q)$(CC) $(CFLAGS_ALL) -pie $(LDFLAGS) -o $@ $^ $(LDLIBS_ALL)

$(DOCS): $(BUILD)/docs
	$(call msg,DOC,$@)
	$(Q)$(EMULATOR) $< $(@F) > $@

# The lab's stand-in for a long cable.
$(BUILD)/wire: $(WIRE_OBJ) $(BUILD)/tcpstall.a
	$(call msg,LINK,$@)
	$(Q)$(CC) $(CFLAGS_ALL) -pie $(LDFLAGS) -o $@ $^ $(LDLIBS_ALL)

# The program with all that it needs, to be unpacked at / of a system that has nothing but a kernel.
HOME_DIR ?= /opt/tcpstall
BUNDLE   := $(BUILD)/tcpstall-$(RELEASE)-$(shell uname -m).tar.gz

$(BUNDLE): $(BUILD)/tcpstall tools/bundle
	$(call msg,BUNDLE,$@)
	$(Q)rm -rf $(BUILD)/bundle && mkdir -p $(BUILD)/bundle$(HOME_DIR)
	$(Q)$(CC) $(CFLAGS_ALL) -pie $(LDFLAGS) -Wl,--disable-new-dtags,-rpath,$(HOME_DIR)/lib \
		-Wl,--dynamic-linker=$(HOME_DIR)/lib/ld.so -o $(BUILD)/bundle$(HOME_DIR)/tcpstall \
		$(OBJECTS) $(LDLIBS_ALL)
	$(Q)tools/bundle $(BUILD)/tcpstall $(BUILD)/bundle$(HOME_DIR)/lib
	$(Q)tar -C $(BUILD)/bundle --owner=0 --group=0 -czf $@ .

bundle: $(BUNDLE)  ## a tar for a bare system: program, libraries, loader, in HOME_DIR=/opt/tcpstall

# Rewritten only when a version changes. Some libraries do not tell their own.
version_of = $(shell pkg-config --modversion $(1) 2>/dev/null)
version_h = printf '\#define %s "%s"\n' TCPSTALL_VERSION '$(VERSION)' TCPSTALL_RELEASED '$(RELEASED)' \
                LIBMNL_VERSION '$(call version_of,libmnl)' INIH_VERSION '$(call version_of,inih)' \
                SYSTEMD_VERSION '$(call version_of,libsystemd)'

$(BUILD)/version.h: FORCE
	$(Q)mkdir -p $(@D)
	$(Q)$(version_h) | cmp -s - $@ || $(version_h) > $@

-include $(OBJECTS:.o=.d) $(UNIT_OBJ:.o=.d) $(LAB_HELP:=.d) $(WIRE_OBJ:.o=.d) $(DOCS_OBJ:.o=.d) \
         $(BUILD)/tools/bench/progstat.d $(BUILD)/tools/bench/pump.d $(BUILD)/tools/bench/line.d \
         $(BUILD)/tools/bench/call.d $(BUILD)/tools/bench/engine_scale.d

# One line that says what is missing, instead of a hundred by the compiler.
need:
	@missing=; \
	for tool in $(firstword $(CC)) $(CLANG) $(BPFTOOL) pkg-config; do \
		command -v $$tool >/dev/null 2>&1 || missing="$$missing $$tool"; \
	done; \
	for lib in $(LIBS); do \
		pkg-config --exists $$lib 2>/dev/null || missing="$$missing $$lib"; \
	done; \
	test -z "$$missing" || { echo "missing:$$missing - run \`make deps\`" >&2; exit 1; }
ifneq ($(STATIC),)
	@missing=; for lib in $(sort $(filter -l%,$(LDLIBS_ALL))); do \
		echo 'int main(void) { return 0; }' | $(CC) -static $(LDFLAGS) \
			$(filter -L%,$(LDLIBS_ALL)) -x c - -x none $$lib -o /dev/null 2>/dev/null || \
			missing="$$missing lib$${lib#-l}.a"; \
	done; \
	test -z "$$missing" || { \
		echo "STATIC=1: not there:$$missing - \`make bundle\` needs none of them" >&2; exit 1; }
endif

deps:  ## install what build, tests, demo and lint need; not root: say what is missing
	@tools/deps build test demo lint

# qemu-user is no kernel: it has no namespaces to enter and no BPF.
EMULATED := $(filter-out %/test_host %/test_broker %/test_rings %/test_sensor %/test_blackbox \
              %/test_half_closed,$(UNIT))

check-unit: $(UNIT)  ## build and run the unit tests
	$(Q)tests/run $(if $(EMULATOR),--time 900 --under '$(EMULATOR)' $(EMULATED),$(UNIT))

# As root, here and below: what is missing is installed first.
test:  ## unit tests and, as root, the quick part of the lab
	@tools/deps build test demo
	$(Q)$(MAKE) all $(UNIT) $(LAB_HELP) $(BUILD)/wire $(DOCS)
	$(Q)BUILD=$(BUILD) tests/run $(UNIT) $(CAPTURE_TESTS) $(PACK_TESTS) $(LAB_TESTS)

SYSROOT := $(abspath $(BUILD)-arm64/sysroot)

cross:  ## build for arm64 in build-arm64/, and its unit tests under qemu
	@tools/deps build cross
	$(Q)tools/cross arm64 $(SYSROOT)
	$(Q)PKG_CONFIG_SYSROOT_DIR=$(SYSROOT) \
		PKG_CONFIG_LIBDIR=$(SYSROOT)/usr/lib/aarch64-linux-gnu/pkgconfig \
		$(MAKE) BUILD=$(BUILD)-arm64 CC='aarch64-linux-gnu-gcc --sysroot=$(SYSROOT)' \
		AR=aarch64-linux-gnu-ar EMULATOR='qemu-aarch64 -L $(SYSROOT)' all check-unit

bench-scale:  ## many connections, many flows, a thousand stalls: what they cost, as root
	@tools/deps build bench
	$(Q)$(MAKE) all $(BUILD)/engine_scale
	$(Q)$(BUILD)/engine_scale
	$(Q)BUILD=$(BUILD) tools/bench/scale

test-vm:  ## what works in the distribution's kernels, under qemu; VM="--steps check PACKAGE"
	@tools/deps build test vm
	$(Q)$(MAKE) bundle $(UNIT) $(LAB_HELP) $(BUILD)/wire
	$(Q)BUILD=$(BUILD) tests/vm/run $(VM)

lab:  ## all scenarios of the lab, and the table of how well they were judged
	@tools/deps build test demo
	$(Q)$(MAKE) all $(BUILD)/wire
	$(Q)BUILD=$(BUILD) tools/lab/lab score --keep $(BUILD)/lab

# Subsets and more: make accuracy CASES='line-dead-*' JOBS=2. What was run is kept and not run again
# unless RESUME is empty.
JOBS   ?= 3
RESUME ?= --resume

accuracy:  ## the matrix of faults, as root, half an hour: how right the verdicts are
	@tools/deps build test demo
	$(Q)$(MAKE) all $(BUILD)/wire
	$(Q)BUILD=$(BUILD) tools/lab/lab accuracy --jobs $(JOBS) --keep $(BUILD)/accuracy $(RESUME) \
		$(if $(CASES),,--write tests/ACCURACY.md) $(CASES)

SOAK ?= 5m

soak:  ## healthy mixed traffic, as root: nothing may be reported; SOAK=1h
	@tools/deps build test demo
	$(Q)$(MAKE) all $(BUILD)/wire
	$(Q)BUILD=$(BUILD) tools/lab/lab soak $(SOAK)

demo:  ## a backup that stops: the whole story in a minute and a half, as root
	@tools/deps build test demo
	$(Q)$(MAKE) all $(BUILD)/wire
	$(Q)BUILD=$(BUILD) tools/lab/lab demo

bench:  ## what watching costs, beside tcpdump and bpftrace, as root; BENCH=--quick: six minutes
	@tools/deps build bench
	$(Q)$(MAKE) all $(BUILD)/call $(BUILD)/progstat $(BUILD)/pump $(BUILD)/line
	$(Q)BUILD=$(BUILD) tools/bench/run $(BENCH)

lint: $(SKELETON) $(BUILD)/version.h | need  ## formatter, static checkers, rooms and licences
	$(Q)CFLAGS='$(subst -I$(BUILD),-isystem $(BUILD),$(CFLAGS_ALL))' tools/lint

format:  ## lay the C files out with clang-format 14
	$(Q)find user bpf tests tools -name '*.[ch]' | \
		xargs $$(command -v clang-format-14 || echo clang-format) -i

asan:  ## unit tests with address and undefined-behaviour sanitizers
	$(Q)$(MAKE) BUILD=$(BUILD)-asan OPTIMISE=-O1 HARDENING=-fPIE CFLAGS='$(SANITIZE) $(CFLAGS)' \
		all check-unit

# Each harness is a tests/fuzz/fuzz_*.c, linked as a unit test is; with clang or afl-clang-fast.
FUZZERS := $(patsubst tests/fuzz/%.c,$(BUILD)/tests/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_CC ?= $(CLANG)

$(FUZZERS): $(BUILD)/%: $(BUILD)/%.o $(BUILD)/tcpstall.a
	$(call msg,LINK,$@)
	$(Q)$(CC) $(CFLAGS_ALL) -fsanitize=fuzzer -o $@ $^ $(LDLIBS_ALL)

fuzzers: $(FUZZERS)

fuzz afl:  ## SECONDS=60 of hostile input under sanitizers, by libFuzzer or AFL++; CORPUS=DIR is kept
	@tools/deps build $@
	$(Q)$(MAKE) BUILD=$(BUILD)-$@ CC=$(if $(filter afl,$@),afl-clang-fast,$(FUZZ_CC)) OPTIMISE=-O1 \
		HARDENING=-fPIE CFLAGS='$(SANITIZE) -fsanitize=fuzzer-no-link $(CFLAGS)' fuzzers
	$(Q)tests/fuzz/run $(BUILD)-$@ $(or $(SECONDS),60) $(CORPUS)

# Where what goes: file=directory. A distribution says which directories its shells read.
BASHDIR = $(PREFIX)/share/bash-completion/completions
ZSHDIR  = $(PREFIX)/share/zsh/site-functions
FISHDIR = $(PREFIX)/share/fish/vendor_completions.d
UNITDIR = $(PREFIX)/lib/systemd/system
MAN     = $(PREFIX)/share/man
SHARE   = $(PREFIX)/share/tcpstall
INSTALLED = $(BUILD)/tcpstall=$(PREFIX)/bin/tcpstall $(BUILD)/tcpstall.8=$(MAN)/man8/tcpstall.8 \
            $(BUILD)/tcpstall.conf.5=$(MAN)/man5/tcpstall.conf.5 \
            $(BUILD)/tcpstall-events.5=$(MAN)/man5/tcpstall-events.5 \
            $(BUILD)/tcpstall.bash=$(BASHDIR)/tcpstall $(BUILD)/_tcpstall=$(ZSHDIR)/_tcpstall \
            $(BUILD)/tcpstall.fish=$(FISHDIR)/tcpstall.fish \
            $(BUILD)/tcpstall.service=$(UNITDIR)/tcpstall.service \
            tools/service/tcpstall.catalog=$(PREFIX)/lib/systemd/catalog/tcpstall.catalog \
            $(BUILD)/tcpstall.conf=$(SHARE)/tcpstall.conf \
            $(BUILD)/tcpstall.openrc=$(SHARE)/tcpstall.openrc \
            tools/service/containers.conf=$(SHARE)/containers.conf \
            $(foreach f,$(wildcard tools/integrations/*),$(f)=$(SHARE)/$(notdir $(f)))

$(BUILD)/tcpstall.service $(BUILD)/tcpstall.openrc: $(BUILD)/%: tools/service/% FORCE
	$(Q)sed 's,@bindir@,$(PREFIX)/bin,' $< > $@
	$(Q)chmod --reference=$< $@

install: all $(DOCS) $(BUILD)/tcpstall.service $(BUILD)/tcpstall.openrc  ## below $(DESTDIR)$(PREFIX): program, unit, man pages, completions, samples
	@for pair in $(INSTALLED); do \
		from=$${pair%%=*} to='$(DESTDIR)'$${pair#*=}; \
		test -x "$$from" && mode=755 || mode=644; \
		install -D -m $$mode "$$from" "$$to" && echo "  INSTALL  $$to" || exit; \
	done

uninstall:  ## undo install
	rm -f $(foreach f,$(INSTALLED),$(DESTDIR)$(lastword $(subst =, ,$(f))))
	-rmdir $(DESTDIR)$(SHARE)

# A tree of its own, as it would come in a tarball.
DEB := $(BUILD)/deb

deb:  ## a Debian package, and what lintian says of it, in build/deb/
	@tools/deps build deb
	$(Q)rm -rf $(DEB)
	$(Q)mkdir -p $(DEB)/tcpstall-$(RELEASE)
	$(Q)tar -c --exclude-vcs --exclude='./build*' --exclude=__pycache__ . | \
		tar -x -C $(DEB)/tcpstall-$(RELEASE)
	$(Q)tar -cJ -C $(DEB) -f $(DEB)/tcpstall_$(RELEASE).orig.tar.xz tcpstall-$(RELEASE)
	$(Q)cp -R tools/debian $(DEB)/tcpstall-$(RELEASE)/debian
	$(Q)cd $(DEB)/tcpstall-$(RELEASE) && env -u MAKEFLAGS -u MAKEOVERRIDES \
		DEB_BUILD_OPTIONS="$${DEB_BUILD_OPTIONS-nocheck parallel=2}" \
		dpkg-buildpackage -us -uc >../build.log 2>&1 || { tail -n 30 ../build.log; exit 1; }
	$(Q)lintian --allow-root --fail-on error,warning $(DEB)/*.changes
	@ls $(DEB)/*.deb

test-deb: deb  ## install, boot, upgrade, remove and purge it in a system of its own, as root
	$(Q)BUILD=$(BUILD) tests/run -t 900 tests/pack/deb

clean:  ## remove what was built
	$(Q)rm -rf $(BUILD) $(BUILD)-*

help:  ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*##/ {printf "  %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@echo '  Variables: BUILD CC CFLAGS CLANG BPFTOOL PREFIX DESTDIR STATIC=1 V=1 WERROR=-Werror'

FORCE:
-include $(FUZZERS:=.d)

.PHONY: accuracy afl all asan bench bench-scale bundle check-unit clean cross deb demo deps format fuzz fuzzers help install lab lint need soak test test-deb test-vm \
        uninstall FORCE
