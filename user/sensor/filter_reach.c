/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Can a filter match any TCP transfer at all? Its program (classic BPF, of libpcap) is walked with
 * a segment whose addresses and ports are unknown: where a jump depends on them both ways are
 * taken. Programs only jump forward, so what is reached ends; one too wide to walk is let pass.
 */
#include <pcap/pcap.h>

#include "sensor/filter.h"

#define STEPS_MAX 200000

struct machine {
	const struct bpf_program *program;
	const uint8_t *packet, *unknown; /* unknown: not zero for each byte that may be anything */
	uint32_t len;
	unsigned int steps;
};

/* What is in a register or memory cell. */
struct value {
	uint32_t v;
	bool known;
};

struct registers {
	struct value a, x, mem[BPF_MEMWORDS];
	unsigned int pc;
};

static bool load(const struct machine *m, const struct value *at, uint32_t offset, uint32_t size,
		 struct value *ret)
{
	uint32_t from = offset + (at ? at->v : 0);

	*ret = (struct value){.known = !at || at->known};
	if (!ret->known)
		return true;
	if (from > m->len || size > m->len - from)
		return false; /* the program ends: no match */
	for (uint32_t i = 0; i < size; i++) {
		ret->v = ret->v << 8 | m->packet[from + i];
		ret->known &= !m->unknown[from + i];
	}
	return true;
}

static uint32_t compute(uint32_t op, uint32_t a, uint32_t b)
{
	switch (op) {
	case BPF_ADD:
		return a + b;
	case BPF_SUB:
		return a - b;
	case BPF_MUL:
		return a * b;
	case BPF_DIV:
		return b ? a / b : 0;
	case BPF_MOD:
		return b ? a % b : 0;
	case BPF_AND:
		return a & b;
	case BPF_OR:
		return a | b;
	case BPF_XOR:
		return a ^ b;
	case BPF_LSH:
		return b < 32 ? a << b : 0;
	case BPF_RSH:
		return b < 32 ? a >> b : 0;
	default:
		return -a; /* BPF_NEG */
	}
}

static bool holds(uint32_t op, uint32_t a, uint32_t b)
{
	switch (op) {
	case BPF_JEQ:
		return a == b;
	case BPF_JGT:
		return a > b;
	case BPF_JGE:
		return a >= b;
	default:
		return a & b; /* BPF_JSET */
	}
}

static bool walk(struct machine *m, struct registers r);

static bool jump(struct machine *m, struct registers *r, const struct bpf_insn *i, bool *ret_match)
{
	struct value b = BPF_SRC(i->code) == BPF_X ? r->x : (struct value){i->k, true};

	if (BPF_OP(i->code) == BPF_JA) {
		r->pc += i->k;
		return true;
	}
	if (r->a.known && b.known) {
		r->pc += holds(BPF_OP(i->code), r->a.v, b.v) ? i->jt : i->jf;
		return true;
	}
	r->pc += i->jt;
	*ret_match = walk(m, *r);
	r->pc += i->jf - i->jt;
	return !*ret_match;
}

static bool walk(struct machine *m, struct registers r)
{
	while (r.pc < m->program->bf_len) {
		const struct bpf_insn *i = &m->program->bf_insns[r.pc++];
		struct value b = BPF_SRC(i->code) == BPF_X ? r.x : (struct value){i->k, true};
		uint32_t size = BPF_SIZE(i->code) == BPF_W ? 4 : BPF_SIZE(i->code) == BPF_H ? 2 : 1;
		bool match = false;

		if (++m->steps > STEPS_MAX)
			return true;
		switch (BPF_CLASS(i->code)) {
		case BPF_LD:
		case BPF_LDX: {
			struct value *to = BPF_CLASS(i->code) == BPF_LD ? &r.a : &r.x;

			switch (BPF_MODE(i->code)) {
			case BPF_IMM:
				*to = (struct value){i->k, true};
				break;
			case BPF_LEN:
				*to = (struct value){m->len, true};
				break;
			case BPF_MEM:
				*to = r.mem[i->k % BPF_MEMWORDS];
				break;
			case BPF_MSH:
				if (!load(m, NULL, i->k, 1, to))
					return false;
				to->v = (to->v & 0xf) << 2;
				break;
			default:
				if (!load(m, BPF_MODE(i->code) == BPF_IND ? &r.x : NULL, i->k, size,
					  to))
					return false;
			}
			break;
		}
		case BPF_ST:
			r.mem[i->k % BPF_MEMWORDS] = r.a;
			break;
		case BPF_STX:
			r.mem[i->k % BPF_MEMWORDS] = r.x;
			break;
		case BPF_ALU:
			r.a.known &= b.known || BPF_OP(i->code) == BPF_NEG;
			r.a.v = compute(BPF_OP(i->code), r.a.v, b.v);
			break;
		case BPF_JMP:
			if (!jump(m, &r, i, &match))
				return match;
			break;
		case BPF_RET:
			return BPF_RVAL(i->code) == BPF_A ? !r.a.known || r.a.v : i->k != 0;
		default: /* BPF_MISC */
			if (BPF_MISCOP(i->code) == BPF_TAX)
				r.x = r.a;
			else
				r.a = r.x;
		}
	}
	return false;
}

bool filter_reaches(const struct bpf_program *program, const uint8_t *packet,
		    const uint8_t *unknown, size_t len)
{
	struct machine m = {
		.program = program, .packet = packet, .unknown = unknown, .len = (uint32_t)len};
	struct registers r = {.a = {0, true}, .x = {0, true}};

	return walk(&m, r);
}
