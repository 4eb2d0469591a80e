/* SPDX-License-Identifier: Apache-2.0 */

/* Who may vote, and what a committed charge is worth, when a hostile host restarts and clones cores from any disk image: the restart policy
 * majority (docs/spec/vault.md, section 16), for INV-INCARNATION, INV-COMMIT and INV-BUDGET (section 13).
 *
 * Nobody dies here. Every step below may be left out, so a core that was stopped, a slow one and one that is cut off are the same. What a
 * boot loses is its memory; so a boot is a new core beside the old one, which may go on, and a clone is no different.
 * Nothing is sent. A step between two cores happens at once or never: a lost message is one that was never sent, and a late one
 * comes to a core that was slow. What an old leader says counts until its hearer knows of a later term.
 */

/* Bounds. */
#ifndef BOOTS
#define BOOTS 2		/* beside the three first cores: 0 to 2 */
#endif
#ifndef FIRST
#define FIRST 1		/* slot of the first boot */
#endif
#ifndef SECOND
#define SECOND 2	/* and of the second */
#endif
#ifndef TERMS
#define TERMS 2		/* core 0 leads the first */
#endif
#ifndef CHARGES
#define CHARGES 2	/* guesses, beside the one of each new leader */
#endif
#ifndef ENTRIES
#define ENTRIES 11	/* in all logs together: at most 11 */
#endif
#ifndef WINDOW
#define WINDOW 2	/* entries that a leader has in flight before it waits */
#endif
#define BUDGET 1	/* guesses that may be evaluated */
#define CORES 5
#define SLOTS 3

/* The properties, each by the name that pan prints. ONLY=AGREEMENT_ looks for that one alone. */
bit INV_INCARNATION = 1;	/* at most one incarnation of a slot can vote */
bit ONE_LEADER = 1;		/* no two majorities elect in one term */
bit AGREEMENT = 1;		/* what is committed is never forgotten */
bit INV_COMMIT = 1;		/* no evaluation before its charge is committed */
bit INV_BUDGET = 1;		/* distinct guesses evaluated never exceed the budget */
#define INV_INCARNATION_ 1
#define ONE_LEADER_ 2
#define AGREEMENT_ 3
#define INV_COMMIT_ 4
#define INV_BUDGET_ 5
#ifndef ONLY
#define ONLY 0
#endif
#define CHECK(name, holds) name = (holds) || (ONLY != 0 && ONLY != name##_); assert(name)

/* Sets are bits of a number. */
#define HAS(set, x) (((set) >> (x)) & 1)
#define SET(x) (1 << (x))
#define SIZE(set) (HAS(set, 0) + HAS(set, 1) + HAS(set, 2) + HAS(set, 3) + HAS(set, 4))
#define MAJORITY(of, voters) (2 * SIZE((of) & (voters)) > SIZE(voters))

/* Entries of all logs are a tree: a log is the path from the root to an entry. What follows from a path is stored with its end. */
typedef Entry {
	short path;		/* the entries on it, this one too */
	byte depth;
	byte term;		/* of the leader that made it */
	byte admitted;		/* sets of raft ids: */
	byte learners;
	byte voters;
	byte charges;		/* on the path */
	bit charge;
	bit evaluated		/* once, and more often for nothing: it is the same element */
};
Entry log[ENTRIES];
byte entries;

#define ON(entry, end) HAS(log[end].path, entry)

/* Cores. The first three have the slots 0 to 2, and the others are boots. What a boot finds on its disk is worth nothing to it, so those are
 * here from the beginning, with no memory, until a leader proposes to admit them: whether and when their host starts them is the same. */
#if defined(NO_ADMISSION) || defined(OLD_ID)
#define REWOUND 3	/* a boot that goes on under the raft id */
#define REPLACED FIRST	/* of the core that had its slot */
#elif defined(NO_BINDING)
#define REWOUND 4
#define REPLACED 3
#else
#define REWOUND (SLOTS + BOOTS)
#endif
#ifdef REPLACED
#define TWO_SPEAK(voters) (cores > REWOUND && HAS(voters, REPLACED))
#else
#define TWO_SPEAK(voters) false
#endif
byte cores = REWOUND;
byte slot[CORES];
byte id[CORES];			/* the raft id that a core speaks for */
byte term[CORES];
byte head[CORES];		/* of its log */
byte commit[CORES];		/* the last entry that it knows to be committed, and has applied */
byte leads;			/* a set of cores */

