/* SPDX-License-Identifier: Apache-2.0 */

/* How guesses are counted, when the host delivers what clients sent as often and as late as it likes and drops answers, and a thief with a valid
 * token registers, guesses and proves beside the owner. The rules are those of internal/core/ledger (docs/spec/vault.md, sections 5 and 8 to 12), for
 * one account. That what is committed stays so is incarnation.pml's; here each operation is committed when it is applied.
 *
 * Whatever may be evaluated is evaluated at once, and the answer may get lost: a core that fails in between evaluates less and answers less.
 * Time passes at will: what a deadline ends may end at any moment, or never. Cooldowns are left out: no property rests on them.
 */

/* Bounds. */
#ifndef BUDGET
#define BUDGET 2
#endif
#ifndef OWN
#define OWN 2			/* guesses of the owner, at most 2: elements 1 to OWN */
#endif
#ifndef ELEMENTS
#define ELEMENTS 5		/* those beyond are the thief's: at most 7 */
#endif

/* The properties, each by the name that pan prints. ONLY=HONEST_ looks for that one alone. */
bit INV_BUDGET = 1;		/* distinct guesses evaluated at a registration since its last proof never exceed its budget */
bit INV_COMMIT = 1;		/* no evaluation before its charge */
bit INV_DESTROYED = 1;		/* what is destroyed or forgotten is never evaluated, and never comes back */
bit INV_PENDING = 1;		/* nor is a registration evaluated before its confirmation */
bit INV_PROOF = 1;		/* none is ended at once without its proof */
bit HONEST = 1;			/* a guess of the owner is counted once, however often it is sent, and replays destroy nothing */
#define INV_BUDGET_ 1
#define INV_COMMIT_ 2
#define INV_DESTROYED_ 3
#define INV_PENDING_ 4
#define INV_PROOF_ 5
#define HONEST_ 6
#ifndef ONLY
#define ONLY 0
#endif
#define CHECK(name, holds) name = (holds) || (ONLY != 0 && ONLY != name##_); assert(name)

/* Sets are bits of a number. */
#define HAS(set, x) (((set) >> (x)) & 1)
#define SET(x) (1 << (x))
#define SIZE(set) (HAS(set, 1) + HAS(set, 2) + HAS(set, 3) + HAS(set, 4) + HAS(set, 5) + HAS(set, 6) + HAS(set, 7))

/* The account. Registration 0 is the owner's and live, 1 is the thief's, 2 a later one of the owner's. */
#define REGISTRATIONS 3
mtype = { absent, pending, live, retained, destroyed };
mtype state[REGISTRATIONS] = absent;
byte left[REGISTRATIONS];
byte serial;			/* of the last guess */
byte last_id;			/* what it was at, */
byte last_element;		/* and its element */
byte tickets = 1;		/* registrations ever stored */

#define GUESSABLE(r) (state[r] == live || state[r] == retained)

/* What was sent once, and may be delivered at any time. Nothing is ever taken back. */
short sent[3];		/* RecoverStart at 0 of each element: the serials it was sent with */
short proofs;			/* RecoverFinish at 0: the serials */
byte ticket[REGISTRATIONS];	/* RegisterFinish: 1 + the ticket's number */
byte confirms;			/* RegisterConfirm: the registrations */
bit same_key;			/* 2 keeps the K of 0, and so is proof of it */

/* The owner's client. */
mtype = { idle, asking, proving };
mtype client = idle;
byte made;			/* guesses, so that this is the element of the last one, too */
byte want;			/* the serial that it is sent with */
bit lost;			/* an answer may have been missed */
mtype = { none, ke2, stale, other };
mtype answer = none;		/* on its way, and what it says: */
byte answer_serial;

/* What the invariants are about. */
byte counted;			/* elements charged */
byte evaluated[REGISTRATIONS];	/* distinct elements since the last proof */
byte proved[REGISTRATIONS];	/* the element that it proved: to evaluate that again is nothing new */
byte confirmed = SET(0);
byte gone;
byte fresh = OWN;		/* the thief's last element */

