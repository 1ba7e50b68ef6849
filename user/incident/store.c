/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The queue and its thread. Jobs are copies; they stay in the queue until the transaction that
 * wrote them is committed, so that a disk that is full for a while costs nothing but memory. After
 * an error the thread tries again every RETRY_NS. Only the thread touches the database.
 */
#include "incident/store.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/news.h"
#include "incident/store_db.h"
#include "incident/store_impl.h"

#ifdef HAVE_SQLITE
#define QUEUE_BYTES (16u << 20)
#define BATCH	    256 /* jobs of a transaction */
#define RETRY_NS    NS_PER_S
#define PRUNE_NS    (600 * NS_PER_S) /* for age, while nothing happens */
#define CLOSE_NS    (5 * NS_PER_S)

/* An output, or packets. */
struct job {
	struct job *next;
	size_t size;
	enum output_kind kind;
	uint64_t now_ns;
	struct incident *incident; /* NULL: packets */
	char id[INCIDENT_ID];
	struct kept_packet *packets;
	size_t n;
	bool counted;
	struct box_counts counts;
};

struct store {
	char dir[PATH_MAX], host[NAME_LEN];
	struct store_config config;
	struct store_db *db;
	pthread_t thread;
	struct news news;

	pthread_mutex_t lock; /* of all that follows */
	pthread_cond_t wake;
	struct job *first, **last;
	size_t queued; /* bytes */
	int n_jobs;
	bool stopping, refused, joined;
	struct store_counts counts;

	/* the thread's own */
	int failing; /* the error that was told last */
	uint64_t lost_before;
};

bool store_supported(void)
{
	return true;
}

static uint64_t count_lost(struct store *s)
{
	uint64_t lost;

	pthread_mutex_lock(&s->lock);
	lost = s->counts.lost;
	pthread_mutex_unlock(&s->lock);
	return lost;
}

/* Once for each change, not for each try. */
static void tell_state(struct store *s, int err)
{
	if (err == s->failing)
		return;
	if (err == -EPROTO) {
		news_tell(&s->news, "%s was written by a newer tcpstall: incidents are not kept",
			  s->dir);
	} else if (err) {
		news_tell(&s->news,
			  "%s: %s: incidents wait in memory, and are lost when that is full",
			  s->dir, strerror(-err));
		if (!s->failing)
			s->lost_before = count_lost(s);
	} else {
		const uint64_t lost = count_lost(s) - s->lost_before;

		news_tell(&s->news, "%s: incidents are kept again; %llu record%s lost", s->dir,
			  (unsigned long long)lost, lost == 1 ? " was" : "s were");
	}
	s->failing = err;
}

static bool begins(const struct job *job)
{
	return job->incident && (job->kind == OUT_STALL_BEGIN || job->kind == OUT_SLOW_BEGIN);
}

/* What can never be stored is lost, and no reason to keep the others waiting. */
static int write_job(struct store *s, const struct job *job, struct store_counts *counts)
{
	const struct output out = {job->kind, job->now_ns, .incident = job->incident};
	int err = job->incident ? db_output(s->db, &out)
				: db_packets(s->db, job->id, job->packets, job->n,
					     job->counted ? &job->counts : NULL);

	if (err == -EINVAL || err == -ENOMEM) {
		counts->lost++;
		counts->incidents_lost += begins(job);
		return 0;
	}
	if (err == -EEXIST) /* another process keeps it */
		return 0;
	counts->incidents += !err && begins(job);
	return err;
}

/* Writes n jobs or, on error, none of them. */
static int write_batch(struct store *s, const struct job *job, int n)
{
	struct store_counts counts = {0};
	int err = db_begin(s->db);

	for (; n > 0 && !err; n--) {
		err = write_job(s, job, &counts);
		if (n > 1) /* the next of the last may be written to at this moment */
			job = job->next;
	}
	if (!err)
		err = db_commit(s->db);
	if (err) {
		db_rollback(s->db);
		if (err == -EBADMSG)
			db_damaged(s->db);
		return err;
	}
	pthread_mutex_lock(&s->lock);
	s->counts.incidents += counts.incidents;
	s->counts.lost += counts.lost;
	s->counts.incidents_lost += counts.incidents_lost;
	pthread_mutex_unlock(&s->lock);
	return 0;
}