byte elected;			/* terms that had a leader */
byte asked;			/* charges */
byte last;			/* the last entry that was committed anywhere */
byte distinct;			/* guesses evaluated */

#define VOTERS(c) log[commit[c]].voters
#define LEARNERS(c) log[commit[c]].learners

/* What a leader sees of the others: whose log has entry n, in its term. */
#define ACK(c, n, d) ((term[d] == term[c] && ON(n, head[d])) << id[d])
#define ACKS(c, n) (ACK(c, n, 0) | ACK(c, n, 1) | ACK(c, n, 2) | ACK(c, n, 3) | ACK(c, n, 4))

/* A leader has served its first entry: all of earlier terms is applied. (docs/spec/vault.md, section 7.) */
#define READY(c) (HAS(leads, c) && log[commit[c]].term == term[c] && entries < ENTRIES && \
	log[head[c]].depth - log[commit[c]].depth < WINDOW)

inline append(c, to_admit, to_learn, to_vote, to_remove, to_charge) {
	log[entries].path = log[head[c]].path | SET(entries);
	log[entries].depth = log[head[c]].depth + 1;
	log[entries].term = term[c];
	log[entries].admitted = log[head[c]].admitted | (to_admit);
	log[entries].learners = (log[head[c]].learners | (to_learn)) & ~(to_vote | to_remove);
	log[entries].voters = (log[head[c]].voters | (to_vote)) & ~(to_remove);
	log[entries].charges = log[head[c]].charges + to_charge;
	log[entries].charge = to_charge;
	head[c] = entries;
	entries++
}

/* Raft's elections, as far as they succeed, by two votes: no more than three vote here. A vote that makes no leader only has its giver
 * refuse others, and that may be left out.
 * The first entry of a leader is a guess at once: so there are more of them in fewer entries. */
#define NEXT_TERM(c, d) (1 + (term[c] > term[d] -> term[c] : term[d]))
#define UP_TO_DATE(c, d) (log[head[c]].term > log[head[d]].term || \
	(log[head[c]].term == log[head[d]].term && log[head[c]].depth >= log[head[d]].depth))

inline elect(c, d) {
	d_step {
		c < cores && d < cores && entries < ENTRIES && NEXT_TERM(c, d) <= TERMS &&
		HAS(VOTERS(c), id[c]) && MAJORITY(SET(id[c]) | SET(id[d]), VOTERS(c)) && UP_TO_DATE(c, d) ->
		leads = leads & ~SET(d) | SET(c);
		term[c] = NEXT_TERM(c, d);
		term[d] = term[c];
		append(c, 0, 0, 0, 0, 1);
		printf("MSC: core %d is elected by %d in term %d, entry %d\n", c, d, term[c], head[c]);
		CHECK(ONE_LEADER, !HAS(elected, term[c]));
		elected = elected | SET(term[c])
	}
}

/* A leader's log reaches another core, whole, with what is known to be committed. */
inline replicate(c, d) {
	d_step {
		HAS(leads, c) && d < cores && term[d] <= term[c] && !(HAS(leads, d) && term[d] == term[c]) &&
		HAS(VOTERS(c) | LEARNERS(c), id[d]) && (head[d] != head[c] || commit[d] < commit[c]) ->
		leads = (term[d] < term[c] -> leads & ~SET(d) : leads);
		term[d] = term[c];
		head[d] = head[c];
		CHECK(AGREEMENT, ON(commit[d], head[d]));
		commit[d] = (commit[c] > commit[d] -> commit[c] : commit[d]);
		printf("MSC: core %d has entry %d from %d, applied %d\n", d, head[d], c, commit[d])
	}
}

/* A leader learns that an entry of its term is on a majority of its configuration, and applies. */
#define IN(set, i, s) (HAS(set, i) && slot[i] == s)
#define ONE_OF(set, s) (IN(set, 0, s) + IN(set, 1, s) + IN(set, 2, s) + IN(set, 3, s) + IN(set, 4, s) <= 1)

inline evaluate(c, n) {
	if
	:: log[n].charge && log[n].charges <= BUDGET && !log[n].evaluated ->
		CHECK(INV_COMMIT, ON(n, last));
		log[n].evaluated = 1;
		distinct++;
		printf("MSC: core %d evaluates the guess of entry %d, the %d.\n", c, n, distinct);
		CHECK(INV_BUDGET, distinct <= BUDGET)
	:: else
	fi
}

