/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Kernel side. Each transfer's progress is kept beside its socket; a healthy transfer wakes nobody.
 *
 *   progress.h   segments received and retransmitted: the hot path
 *   box.h        black boxes: the last packets of each transfer
 *   packets.h    packets on their way into those, beside the hot path
 *   options.h    ACKs whose options do not agree with what was sent
 *   lifecycle.h  connections that begin and end, resets, processes that are watched
 *   scan.h       iterators: silent transfers, connections older than we are
 *   network.h    packets dropped or damaged on this host, neighbours that change
 *
 * Each program loads by itself; none depends on another's being there, only on `progress` and
 * `scan` for anything to be reported at all. Locks: the state of a flow is written by whoever owns
 * the socket (softirq or system call) and by the scan, which holds only RCU. What the scan writes
 * is either its own or a time, and a lost race costs at most one scan period.
 */
#pragma clang diagnostic ignored "-Wunused-parameter" /* BPF_PROG() always has ctx */

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include "tcpstall.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile struct knobs knobs = {};

#include "flow.h"
#include "options.h"
#include "parse.h"
#include "box.h"
#include "packets.h"
#include "progress.h"
#include "lifecycle.h"
#include "scan.h"
#include "network.h"
