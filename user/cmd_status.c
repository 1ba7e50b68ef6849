/* SPDX-License-Identifier: GPL-2.0-only */
/* The other end of the control socket: status, dump, and watch --daemon. */
#include "ask.h"

#include <err.h>
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/lines.h"
#include "base/plural.h"
#include "config/config.h"
#include "daemon/control.h"
#include "verb.h"
#include "view/format.h"

#define REFUSED "{\"v\":1,\"type\":\"error\""

static int load(const struct options *options, struct config **ret)
{
	struct config *c = malloc(sizeof(*c));
	char why[LINES_LEN];

	if (!c) {
		warnx("%s", strerror(ENOMEM));
		return STATUS_ERROR;
	}
	if (!options->config && !config_supported()) {
		config_defaults(c);
	} else if (config_load(options->config, c, why, sizeof(why))) {
		lines_warn("", why);
		free(c);
		return STATUS_USAGE;
	}
	*ret = c;
	return STATUS_DONE;
}

/* A stream of the daemon's answer. */
static int ask(const struct options *options, const char *request, FILE **ret)
{
	struct config *c = NULL;
	int fd, status = load(options, &c);

	if (status)
		return status;
	fd = control_ask(c->daemon.runtime_dir, request);
	if (fd < 0)
		warnx("%s/" CONTROL_SOCKET ": %s", c->daemon.runtime_dir,
		      fd == -ENOENT || fd == -ECONNREFUSED ? "there is no daemon" : strerror(-fd));
	free(c);
	if (fd < 0)
		return fd == -EACCES ? STATUS_UNSUPPORTED : STATUS_ERROR;
	*ret = fdopen(fd, "r");
	if (*ret)
		return STATUS_DONE;
	warn("control socket");
	close(fd);
	return STATUS_ERROR;
}

static int refused(const char *line)
{
	json_t *answer = json_loads(line, 0, NULL);
	const char *text = json_string_value(json_object_get(answer, "text"));

	warnx("the daemon says: %s", text ? text : "no");
	json_decref(answer);
	return STATUS_UNSUPPORTED;
}

static volatile sig_atomic_t time_is_up;
static int watching_fd;

static void on_alarm(int number)
{
	(void)number;
	time_is_up = 1;
	shutdown(watching_fd, SHUT_RD); /* which ends what is being read */
}

/* What is read from this descriptor ends after this time. */
static void end_after(int fd, uint64_t duration_ns)
{
	const struct itimerval timer = {
		.it_value.tv_sec = (time_t)(duration_ns / NS_PER_S),
		.it_value.tv_usec = (suseconds_t)(duration_ns % NS_PER_S / 1000),
	};

	watching_fd = fd;
	signal(SIGALRM, on_alarm);
	setitimer(ITIMER_REAL, &timer, NULL);
}

/* Line by line to stdout, until it ends or nobody reads any more. */
static int copy(FILE *from, bool endless)
{
	int status = STATUS_ERROR;
	char *line = NULL;
	size_t size = 0;
	bool any = false;

	while (getline(&line, &size, from) > 0) {
		if (!any && !strncmp(line, REFUSED, strlen(REFUSED))) {
			status = refused(line);
			any = true;
			break;
		}
		any = true;
		status = STATUS_DONE;
		if (fputs(line, stdout) < 0 || fflush(stdout))
			break;
	}
	if (time_is_up && !any)
		status = STATUS_DONE;
	else if (endless && !time_is_up && status == STATUS_DONE && !ferror(stdout))
		warnx("the daemon has ended");
	if (!any && !endless)
		warnx("the daemon said nothing");
	free(line);
	return status;
}

static json_int_t number(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static void print_sinks(const json_t *list)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *sink = json_array_get(list, i);

		printf("sink %-12s %lld sent, %lld tried again, %lld failed, %lld lost, %lld "
		       "wait\n",
		       json_string_value(json_object_get(sink, "name")), number(sink, "sent"),
		       number(sink, "retried"), number(sink, "failed"), number(sink, "lost"),
		       number(sink, "queued"));
	}
}