inline apply(c) {
	d_step {
		HAS(leads, c) && commit[c] != head[c] ->
		for (x : commit[c] + 1 .. head[c]) {
			if
			:: ON(x, head[c]) && log[x].term == term[c] && MAJORITY(ACKS(c, x), VOTERS(c)) -> n = x
			:: else
			fi
		}
		if
		:: n > 0 ->
			printf("MSC: core %d commits entry %d\n", c, n);
			CHECK(AGREEMENT, ON(last, n) || ON(n, last));
			last = (n > last -> n : last);
			for (x : commit[c] + 1 .. n) {
				if
				:: ON(x, n) -> evaluate(c, x)
				:: else
				fi
			}
			commit[c] = n;
			CHECK(INV_INCARNATION, ONE_OF(VOTERS(c), 0) && ONE_OF(VOTERS(c), 1) && ONE_OF(VOTERS(c), 2) && !TWO_SPEAK(VOTERS(c)))
		:: else
		fi;
		n = 0;
		x = 0
	}
}

#ifdef EVALUATE_FIRST
#define EVALUATED_AT_ONCE(c) evaluate(c, head[c])
#else
#define EVALUATED_AT_ONCE(c) skip
#endif

/* A client's guess. Its charge goes into the log; whether it is within the budget follows from the log before it. */
inline ask(c) {
	d_step {
		READY(c) && asked < CHARGES ->
		asked++;
		append(c, 0, 0, 0, 0, 1);
		printf("MSC: core %d is asked for a guess, entry %d\n", c, head[c]);
		EVALUATED_AT_ONCE(c)
	}
}

/* The place of an old incarnation goes to a new one in steps: admit, learn, remove the old one, promote. Each follows from what is
 * committed, so that a new leader goes on where the last one was, and none is begun while another is in flight. An id is the number of its
 * core, so no other can use it. Whether the new one has caught up is left to chance: nothing but service rests on it. */
#ifdef TWO_CHANGES
#define KNOWN(c) head[c]
#define MAY_CHANGE(c) READY(c)
#else
#define KNOWN(c) commit[c]
#define MAY_CHANGE(c) (READY(c) && log[head[c]].voters == VOTERS(c) && log[head[c]].learners == LEARNERS(c))
#endif

#define NEWER(set, i, j) (j > i && HAS(set, j) && slot[j] == slot[i])
#define SUCCESSOR(set, i) (NEWER(set, i, 3) || NEWER(set, i, 4))
#ifdef PROMOTE_BEFORE_REMOVE
#define MAY_VOTE(c, i) true
#else
#define MAY_VOTE(c, i) NONE_VOTES(c, slot[i])
#endif
#define NONE_VOTES(c, s) !(IN(log[KNOWN(c)].voters, 0, s) || IN(log[KNOWN(c)].voters, 1, s) || IN(log[KNOWN(c)].voters, 2, s) || \
	IN(log[KNOWN(c)].voters, 3, s) || IN(log[KNOWN(c)].voters, 4, s))

#ifdef ONE_STEP		/* an admitted core is a learner at once: fewer entries */
#define LEARNS(i) SET(i)
#define MAY_ADMIT(c) MAY_CHANGE(c)
#else
#define LEARNS(i) 0
#define MAY_ADMIT(c) READY(c)
#endif
inline admit(c, i) {
	d_step {
		MAY_ADMIT(c) && i < cores && id[i] == i && !HAS(log[head[c]].admitted, i) ->
		append(c, SET(i), LEARNS(i), 0, 0, 0);
		printf("MSC: core %d proposes to admit %d to slot %d, entry %d\n", c, i, slot[i], head[c])
	}
}

inline learn(c, i) {
	d_step {
		MAY_CHANGE(c) && HAS(log[KNOWN(c)].admitted, i) && !HAS(log[KNOWN(c)].learners | log[KNOWN(c)].voters, i) &&
		!SUCCESSOR(log[KNOWN(c)].admitted, i) ->
		append(c, 0, SET(i), 0, 0, 0);
		printf("MSC: core %d proposes %d as learner, entry %d\n", c, i, head[c])
	}
}

