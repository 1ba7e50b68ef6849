/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * tcpstall analyze FILE...: several files at once with -j, each by one thread. What a file has to
 * say waits in a temporary file until those before it have been shown, so that the results are the
 * same whatever -j is.
 */
#include <err.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "analyze.h"
#include "base/clock.h"
#include "verb.h"

#define WAIT_NS (200 * NS_PER_MS) /* for a thread, then the progress is drawn */

/* Of several files the status that matters most: an error, then incomplete, then stalls. */
static int worse(int a, int b)
{
	static const int rank[] = {
		[STATUS_DONE] = 0,
		[STATUS_STALLED] = 1,
		[STATUS_INCOMPLETE] = 2,
		[STATUS_ERROR] = 3,
	};

	return rank[b] > rank[a] ? b : a;
}

struct job {
	FILE *out, *err;
	int status;
	bool done;
};

struct jobs {
	const struct options *options;
	char **paths;
	int n, next; /* not begun */
	int shown;   /* results that have been written */
	int ahead;   /* how many may wait for that */
	struct job *job;
	struct progress *progress;
	pthread_mutex_t lock;
	pthread_cond_t changed;
};

static void run_job(struct jobs *jobs, int i)
{
	struct job *job = &jobs->job[i];
	struct analyze_to to = {.out = tmpfile(), .err = tmpfile(), .named = true};

	job->out = to.out;
	job->err = to.err;
	if (jobs->progress->on)
		to.progress = jobs->progress;
	job->status =
		to.out && to.err ? analyze_file(jobs->options, jobs->paths[i], &to) : STATUS_ERROR;
}

static void *work(void *arg)
{
	struct jobs *jobs = arg;

	pthread_mutex_lock(&jobs->lock);
	while (jobs->next < jobs->n) {
		int i = jobs->next;

		if (i >= jobs->shown + jobs->ahead) { /* open files are not without bound */
			pthread_cond_wait(&jobs->changed, &jobs->lock);
			continue;
		}
		jobs->next++;
		pthread_mutex_unlock(&jobs->lock);
		run_job(jobs, i);
		pthread_mutex_lock(&jobs->lock);
		jobs->job[i].done = true;
		pthread_cond_broadcast(&jobs->changed);
	}
	pthread_mutex_unlock(&jobs->lock);
	return NULL;
}

static int copy(FILE *from, FILE *to)
{
	char buf[65536];
	size_t n;

	rewind(from);
	while ((n = fread(buf, 1, sizeof(buf), from)))
		if (fwrite(buf, 1, n, to) != n)
			return -EIO;
	return ferror(from) || fflush(to) ? -EIO : 0;
}

static int show(const struct jobs *jobs, int i)
{
	struct job *job = &jobs->job[i];
	int status = job->status;

	progress_wipe(jobs->progress);
	if (!job->out || !job->err)
		warnx("%s: temporary file: %s", jobs->paths[i], strerror(EMFILE));
	else if ((copy(job->out, stdout) | copy(job->err, stderr)) && !ferror(stdout))
		status = STATUS_ERROR;
	if (job->out)
		fclose(job->out);
	if (job->err)
		fclose(job->err);
	return status;
}

static void wait_for(struct jobs *jobs, int i)
{
	while (!jobs->job[i].done) {
		struct timespec until;
		uint64_t ns = clock_ns(CLOCK_REALTIME) + WAIT_NS;

		until.tv_sec = (time_t)(ns / NS_PER_S);
		until.tv_nsec = (long)(ns % NS_PER_S);
		pthread_cond_timedwait(&jobs->changed, &jobs->lock, &until);
		progress_draw(jobs->progress);
	}
}

static int analyze_beside(struct jobs *jobs, int n_threads)
{
	pthread_t *threads = calloc((size_t)n_threads, sizeof(*threads));
	int status = STATUS_DONE, begun = 0;

	jobs->job = calloc((size_t)jobs->n, sizeof(*jobs->job));
	jobs->ahead = 4 * n_threads;
	if (threads && jobs->job)
		while (begun < n_threads && !pthread_create(&threads[begun], NULL, work, jobs))
			begun++;
	if (!begun) {
		warnx("no thread: %s", strerror(ENOMEM));
		status = STATUS_ERROR;
		goto out;
	}
	pthread_mutex_lock(&jobs->lock);
	for (int i = 0; i < jobs->n; i++) {
		wait_for(jobs, i);
		status = worse(status, show(jobs, i));
		jobs->shown++;
		pthread_cond_broadcast(&jobs->changed);
	}
	pthread_mutex_unlock(&jobs->lock);
	for (int i = 0; i < begun; i++)
		pthread_join(threads[i], NULL);
out:
	free(jobs->job);
	free(threads);
	return status;
}

int cmd_analyze(const struct options *options, int argc, char **argv)
{
	struct progress progress;
	struct analyze_to to = {.out = stdout,
				.err = stderr,
				.progress = &progress,
				.alone = true,
				.named = argc > 1};
	struct jobs jobs = {
		.options = options,
		.paths = argv,
		.n = argc,
		.progress = &progress,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.changed = PTHREAD_COND_INITIALIZER,
	};
	int status = STATUS_DONE;

	if (options->extract || options->output || options->force)
		return extract(options, argc, argv);
	progress_init(&progress, argv, argc, !options->quiet);
	if (options->jobs > 1 && argc > 1)
		return analyze_beside(&jobs,
				      options->jobs < (uint64_t)argc ? (int)options->jobs : argc);
	for (int i = 0; i < argc; i++)
		status = worse(status, analyze_file(options, argv[i], &to));
	return status;
}