/* The rules that can be left out. */
#ifdef NO_SERIAL		/* a guess with an old serial is a new guess */
#define IN_TURN(s) true
#else
#define IN_TURN(s) (s == serial + 1)
#endif
#ifdef NO_DIGEST		/* a repetition is known by its serial alone */
#define IS_LAST(r, s, e) (serial > 0 && s == serial && r == last_id)
#elif defined(CHARGE_REPEATS)	/* a repetition is a new guess */
#define IS_LAST(r, s, e) false
#undef IN_TURN
#define IN_TURN(s) (s == serial + 1 || s == serial)
#else
#define IS_LAST(r, s, e) (serial > 0 && s == serial && r == last_id && e == last_element)
#endif
#ifdef DESTROY_BEFORE_SERIAL	/* of one without guesses any attempt is the last */
#define LATE(r, s) (left[r] == 0)
#else
#define LATE(r, s) (left[r] == 0 && IN_TURN(s))
#endif
#ifdef GUESS_PENDING
#define MAY_GUESS(r) (GUESSABLE(r) || state[r] == pending)
#else
#define MAY_GUESS(r) GUESSABLE(r)
#endif
#ifdef EVALUATE_FIRST		/* and may fail before the charge is committed */
#define BEFORE_CHARGE(r, s, e) :: MAY_GUESS(r) && left[r] > 0 && IN_TURN(s) -> evaluate(r, e); out = other
#else
#define BEFORE_CHARGE(r, s, e)
#endif
#ifdef PROVE_OLD		/* a proof is good for ever */
#define PROVES(r, s) true
#else
#define PROVES(r, s) (s == serial && r == last_id)
#endif
#ifdef REFILL_ALL		/* a proof refills all registrations */
#define REFILLED(x, r) true
#else
#define REFILLED(x, r) (x == r)
#endif
#ifdef CONFIRM_REFILLS
#define CONFIRMED_AGAIN(r) left[r] = BUDGET
#else
#define CONFIRMED_AGAIN(r) skip
#endif
#ifdef DISPLACE			/* the new registration takes the old one's place, whoever confirms it */
#define DISPLACES(r, x) true
#else
#define DISPLACES(r, x) PROOF_OF(r, x)
#endif
#ifdef NO_TICKET		/* a ticket is good as often as it is shown */
#define TICKET_GOOD(r) true
#else
#define TICKET_GOOD(r) (ticket[r] == tickets + 1)
#endif
#ifdef ONE_PHASE		/* a registration is live at once */
#define STORED_AS live
#else
#define STORED_AS pending
#endif
#ifdef TRUST_FIRST_ANSWER	/* the client believes that its first answer is that to the only delivery */
#define UNCERTAIN (lost && answer_serial != want)
#else
#define UNCERTAIN (answer_serial != want)
#endif

#define PROOF_OF(r, x) (r == 2 && x == 0 && same_key || r == 0 && x == 2 && same_key)

inline evaluate(r, e) {
	CHECK(INV_PENDING, HAS(confirmed, r));
	CHECK(INV_DESTROYED, !HAS(gone, r));
	CHECK(INV_COMMIT, HAS(counted, e));
	evaluated[r] = (e == proved[r] -> evaluated[r] : evaluated[r] | SET(e));
	printf("MSC: element %d is evaluated at %d\n", e, r);
	CHECK(INV_BUDGET, SIZE(evaluated[r]) <= BUDGET)
}

inline finish(r, as) {
	state[r] = as;
	left[r] = 0;
	gone = gone | SET(r)
}