inline remove(c, i) {
	d_step {
		MAY_CHANGE(c) && i != id[c] && (HAS(log[KNOWN(c)].voters, i) && SUCCESSOR(log[KNOWN(c)].learners, i) ||
			HAS(log[KNOWN(c)].learners, i) && SUCCESSOR(log[KNOWN(c)].admitted, i)) ->
		append(c, 0, 0, 0, SET(i), 0);
		printf("MSC: core %d proposes to remove %d, entry %d\n", c, i, head[c])
	}
}

inline promote(c, i) {
	d_step {
		MAY_CHANGE(c) && HAS(log[KNOWN(c)].learners, i) && MAY_VOTE(c, i) ->
		append(c, 0, 0, SET(i), 0, 0);
		printf("MSC: core %d proposes to promote %d, entry %d\n", c, i, head[c])
	}
}

/* A boot that keeps its raft id, by a rule that was left out. The disk is as old as the host likes. */
#ifdef REPLACED
byte kept_term;
byte kept_head;
byte kept_commit;

#ifdef NO_ADMISSION
#define HAS_COPY kept_term > 0
#else
#define HAS_COPY true	/* of an empty disk */
#endif

inline keep() {
	d_step {
		cores == REWOUND && (kept_term != term[REPLACED] || kept_head != head[REPLACED]) ->
		kept_term = term[REPLACED];
		kept_head = head[REPLACED];
		kept_commit = commit[REPLACED];
		printf("MSC: the host keeps a copy of core %d's disk, at term %d, entry %d\n", REPLACED, kept_term, kept_head)
	}
}

inline boot() {
	d_step {
		cores == REWOUND && HAS_COPY ->
		cores++;
		id[REWOUND] = REPLACED;
		term[REWOUND] = kept_term;
		head[REWOUND] = kept_head;
		commit[REWOUND] = kept_commit;
		printf("MSC: the host starts core %d in place of %d, at term %d, entry %d\n", REWOUND, REPLACED, kept_term, kept_head);
		CHECK(INV_INCARNATION, !TWO_SPEAK(log[last].voters))
	}
}
#endif

#if BOOTS == 1			/* a smaller checker */
#define EACH_CORE(act) :: act(0) :: act(1) :: act(2) :: act(3)
#define FOR_CORE(act, i) :: act(0, i) :: act(1, i) :: act(2, i) :: act(3, i)
#define FOR_NEW(act) FOR_CORE(act, 3)
#define PAIRS(act) \
	:: act(0, 1) :: act(0, 2) :: act(0, 3) :: act(1, 0) :: act(1, 2) :: act(1, 3) \
	:: act(2, 0) :: act(2, 1) :: act(2, 3) :: act(3, 0) :: act(3, 1) :: act(3, 2)
#else
#define EACH_CORE(act) :: act(0) :: act(1) :: act(2) :: act(3) :: act(4)
#define FOR_CORE(act, i) :: act(0, i) :: act(1, i) :: act(2, i) :: act(3, i) :: act(4, i)
#define FOR_NEW(act) FOR_CORE(act, 3) FOR_CORE(act, 4)
#define PAIRS(act) \
	:: act(0, 1) :: act(0, 2) :: act(0, 3) :: act(0, 4) :: act(1, 0) :: act(1, 2) :: act(1, 3) :: act(1, 4) \
	:: act(2, 0) :: act(2, 1) :: act(2, 3) :: act(2, 4) :: act(3, 0) :: act(3, 1) :: act(3, 2) :: act(3, 4) \
	:: act(4, 0) :: act(4, 1) :: act(4, 2) :: act(4, 3)
#endif

active proctype fleet() {
	byte n, x;	/* scratch: 0 between steps */
	d_step {
		log[0].path = 1; log[0].term = 1; log[0].admitted = 7; log[0].voters = 7;
		entries = 1;
		for (x : 0 .. SLOTS - 1) { slot[x] = x; term[x] = 1 }
		for (x : 0 .. CORES - 1) { id[x] = x }
		slot[3] = FIRST; slot[4] = SECOND;
		leads = SET(0);
		elected = SET(1);
		x = 0
	}
end:	do
	PAIRS(elect)
	PAIRS(replicate)
	EACH_CORE(apply)
	EACH_CORE(ask)
	FOR_NEW(admit)
	FOR_NEW(learn)
	FOR_CORE(remove, 0) FOR_CORE(remove, 1) FOR_CORE(remove, 2) FOR_CORE(remove, 3)
	FOR_NEW(promote)
#ifdef NO_ADMISSION
	:: keep()
#endif
#ifdef REPLACED
	:: boot()
#endif
	od
}
