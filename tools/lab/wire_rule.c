/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Matching of chosen TCP packets. Frames come from the lab's own namespaces, but a length field is
 * still only believed as far as the frame reaches.
 */
#include "wire_rule.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <net/ethernet.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>

#include "base/parse.h"

bool packet_parse(uint8_t *frame, size_t frame_bytes, struct packet_view *ret)
{
	const struct ether_header *ether = (const void *)frame;
	struct packet_view p = {};
	const struct tcphdr *tcp;
	uint8_t *ip = frame + sizeof(*ether), *l4;
	size_t left, tcp_bytes;

	if (frame_bytes < sizeof(*ether))
		return false;
	left = frame_bytes - sizeof(*ether);
	if (ether->ether_type == htons(ETHERTYPE_IP) && left >= sizeof(struct iphdr)) {
		const struct iphdr *h = (const void *)ip;
		size_t header = h->ihl * 4u;

		p.ip_bytes = ntohs(h->tot_len);
		if (h->protocol != IPPROTO_TCP || header < sizeof(*h) || p.ip_bytes > left ||
		    p.ip_bytes < header || h->frag_off & htons(IP_OFFMASK))
			return false;
		p.src.addr = addr_v4(&h->saddr);
		p.dst.addr = addr_v4(&h->daddr);
		l4 = ip + header;
		left = p.ip_bytes - header;
	} else if (ether->ether_type == htons(ETHERTYPE_IPV6) && left >= sizeof(struct ip6_hdr)) {
		const struct ip6_hdr *h = (const void *)ip;

		p.ip_bytes = ntohs(h->ip6_plen) + (uint32_t)sizeof(*h);
		if (h->ip6_nxt != IPPROTO_TCP || p.ip_bytes > left)
			return false;
		p.src.addr = addr_v6(&h->ip6_src);
		p.dst.addr = addr_v6(&h->ip6_dst);
		l4 = ip + sizeof(*h);
		left = p.ip_bytes - sizeof(*h);
	} else {
		return false;
	}
	tcp = (const void *)l4;
	if (left < sizeof(*tcp))
		return false;
	tcp_bytes = tcp->doff * 4u;
	if (tcp_bytes < sizeof(*tcp) || tcp_bytes > left)
		return false;
	p.src.port = ntohs(tcp->source);
	p.dst.port = ntohs(tcp->dest);
	p.seq = ntohl(tcp->seq);
	p.tcp = l4;
	p.tcp_bytes = (uint32_t)tcp_bytes;
	p.payload = l4 + tcp_bytes;
	p.payload_bytes = (uint32_t)(left - tcp_bytes);
	*ret = p;
	return true;
}

static int parse_port(const char *text, uint16_t *ret)
{
	uint64_t port;
	int err = parse_u64(text, 1, UINT16_MAX, &port);

	if (!err)
		*ret = (uint16_t)port;
	return err;
}

static int parse_hex(const char *text, struct rule *r)
{
	size_t digits = strlen(text);
	uint32_t i;

	if (!digits || digits % 2 || digits / 2 > RULE_CONTENT_MAX ||
	    strspn(text, "0123456789abcdefABCDEF") != digits)
		return -EINVAL;
	for (i = 0; i < digits / 2; i++) {
		char pair[3] = {text[2 * i], text[2 * i + 1], 0};

		r->content[i] = (uint8_t)strtoul(pair, NULL, 16);
	}
	r->content_bytes = i;
	return 0;
}

static int parse_key(struct rule *r, const char *key, const char *value)
{
	if (!strcmp(key, "src"))
		return addr_parse(value, &r->src.addr);
	if (!strcmp(key, "dst"))
		return addr_parse(value, &r->dst.addr);
	if (!strcmp(key, "sport"))
		return parse_port(value, &r->src.port);
	if (!strcmp(key, "dport"))
		return parse_port(value, &r->dst.port);
	if (!strcmp(key, "by"))
		return parse_u64(value, 1, UINT32_MAX, &r->by);
	if (!strcmp(key, "over_bytes"))
		return parse_u64(value, 1, UINT16_MAX, &r->over_bytes);
	if (!strcmp(key, "after_bytes"))
		return parse_u64(value, 1, INT64_MAX, &r->after_bytes);
	if (!strcmp(key, "segment"))
		return parse_u64(value, 1, INT64_MAX, &r->segment);
	if (!strcmp(key, "content"))
		return parse_hex(value, r);
	return -EINVAL;
}

