# SPDX-License-Identifier: GPL-2.0-only
# make help lists the targets. Everything built goes to $(BUILD).

BUILD   ?= build
PREFIX  ?= /usr/local
DESTDIR ?=
CC      ?= cc
CLANG   ?= clang
BPFTOOL ?= $(shell command -v bpftool 2>/dev/null || echo /usr/sbin/bpftool)
V       ?= 0

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

ifeq ($(V),0)
MAKEFLAGS += --no-print-directory
Q   = @
msg = @printf '  %-8s %s\n' '$(1)' '$(patsubst $(BUILD)/%,%,$(2))';
else
msg =
endif

.DELETE_ON_ERROR:
.DEFAULT_GOAL := all

LIBS       := libbpf libelf zlib libpcap libmnl jansson
WARNINGS   := -Wall -Wextra -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wformat=2 -Wvla \
              -Wpointer-arith -Wundef
OPTIMISE   ?= -O2
HARDENING  ?= -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE
CFLAGS_ALL = -std=gnu11 -g $(OPTIMISE) $(HARDENING) $(WARNINGS) -Iuser -I$(BUILD) -Ibpf \
             -D_GNU_SOURCE -MMD -MP $(shell pkg-config --cflags $(LIBS) 2>/dev/null) $(CFLAGS)
LDLIBS_ALL = $(shell pkg-config --libs $(LIBS) 2>/dev/null) -lm $(LDLIBS)

SOURCES  := $(wildcard user/*.c user/*/*.c)
OBJECTS  := $(SOURCES:%.c=$(BUILD)/%.o)
BPF_SRC  := $(wildcard bpf/*.bpf.c)
SKELETON := $(BPF_SRC:bpf/%.bpf.c=$(BUILD)/%.skel.h)

BPF_ARCH   := $(shell uname -m | sed 's/x86_64/x86/;s/aarch64/arm64/')
BPF_CFLAGS := -g -O2 -Wall -Wextra -mcpu=v3 -target bpf -D__TARGET_ARCH_$(BPF_ARCH) -Ibpf

all: $(BUILD)/tcpstall  ## build the program

$(BUILD)/tcpstall: $(OBJECTS)
	$(call msg,LINK,$@)
	$(Q)$(CC) $(CFLAGS_ALL) -pie $(LDFLAGS) -o $@ $^ $(LDLIBS_ALL)

$(BUILD)/%.o: %.c $(BUILD)/version.h | $(SKELETON)
	$(call msg,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) -c -o $@ $<

$(BUILD)/%.bpf.o: bpf/%.bpf.c $(wildcard bpf/*.h)
	$(call msg,BPF,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -c -o $@ $<

$(BUILD)/%.skel.h: $(BUILD)/%.bpf.o
	$(call msg,GEN-SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< > $@

# Rewritten only when a version changes. libmnl does not tell its own.
version_h = printf '\#define %s "%s"\n' TCPSTALL_VERSION '$(VERSION)' \
                LIBMNL_VERSION '$(shell pkg-config --modversion libmnl 2>/dev/null)'

$(BUILD)/version.h: FORCE
	$(Q)mkdir -p $(@D)
	$(Q)$(version_h) | cmp -s - $@ || $(version_h) > $@

-include $(OBJECTS:.o=.d)

clean:  ## remove what was built
	$(Q)rm -rf $(BUILD)

help:  ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*##/ {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

FORCE:
.PHONY: all clean help FORCE