/* RecoverStart: charge, in the order of its checks (docs/spec/vault.md, section 9). */
inline recover_start(r, s, e) {
	if
	:: !MAY_GUESS(r) -> out = other
	:: MAY_GUESS(r) && IS_LAST(r, s, e) ->
		out = ke2;
		evaluate(r, e)
	:: MAY_GUESS(r) && !IS_LAST(r, s, e) && LATE(r, s) ->
		printf("MSC: %d is destroyed by element %d, serial %d\n", r, e, s);
		CHECK(HONEST, !HAS(counted, e));
		finish(r, destroyed);
		out = other
	:: MAY_GUESS(r) && !IS_LAST(r, s, e) && !LATE(r, s) && !IN_TURN(s) -> out = stale
	:: MAY_GUESS(r) && !IS_LAST(r, s, e) && !LATE(r, s) && IN_TURN(s) ->
		serial++;
		last_id = r;
		last_element = e;
		for (x : 0 .. REGISTRATIONS - 1) {
			left[x] = ((GUESSABLE(x) || x == r) && left[x] > 0 -> left[x] - 1 : left[x])
		}
		printf("MSC: element %d is charged, serial %d, left %d %d %d\n", e, serial, left[0], left[1], left[2]);
		CHECK(HONEST, !HAS(counted, e));
		counted = counted | SET(e);
		out = ke2;
		evaluate(r, e)
	BEFORE_CHARGE(r, s, e)
	fi;
	x = 0
}

/* RecoverFinish: prove. */
inline recover_finish(r, s) {
	if
	:: GUESSABLE(r) && PROVES(r, s) ->
		for (x : 0 .. REGISTRATIONS - 1) {
			left[x] = (REFILLED(x, r) && GUESSABLE(x) -> BUDGET : left[x])
		}
		if
		:: s == serial -> evaluated[r] = 0; proved[r] = last_element
		:: else		/* it says nothing of the guesses since */
		fi;
		printf("MSC: the proof of serial %d refills %d\n", s, r);
		x = 0
	:: else
	fi
}

/* RegisterFinish: register. */
inline register_finish(r) {
	if
	:: state[r] == absent && TICKET_GOOD(r) ->
		tickets++;
		for (x : 0 .. REGISTRATIONS - 1) {
			if
			:: state[x] == pending -> finish(x, absent)
			:: else
			fi
		}
		state[r] = STORED_AS;
		left[r] = BUDGET;
		printf("MSC: %d is registered\n", r);
		CHECK(INV_DESTROYED, !HAS(gone, r));
		x = 0
	:: else
	fi
}

/* RegisterConfirm: confirm. */
inline register_confirm(r) {
	if
	:: state[r] == pending ->
		printf("MSC: %d is confirmed\n", r);
		for (x : 0 .. REGISTRATIONS - 1) {
			if
			:: GUESSABLE(x) && DISPLACES(r, x) ->
				CHECK(INV_PROOF, PROOF_OF(r, x));
				finish(x, absent)
			:: GUESSABLE(x) && !DISPLACES(r, x) -> state[x] = retained
			:: else
			fi
		}
		state[r] = live;
		confirmed = confirmed | SET(r);
		x = 0
	:: state[r] == live ->
		CONFIRMED_AGAIN(r);
		printf("MSC: %d is confirmed once more\n", r)
	:: else
	fi
}

/* The host delivers what the owner's client sent, and keeps the answer to its present request for a while. */
inline deliver() {
	atomic {
		made > 0 ->
		if
		:: e = 1
		:: made == 2 -> e = 2
		fi;
		if
		:: HAS(sent[e], 1) -> s = 1
		:: HAS(sent[e], 2) -> s = 2
		:: HAS(sent[e], 3) -> s = 3
		:: HAS(sent[e], 4) -> s = 4
		:: HAS(sent[e], 5) -> s = 5
		fi;
		printf("MSC: the host delivers element %d with serial %d\n", e, s);
		recover_start(0, s, e);
		if
		:: client == asking && e == made && s == want -> answer = out; answer_serial = serial
		:: else
		fi;
		out = none; e = 0; s = 0
	}
}