static void job_free(struct job *job)
{
	if (!job)
		return;
	free(job->incident);
	free(job->packets);
	free(job);
}

static void drop_jobs(struct store *s, int n)
{
	for (; n > 0 && s->first; n--) {
		struct job *job = s->first;

		s->first = job->next;
		s->queued -= job->size;
		s->n_jobs--;
		job_free(job);
	}
	if (!s->first)
		s->last = &s->first;
}

/* Nothing of what is in the queue will be written. */
static void count_queue(struct store *s)
{
	for (const struct job *job = s->first; job; job = job->next) {
		s->counts.lost++;
		s->counts.incidents_lost += begins(job);
	}
}

/* One round of the thread, unlocked, over the first n jobs. */
static int work(struct store *s, const struct job *first, int n)
{
	char moved[PATH_MAX + 64];
	int err = db_ready(s->db, moved, sizeof(moved));

	if (*moved)
		news_tell(&s->news,
			  "the database of incidents was damaged: moved to %s, a new one is begun",
			  moved);
	if (!err && n)
		err = write_batch(s, first, n);
	if (!err)
		db_prune(s->db); /* what it could not do it does the next time */
	tell_state(s, err);
	return err;
}

static void wait_until(struct store *s, uint64_t at_ns)
{
	const struct timespec at = {
		.tv_sec = (time_t)(at_ns / NS_PER_S),
		.tv_nsec = (long)(at_ns % NS_PER_S),
	};

	pthread_cond_timedwait(&s->wake, &s->lock, &at);
}

/* Ends when it is asked to and there is nothing left to write, or no way to. */
static void *serve(void *arg)
{
	struct store *s = arg;

	pthread_mutex_lock(&s->lock);
	while (!s->stopping || s->first) {
		const struct job *first = s->first;
		int err, n = s->n_jobs < BATCH ? s->n_jobs : BATCH;
		uint64_t next_ns;

		pthread_mutex_unlock(&s->lock);
		err = work(s, first, n);
		pthread_mutex_lock(&s->lock);
		s->refused = err == -EPROTO;
		if (s->refused)
			count_queue(s);
		if (!err || s->refused)
			drop_jobs(s, err ? s->n_jobs : n);
		if (err && s->stopping)
			break;
		next_ns = mono_ns() + (err ? RETRY_NS : PRUNE_NS);
		/* After an error new jobs are no reason to try at once. */
		while (!s->stopping && mono_ns() < next_ns && (err || !s->first))
			wait_until(s, next_ns);
	}
	pthread_mutex_unlock(&s->lock);
	db_free(s->db);
	s->db = NULL;
	return NULL;
}

