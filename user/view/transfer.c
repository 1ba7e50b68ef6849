/* SPDX-License-Identifier: GPL-2.0-only */
#include "view/transfer.h"

#include <inttypes.h>
#include <netinet/in.h>

#include "base/clock.h"
#include "view/format.h"
#include "view/json_stream.h"

static const struct {
	const char *id, *text;
} limits[LIMITS] = {
	[LIMIT_SENDER_APP] = {"sender_app_ns", "sending program"},
	[LIMIT_RECEIVER_WINDOW] = {"receiver_window_ns", "receive window"},
	[LIMIT_CONGESTION_WINDOW] = {"congestion_window_ns", "congestion window"},
	[LIMIT_LOSS_RECOVERY] = {"loss_recovery_ns", "loss recovery"},
	[LIMIT_BOTTLENECK] = {"bottleneck_ns", "bottleneck"},
};

static uint64_t lasted_ns(const struct life_seen *l)
{
	return l->end_ns > l->begin_ns ? l->end_ns - l->begin_ns : 0;
}

static uint64_t rate_bps(const struct life_seen *l)
{
	uint64_t ns = lasted_ns(l);

	return ns ? (uint64_t)((double)l->bytes * 8e9 / (double)ns) : 0;
}

static void end_json(struct jsonw *j, const char *addr, const char *port, const struct endpoint *e)
{
	char text[ADDR_TEXT_LEN];

	jsonw_string(j, addr, addr_text(&e->addr, text));
	jsonw_u64(j, port, e->port);
}

void transfer_json(struct jsonw *j, const struct life_seen *l)
{
	const bool v6 = l->key.local.addr.family == AF_INET6;
	char id[FORMAT_LEN];

	snprintf(id, sizeof(id), "%x-%" PRIx64, l->key.netns, l->key.cookie);
	jsonw_open(j, "flow");
	jsonw_string(j, "id", id);
	jsonw_string(j, "family", v6 ? "ipv6" : "ipv4");
	end_json(j, "src", "src_port", &l->key.local);
	end_json(j, "dst", "dst_port", &l->key.remote);
	jsonw_string(j, "local", "none");
	jsonw_u64(j, "bytes", l->bytes);
	jsonw_u64(j, "age_ns", lasted_ns(l));
	jsonw_u64(j, "rate_bps", rate_bps(l));
	jsonw_close(j);
	jsonw_known(j, "best_bps", l->best_bps);
	jsonw_u64(j, "retrans", l->retrans);
	jsonw_known(j, "rtt_us", l->min_rtt_us);
	jsonw_known(j, "mss", l->mss);
	jsonw_u64(j, "max_window_bytes", l->max_window_bytes);
	jsonw_list_open(j, "frames");
	jsonw_u64(j, NULL, l->first_frame);
	jsonw_u64(j, NULL, l->last_frame);
	jsonw_list_close(j);
	jsonw_string(j, "captured_at", position_id(l->position));
	jsonw_u64(j, "judged_ns", l->judged_ns);
	jsonw_open(j, "limited");
	for (int i = 0; i < LIMITS; i++)
		jsonw_u64(j, limits[i].id, l->limited_ns[i]);
	jsonw_close(j);
}

/* Shares of less than one in a hundred say nothing. */
void transfer_text(FILE *out, const struct life_seen *l)
{
	char src[ENDPOINT_TEXT_LEN], dst[ENDPOINT_TEXT_LEN], bytes[FORMAT_LEN], time[FORMAT_LEN],
		rate[FORMAT_LEN];
	const char *between = "  waited for ";

	fprintf(out, "TRANSFER %s -> %s %s in %s, %s, %" PRIu32 " sent again\n",
		endpoint_text(&l->key.local, src), endpoint_text(&l->key.remote, dst),
		format_bytes(l->bytes, bytes), format_duration(lasted_ns(l), time),
		format_rate(rate_bps(l), rate), l->retrans);
	for (int i = 0; i < LIMITS && l->judged_ns; i++) {
		double share = 100.0 * (double)l->limited_ns[i] / (double)l->judged_ns;

		if (share < 1)
			continue;
		fprintf(out, "%s%s %.0f %%", between, limits[i].text, share);
		between = ", ";
	}
	fputs(l->judged_ns ? "\n" : "  seen one way only: what it waited for is not known\n", out);
}