/* The thief's guess is always another element, with whatever serial is of use. */
inline steal() {
	atomic {
		fresh < ELEMENTS ->
		if
		:: MAY_GUESS(0) -> r = 0
		:: MAY_GUESS(1) -> r = 1
		:: MAY_GUESS(2) -> r = 2
		:: else
		fi;
		if
		:: s = serial
		:: s = serial + 1
		fi;
		if
		:: MAY_GUESS(r) ->
			fresh++;
			printf("MSC: the thief guesses at %d with serial %d, element %d\n", r, s, fresh);
			recover_start(r, s, fresh);
			out = none
		:: else
		fi;
		r = 0; s = 0
	}
}

/* The owner's client, sections 12 and 8. */
inline ask() {
	want = serial + 1;
	sent[made] = sent[made] | SET(want);
	lost = 0;
	client = asking;
	printf("MSC: the owner's element is %d, with serial %d\n", made, want)
}

#define EACH(act) :: act(0) :: act(1) :: act(2)

inline replay_register(r) { atomic { ticket[r] > 0 -> register_finish(r) } }
inline replay_confirm(r) { atomic { HAS(confirms, r) -> register_confirm(r) } }
inline replay_proof(s) { atomic { HAS(proofs, s) -> recover_finish(0, s) } }

/* Delete with the token alone. */
inline remove(r) { atomic { state[r] == live -> state[r] = retained; printf("MSC: %d is deleted without proof\n", r) } }

/* Time ends what has a deadline, and tombstones give way to newer ones. */
inline expire(r) {
	atomic {
		state[r] != absent && state[r] != live || state[r] == live && left[r] == 0 ->
		if
		:: GUESSABLE(r) && left[r] == 0 -> finish(r, destroyed)
		:: state[r] == pending || state[r] == retained && left[r] > 0 || state[r] == destroyed -> finish(r, absent)
		fi;
		printf("MSC: time ends %d\n", r)
	}
}

active proctype account() {
	byte e, r, s, x;	/* scratch: 0 between steps */
	mtype out = none;
	atomic {
		state[0] = live;
		left[0] = BUDGET;
		ticket[0] = 1;
		confirms = SET(0);
		if
		:: same_key = 0
		:: same_key = 1
		fi
	}
end:	do
	/* the owner */
	:: atomic { client == idle && made < OWN && GUESSABLE(0) && left[0] > 0 -> made++; ask() }
	:: atomic { client == asking && !lost -> lost = 1 }	/* it waits no longer, and sends the same again */
	:: atomic {
		client == asking && answer != none ->
		if
		:: answer == ke2 -> client = idle	/* a wrong password */
		:: answer == ke2 -> client = proving; proofs = proofs | SET(want)
		:: answer == stale && !UNCERTAIN -> ask()
		:: answer == stale && UNCERTAIN -> client = idle	/* it tells that a guess may have been used */
		:: answer == other -> client = idle
		fi;
		answer = none;
		answer_serial = 0
	}
	:: atomic { client == proving -> client = idle }	/* it has K */
	:: atomic { client == proving -> client = asking; lost = 1 }
	:: atomic { ticket[2] == 0 -> ticket[2] = tickets + 1 }
	:: atomic { state[2] == pending && !HAS(confirms, 2) -> confirms = confirms | SET(2) }

	/* the host */
	:: deliver()
	:: replay_proof(1) :: replay_proof(2) :: replay_proof(3) :: replay_proof(4) :: replay_proof(5)
	EACH(replay_register)
	EACH(replay_confirm)
	EACH(expire)

	/* the thief */
	:: steal()
	:: atomic { ticket[1] == 0 -> ticket[1] = tickets + 1; confirms = confirms | SET(1) }
	:: atomic { last_id == 1 && last_element > OWN -> recover_finish(1, serial) }
	EACH(remove)
	od
}