static int start(struct store *s)
{
	pthread_condattr_t monotonic;
	sigset_t all, before;
	int err;

	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&s->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	pthread_mutex_init(&s->lock, NULL);
	/* Signals are for the thread that detects. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	err = pthread_create(&s->thread, NULL, serve, s);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -err;
}

int store_new(const struct store_config *config, struct store **ret)
{
	struct store *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	s->config = *config;
	snprintf(s->dir, sizeof(s->dir), "%s", config->dir);
	snprintf(s->host, sizeof(s->host), "%s", config->host);
	s->config.dir = s->dir;
	s->config.host = s->host;
	s->last = &s->first;
	err = news_open(&s->news);
	if (!err)
		err = db_new(&s->config, &s->db);
	if (!err)
		err = start(s);
	if (!err) {
		*ret = s;
		return 0;
	}
	news_close(&s->news);
	db_free(s->db);
	free(s);
	return err;
}

/* Nobody can stop a thread that a dead disk holds: what it uses is then left to the kernel. */
void store_finish(struct store *s)
{
	struct store_counts counts;
	struct timespec until;
	int err;

	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	if (s->stopping) {
		pthread_mutex_unlock(&s->lock);
		return;
	}
	s->stopping = true;
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += CLOSE_NS / NS_PER_S;
	s->joined = !pthread_clockjoin_np(s->thread, NULL, CLOCK_MONOTONIC, &until);
	err = s->joined ? s->failing : -ETIMEDOUT;
	pthread_mutex_lock(&s->lock);
	count_queue(s);
	if (s->joined)
		drop_jobs(s, s->n_jobs);
	counts = s->counts;
	pthread_mutex_unlock(&s->lock);
	if (counts.lost)
		news_tell(&s->news, "%s: %s%s%llu incident%s not kept; records lost: %llu", s->dir,
			  err ? strerror(-err) : "", err ? ": " : "",
			  (unsigned long long)counts.incidents_lost,
			  counts.incidents_lost == 1 ? " was" : "s were",
			  (unsigned long long)counts.lost);
}

void store_free(struct store *s)
{
	if (!s)
		return;
	store_finish(s);
	if (!s->joined)
		return;
	news_close(&s->news);
	free(s);
}

/* Takes the job, if it is whole and there is room. */
static void enqueue(struct store *s, struct job *job, size_t size)
{
	const bool whole = job && (job->incident || job->packets);

	pthread_mutex_lock(&s->lock);
	if (!whole || s->refused || s->stopping || s->queued + size > QUEUE_BYTES) {
		s->counts.lost++;
		s->counts.incidents_lost += job && begins(job);
		job_free(job);
	} else {
		job->size = size;
		s->queued += size;
		s->n_jobs++;
		*s->last = job;
		s->last = &job->next;
		pthread_cond_signal(&s->wake);
	}
	pthread_mutex_unlock(&s->lock);
}

static void *copy_of(const void *data, size_t size)
{
	void *copy = malloc(size);

	return copy ? memcpy(copy, data, size) : NULL;
}

void store_output(struct store *s, const struct output *out)
{
	struct job *job;

	if (!s || !out->incident || !store_kind(out->kind))
		return;
	job = calloc(1, sizeof(*job));
	if (job) {
		job->kind = out->kind;
		job->now_ns = out->now_ns;
		job->incident = copy_of(out->incident, sizeof(*out->incident));
	}
	enqueue(s, job, sizeof(*job) + sizeof(*out->incident));
}

void store_packets(struct store *s, const char *incident, const struct kept_packet *packets,
		   size_t n, const struct box_counts *counts)
{
	struct job *job;

	if (!s || !n)
		return;
	job = calloc(1, sizeof(*job));
	if (job) {
		snprintf(job->id, sizeof(job->id), "%s", incident);
		job->packets = copy_of(packets, n * sizeof(*packets));
		job->n = n;
		job->counted = counts;
		if (counts)
			job->counts = *counts;
	}
	enqueue(s, job, sizeof(*job) + n * sizeof(*packets));
}

int store_fd(const struct store *s)
{
	return s->news.fd;
}

bool store_news(struct store *s, char *ret_line, size_t len)
{
	return news_take(&s->news, ret_line, len);
}

struct store_counts store_counts(struct store *s)
{
	struct store_counts counts;

	pthread_mutex_lock(&s->lock);
	counts = s->counts;
	pthread_mutex_unlock(&s->lock);
	return counts;
}

#else
bool store_supported(void)
{
	return false;
}

int store_new(const struct store_config *config, struct store **ret)
{
	(void)config;
	(void)ret;
	return -ENOTSUP;
}

void store_finish(struct store *s)
{
	(void)s;
}

void store_free(struct store *s)
{
	(void)s;
}

void store_output(struct store *s, const struct output *out)
{
	(void)s;
	(void)out;
}

void store_packets(struct store *s, const char *incident, const struct kept_packet *packets,
		   size_t n, const struct box_counts *counts)
{
	(void)s;
	(void)incident;
	(void)packets;
	(void)n;
	(void)counts;
}

int store_fd(const struct store *s)
{
	(void)s;
	return -1;
}

bool store_news(struct store *s, char *ret_line, size_t len)
{
	(void)s;
	(void)ret_line;
	(void)len;
	return false;
}

struct store_counts store_counts(struct store *s)
{
	(void)s;
	return (struct store_counts){0};
}
#endif