static const char *const actions[] = {
	[RULE_DROP] = "drop",	  [RULE_CORRUPT] = "corrupt", [RULE_SEQ] = "seq",
	[RULE_ACK] = "ack",	  [RULE_TSVAL] = "tsval",     [RULE_TSECR] = "tsecr",
	[RULE_WINDOW] = "window",
};

static bool rewrites(enum rule_action action)
{
	return action >= RULE_SEQ;
}

int rule_add(struct rules *rules, char *words, uint32_t *ret_id)
{
	struct rule *r = NULL, made = {};
	char *save = NULL, *word;
	int i;

	word = strtok_r(words, " ", &save);
	if (!word)
		return -EINVAL;
	made.directions = !strcmp(word, "ab")	  ? WIRE_AB
			  : !strcmp(word, "ba")	  ? WIRE_BA
			  : !strcmp(word, "both") ? WIRE_AB | WIRE_BA
						  : 0;
	word = strtok_r(NULL, " ", &save);
	if (!word || !made.directions)
		return -EINVAL;
	for (i = 0; i < (int)(sizeof(actions) / sizeof(actions[0])); i++)
		if (actions[i] && !strcmp(word, actions[i]))
			made.action = (enum rule_action)i;
	if (made.action == RULE_PASS)
		return -EINVAL;
	while ((word = strtok_r(NULL, " ", &save))) {
		char *equals = strchr(word, '=');
		int err;

		if (!equals)
			return -EINVAL;
		*equals = '\0';
		err = parse_key(&made, word, equals + 1);
		if (err)
			return err;
	}
	if (rewrites(made.action) != !!made.by)
		return -EINVAL;
	for (i = 0; i < RULES_MAX && !r; i++)
		if (!rules->rule[i].id)
			r = &rules->rule[i];
	if (!r)
		return -ENOSPC;
	*r = made;
	*ret_id = r->id = ++rules->last_id;
	return 0;
}

int rule_delete(struct rules *rules, uint32_t id)
{
	int i;

	for (i = 0; i < RULES_MAX; i++) {
		if (id && rules->rule[i].id == id) {
			rules->rule[i].id = 0;
			return 0;
		}
	}
	return -ENOENT;
}

/* A rule names one way of a connection; the packets of the other way match with the ends swapped.
 */
static bool end_matches(const struct endpoint *want, const struct endpoint *is)
{
	return (!want->addr.family || addr_equal(&want->addr, &is->addr)) &&
	       (!want->port || want->port == is->port);
}

static bool ends_match(const struct endpoint *src, const struct endpoint *dst,
		       const struct packet_view *p, bool either_way)
{
	return (end_matches(src, &p->src) && end_matches(dst, &p->dst)) ||
	       (either_way && end_matches(src, &p->dst) && end_matches(dst, &p->src));
}

static struct connection_count *count_of(struct rule *r, const struct packet_view *p)
{
	struct connection_count *c = &r->seen[0];
	int i;

	r->clock++;
	for (i = 0; i < RULE_CONNECTIONS; i++) {
		struct connection_count *s = &r->seen[i];

		if (s->used && endpoint_equal(&s->src, &p->src) &&
		    endpoint_equal(&s->dst, &p->dst)) {
			s->used = r->clock;
			return s;
		}
		if (s->used < c->used)
			c = s;
	}
	*c = (struct connection_count){
		.src = p->src, .dst = p->dst, .next_seq = p->seq, .used = r->clock};
	return c;
}

/* Counts new payload only: a retransmission is the same bytes again. */
static void bind_connection(struct rule *r, const struct packet_view *p)
{
	struct connection_count *c;
	uint32_t end = p->seq + p->payload_bytes;

	if (!p->payload_bytes)
		return;
	c = count_of(r, p);
	if ((int32_t)(end - c->next_seq) <= 0)
		return;
	c->bytes += end - c->next_seq;
	c->segments++;
	c->next_seq = end;
	if ((r->after_bytes && c->bytes > r->after_bytes) ||
	    (r->segment && c->segments >= r->segment)) {
		r->bound = true;
		r->bound_src = p->src;
		r->bound_dst = p->dst;
		r->bound_seq = p->seq;
	}
}

