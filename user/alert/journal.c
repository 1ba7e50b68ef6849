/* SPDX-License-Identifier: GPL-2.0-only */
/* The journal of systemd, with fields to search for, and syslog. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/uio.h>
#include <syslog.h>
#include <unistd.h>
#ifdef HAVE_SYSTEMD
#include <systemd/sd-journal.h>
#endif

#include "alert/delivery.h"

#define SYSLOG_SOCKET  "/dev/log"
#define JOURNAL_SOCKET "/run/systemd/journal/socket"

static int priority_of(const struct alert *a)
{
	static const int priorities[] = {LOG_INFO, LOG_WARNING, LOG_ERR};

	return a->kind == ALERT_END || a->kind == ALERT_TEST
		       ? LOG_NOTICE
		       : priorities[cause_info(a->trouble.cause)->severity];
}

#ifdef HAVE_SYSTEMD
enum delivery_state journal_deliver(const struct message *m, char why[DELIVERY_WHY])
{
	const struct alert *a = &m->alert;
	const struct trouble *t = &a->trouble;
	char incidents[ALERT_INCIDENTS * (INCIDENT_ID + 1)] = "", address[ADDR_TEXT_LEN];
	int err;

	for (int i = 0; i < a->n_incidents; i++)
		snprintf(incidents + strlen(incidents), sizeof(incidents) - strlen(incidents),
			 "%s%s", i ? " " : "", a->incidents[i]);
	/* It says nothing itself when nobody listens. */
	if (access(JOURNAL_SOCKET, W_OK)) {
		snprintf(why, DELIVERY_WHY, JOURNAL_SOCKET ": %s", strerror(errno));
		return DELIVERY_LATER;
	}
	err = sd_journal_send(
		"MESSAGE=%s", m->line, "MESSAGE_ID=" ALERT_MESSAGE_ID, "PRIORITY=%d",
		priority_of(a), "SYSLOG_IDENTIFIER=tcpstall", "TCPSTALL_EVENT=%s",
		alert_kind_id(a->kind), "TCPSTALL_ALERT=%s", a->id, "TCPSTALL_WATCH=%s", a->watch,
		"TCPSTALL_CAUSE=%s", cause_info(t->cause)->id, "TCPSTALL_PLACE=%s", a->place,
		"TCPSTALL_ADDRESS=%s", t->address.family ? addr_text(&t->address, address) : "",
		"TCPSTALL_TRANSFER=%s", a->flow, "TCPSTALL_STALLS=%" PRIu32, a->stalls,
		"TCPSTALL_INCIDENTS=%s", incidents, "TCPSTALL_ADVICE=%s", a->advice,
		"TCPSTALL_DETAIL=%s", a->detail, NULL);
	if (!err)
		return DELIVERY_DONE;
	snprintf(why, DELIVERY_WHY, "%s", strerror(-err));
	return DELIVERY_LATER;
}
#else
enum delivery_state journal_deliver(const struct message *m, char why[DELIVERY_WHY])
{
	(void)m;
	snprintf(why, DELIVERY_WHY, "this build was made without libsystemd");
	return DELIVERY_NEVER;
}
#endif

enum delivery_state syslog_deliver(const struct message *m, char why[DELIVERY_WHY])
{
	if (access(SYSLOG_SOCKET, W_OK)) {
		snprintf(why, DELIVERY_WHY, SYSLOG_SOCKET ": %s", strerror(errno));
		return DELIVERY_LATER;
	}
	syslog(LOG_DAEMON | priority_of(&m->alert), "%s [%s]", m->line, m->alert.id);
	return DELIVERY_DONE;
}
