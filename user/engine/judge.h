/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How a verdict comes about. Clues (clues.c) look at the facts of a stall; each that holds adds
 * log-odds to causes and one line of evidence. The cause with the largest sum wins; then places.c
 * does the same for the parts of the path, given the cause.
 */
#ifndef TCPSTALL_ENGINE_JUDGE_H
#define TCPSTALL_ENGINE_JUDGE_H

#include "base/plural.h"
#include "engine/internal.h"

/*
 * Parts of the path as seen from the probing host, in order: our program, our host, then link and
 * node by turns, the last node being the peer host, then the peer's program.
 */
#define PART_LOCAL_APP	 0
#define PART_NODE(i)	 (1 + 2 * (i)) /* 0: this host; 1..n-1: hops; n: the peer host */
#define PART_LINK(i)	 (2 + 2 * (i)) /* between node i and node i + 1 */
#define PART_PEER_APP(n) (2 + 2 * (n))
#define MAX_PARTS	 (PART_PEER_APP(MAX_DISTANCE) + 1)

/* What the probes say of the way to the peer. TTLs; 0: not even the first hop. */
struct path_view {
	int n; /* distance of the peer; a guess if !n_known */
	bool n_known;
	bool asked;  /* at least one round is complete */
	int flow;    /* farthest node that answered in the flow, small packets */
	int full;    /* the same, full-size packets */
	int control; /* the same, from a fresh port */
	int copy;    /* the same, copies of the owed segment */
	bool peer_in_flow, peer_full, peer_control; /* the peer itself answered */
	int flow_missed; /* in-flow probes unanswered at nodes behind `flow` that answered controls
			  */
	int full_missed; /* full-size probes unanswered at nodes that answered small ones in the
			    flow */
	int copy_missed; /* copies unanswered at routers behind that answered others */
	int beyond_missed;  /* probes of both kinds unanswered behind the farthest answer */
	bool beyond_asked;  /* so was the node right behind it */
	bool control_asked; /* at all: a capture may hold none of these */
	bool flow_asked;    /* so was, in the flow, the node right behind `flow` */
	bool full_asked;    /* and with full-size packets the one right behind `full` */
	int flow_next;	    /* the first node behind `flow` that answers anybody; n: the peer */
	int nat;	    /* node where private addresses end; 0 unknown */
	int loop;	    /* first node of several that come again and again; 0: none */
	int balanced; /* first node behind which connections take different ways; 0: none seen */
	/* Of those that meet the flow's router there, and of the others: asked, and got through. */
	struct tally same_way, other_ways;
	bool outage_over; /* nothing got past `outage_at` for a while, and then the peer answered */
	bool member_dead; /* what goes through that router gets no farther, the others do */
	bool unmet;	  /* the others do, and none goes through that router */
	bool mixed;	  /* some of those that go through that router do */
};

/* What the neighbours say of the first link. */
struct onlink_view {
	const struct neighbour *next; /* NULL: was not asked, or cannot be */
	bool silent;		      /* resolves no more, and answers nothing */
	struct tally small, full;     /* of the next hop; small with ARP or ND */
	int others;		      /* neighbours that answered something */
	struct tally around;	      /* what they answered of everything */
	double loss;		      /* share of the next hop's probes, 0 if that is no sign */
	bool grows;		      /* large packets are lost much more often */
};
/* What a middlebox rewrites. */
enum rewrite { REWRITE_UNKNOWN, REWRITE_SEQUENCE, REWRITE_WINDOW, REWRITE_TIMESTAMPS };

/* Loss of some packets: how well it is explained by a point behind node k. */
struct loss_view {
	int at;			     /* the best; -1: there is none */
	double sure;		     /* log-odds of it against a path that loses nothing */
	struct tally before, behind; /* probes to the nodes on this side of it, and beyond */
	struct tally behind_of[PROBE_KINDS];
	double split[MAX_DISTANCE]; /* log-odds, 0: none */
};