static bool rule_matches(struct rule *r, const struct packet_view *p)
{
	bool either_way = r->directions == (WIRE_AB | WIRE_BA);

	if (!ends_match(&r->src, &r->dst, p, either_way))
		return false;
	if (r->over_bytes && p->ip_bytes <= r->over_bytes)
		return false;
	if (r->after_bytes || r->segment) {
		if (!r->bound)
			bind_connection(r, p);
		if (!r->bound || !ends_match(&r->bound_src, &r->bound_dst, p, either_way))
			return false;
	}
	if (r->segment && r->bound_seq - p->seq >= p->payload_bytes)
		return false; /* does not carry the byte that was chosen */
	if (r->content_bytes && !memmem(p->payload, p->payload_bytes, r->content, r->content_bytes))
		return false;
	return true;
}

/* Bytes of the header get new values; RFC 1624, equation 3. Works at any even offset. */
static void rewrite_bytes(const struct packet_view *p, uint8_t *at, const void *value, size_t bytes)
{
	uint8_t *sum_at = p->tcp + offsetof(struct tcphdr, check);
	uint32_t sum = (uint16_t) ~(sum_at[0] << 8 | sum_at[1]);

	for (size_t i = 0; i < bytes; i++) {
		unsigned int shift = (at + i - p->tcp) % 2 ? 0 : 8;

		sum += (uint32_t)(uint8_t)~at[i] << shift;
		sum += shift ? 0xff : 0xff00;
		sum += (uint32_t)((const uint8_t *)value)[i] << shift;
	}
	memcpy(at, value, bytes);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	sum = (uint16_t)~sum;
	sum_at[0] = (uint8_t)(sum >> 8);
	sum_at[1] = (uint8_t)sum;
}

static void add_to(const struct packet_view *p, uint8_t *at, uint64_t by)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	value = htonl(ntohl(value) + (uint32_t)by);
	rewrite_bytes(p, at, &value, sizeof(value));
}

/* Where the two timestamps are, 8 bytes, or NULL. */
static uint8_t *timestamps(const struct packet_view *p)
{
	uint32_t i = sizeof(struct tcphdr);

	while (i + 1 < p->tcp_bytes && p->tcp[i] != TCPOPT_EOL) {
		uint32_t bytes = p->tcp[i] == TCPOPT_NOP ? 1 : p->tcp[i + 1];

		if (!bytes || i + bytes > p->tcp_bytes)
			return NULL;
		if (p->tcp[i] == TCPOPT_TIMESTAMP && bytes == TCPOLEN_TIMESTAMP)
			return p->tcp + i + 2;
		i += bytes;
	}
	return NULL;
}

static void rewrite(const struct rule *r, const struct packet_view *p)
{
	const struct tcphdr *tcp = (const void *)p->tcp;
	uint8_t *stamps = timestamps(p);

	if (r->action == RULE_SEQ) {
		add_to(p, p->tcp + offsetof(struct tcphdr, seq), r->by);
	} else if (r->action == RULE_ACK && tcp->ack) {
		add_to(p, p->tcp + offsetof(struct tcphdr, ack_seq), r->by);
	} else if (r->action == RULE_TSVAL && stamps) {
		add_to(p, stamps, r->by);
	} else if (r->action == RULE_TSECR && stamps) {
		add_to(p, stamps + 4, r->by);
	} else if (r->action == RULE_WINDOW && !tcp->syn) {
		uint16_t window = r->by < 16 ? htons((uint16_t)(ntohs(tcp->window) >> r->by)) : 0;

		rewrite_bytes(p, p->tcp + offsetof(struct tcphdr, window), &window, sizeof(window));
	}
}

enum rule_action rules_apply(struct rules *rules, uint32_t direction, const struct packet_view *p,
			     const struct rule **ret_fired)
{
	int i;

	*ret_fired = NULL;
	for (i = 0; i < RULES_MAX; i++) {
		struct rule *r = &rules->rule[i];

		if (!r->id || !(r->directions & direction) || !rule_matches(r, p))
			continue;
		if (!r->hits++)
			*ret_fired = r;
		if (!rewrites(r->action))
			return r->action;
		rewrite(r, p);
	}
	return RULE_PASS;
}