static void print_status(const json_t *s)
{
	const json_t *store = json_object_get(s, "store"), *broker = json_object_get(s, "broker");
	json_t *lost = json_object_get(s, "events_lost");
	char up[FORMAT_LEN];

	printf("tcpstall %s, process %lld, up for %s\n",
	       json_string_value(json_object_get(s, "version")), number(s, "pid"),
	       format_duration((uint64_t)number(s, "uptime_ns"), up));
	printf("transfers         %lld now, %lld in all\n", number(s, "transfers_tracked"),
	       number(s, "transfers"));
	printf("stalls            %lld now, %lld in all; %lld slow phase%s\n",
	       number(s, "stalled_transfers"), number(s, "stalls"), number(s, "slow_phases"),
	       plural((uint64_t)number(s, "slow_phases")));
	printf("alerts            %lld go on, %lld were too many to be told\n", number(s, "alerts"),
	       number(s, "alerts_unsaid"));
	printf("capabilities      %s", json_string_value(json_object_get(s, "capabilities")));
	if (json_is_object(broker))
		printf("; broker, process %lld: %s", number(broker, "pid"),
		       json_string_value(json_object_get(broker, "capabilities")));
	putchar('\n');
	print_sinks(json_object_get(s, "sinks"));
	if (json_is_object(store))
		printf("store             %s: %lld incident%s, %lld record%s lost\n",
		       json_string_value(json_object_get(store, "dir")), number(store, "incidents"),
		       plural((uint64_t)number(store, "incidents")), number(store, "records_lost"),
		       plural((uint64_t)number(store, "records_lost")));
	for (void *i = json_object_iter(lost); i; i = json_object_iter_next(lost, i)) {
		const json_int_t n = json_integer_value(json_object_iter_value(i));

		if (n)
			printf("lost              %s: %lld\n", json_object_iter_key(i), n);
	}
}

static int print_answer(FILE *from)
{
	char *line = NULL;
	size_t size = 0;
	int status = STATUS_ERROR;
	json_t *answer;

	if (getline(&line, &size, from) <= 0) {
		warnx("the daemon said nothing");
	} else if (!strncmp(line, REFUSED, strlen(REFUSED))) {
		status = refused(line);
	} else {
		answer = json_loads(line, 0, NULL);
		if (answer) {
			print_status(answer);
			status = STATUS_DONE;
		} else {
			warnx("the daemon's answer cannot be read: is it of another version?");
		}
		json_decref(answer);
	}
	free(line);
	return status;
}

int cmd_status(const struct options *options, int argc, char **argv)
{
	FILE *answer = NULL;
	int status = ask(options, "status", &answer);

	(void)argc;
	(void)argv;
	if (status)
		return status;
	status = options->json ? copy(answer, false) : print_answer(answer);
	fclose(answer);
	return status;
}

int cmd_dump(const struct options *options, int argc, char **argv)
{
	FILE *answer = NULL;
	int status = ask(options, "dump", &answer);

	(void)argc;
	(void)argv;
	if (status)
		return status;
	status = copy(answer, false);
	fclose(answer);
	return status;
}

int ask_daemon_to_watch(const struct options *options, int argc)
{
	static const uint64_t asked = OPTION(DAEMON) | OPTION(CONFIG) | OPTION(DURATION) |
				      OPTION(JSON) | OPTION(NUMERIC) | OPTION(QUIET);
	FILE *answer = NULL;
	int status;

	for (int i = 0; i < OPTIONS; i++) {
		if (!options_given(options, (enum option_id)i) || asked & 1ull << i)
			continue;
		warnx("--daemon: its configuration decides; it takes no --%s",
		      option_table[i].name);
		return STATUS_USAGE;
	}
	if (argc) {
		warnx("--daemon: it decides itself what it watches; it takes no FILTER");
		return STATUS_USAGE;
	}
	status = ask(options, options->json ? "watch json" : "watch text", &answer);
	if (status)
		return status;
	if (options_given(options, OPT_DURATION))
		end_after(fileno(answer), options->duration_ns);
	status = copy(answer, true);
	fclose(answer);
	return status;
}