struct judgement {
	const struct engine *e;
	const struct stall *s;
	struct path_view path;
	int same_peer, elsewhere; /* witnesses */
	int returned;		  /* those that move again since this flow has last tried */
	int shared;		  /* most hops shared with a witness to another destination */
	double cause[CAUSES];
	double part[MAX_PARTS];
	bool part_touched[MAX_PARTS];
	enum cause verdict; /* valid in places.c */
	enum way way;
	int refuser;	     /* node that says it knows no way on, and answers no probe; 0: none */
	enum side link_side; /* of the first link, as if this host were the source */
	struct onlink_view onlink;
	struct loss_view loss; /* by the probes of this incident */
	enum rewrite rewrite;
	struct verdict *v;
};

/* Address of a node; the hop table knows it, or an earlier look at the same path. */
struct ip_addr node_address(const struct judgement *j, int node);
/* A verdict as it is told: its confidences say how often such verdicts are right. */
void calibrate(const struct stall *s, struct verdict *v);

/* From the probes of this incident. n: distance of the peer. */
struct loss_view loss_look(const struct stall *s, int n);
/*
 * Log-odds that so many packets of this transfer, lost one after another, are no chance, given what
 * it has lost of late, and probes of some kinds: those that are not what was lost. And that it is
 * none in all the segments of that time.
 */
#define LOSS_BY_FULL	(1u << PROBE_IN_FLOW_FULL)
#define LOSS_BY_CONTROL (1u << PROBE_CONTROL)
#define LOSS_BY_SMALL	(1u << PROBE_IN_FLOW | LOSS_BY_CONTROL)
double loss_excluded(const struct judgement *j, int misses, unsigned int kinds);
double loss_excluded_once(const struct judgement *j, int misses);
/* Probes beside the connection are lost as its own are: more probable than that it is dropped. */
bool loss_hits_all(const struct judgement *j);
/* The same that segments were damaged on their way in, before the silence; 0: hardly any was. */
double loss_damaged(const struct judgement *j, double *ret_share);
void weigh_path_loss(struct judgement *j);
void place_loss(struct judgement *j);

struct path_view path_look(const struct stall *s);

/* Appends one line of evidence; further ones are left out once the list is full. */
void evidence(struct judgement *j, const char *id, double weight, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

struct onlink_view onlink_look(const struct stall *s);
void weigh_local(struct judgement *j); /* this host and its first link */
/* Whether the first link, or one that only this host knows of, explains it; blames that. */
bool place_local(struct judgement *j);
void blame(struct judgement *j, int part, double weight);

void weigh_causes(struct judgement *j);
void weigh_path(struct judgement *j);		/* how far probes get, what routers say */
void weigh_segment(struct judgement *j);	/* the one segment that is owed */
void weigh_rewriting(struct judgement *j);	/* boxes that alter headers, by the counters */
void weigh_passing_probes(struct judgement *j); /* the same, from probes that packets show */
/*
 * Segments that the peer sent in the silence by itself, not as answers to our probes. What arrived
 * within two round trips of the last progress was under way already.
 */
uint32_t heard_by_itself(const struct judgement *j);
/* A router asks for its next neighbour in vain. */
bool says_host_unreachable(const struct icmp_seen *i);
void weigh_handshake(struct judgement *j); /* the same, of a connection that does not open */
void weigh_capture(struct judgement *j);   /* offline: what only a capture shows */
/* offline: the place, where the capture itself shows it */
bool place_capture(const struct judgement *j, struct place *ret);
void weigh_pace(struct judgement *j); /* slow phases, of captures and of watched transfers */
void weigh_places(struct judgement *j);
void describe(struct judgement *j); /* detail and advice */

/* Text of the node, "hop 2 (192.168.0.1)", "this host", "the peer". */
const char *node_text(const struct judgement *j, int node, char *buf, size_t len);

#endif
