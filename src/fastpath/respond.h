/* What the program and the node share: maps' values, in the machine's own order of bytes. */
#ifndef RESPOND_H
#define RESPOND_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long s64;

/* An address, in network order: IPv4 ones as ::ffff:a.b.c.d. */
struct address {
	u64 words[2];
};

/* A prefix of addresses; IPv4 prefixes have 96 bits more. */
struct prefix {
	u32 length;
	u32 address[4];
};

/* What a prefix may do: bits of the value of `access`. */
enum {
	MAY_ASK = 1,
	MUST_SIGN = 2,
	/* In `struct client` alone: its last request was not refused for coming too soon. */
	ANSWERED_LAST = 4,
};

/*
 * What the timekeeper publishes. There are several of it: the one that is written next has not been in force for a
 * while, so nobody reads it any more.
 */
struct record {
	/* The header of every reply (RFC 5905 figure 8) but for version, mode, poll, root dispersion and the timestamps. */
	u8 header[48];
	/* A moment by the clock that never steps, and served time then: an NTP timestamp. */
	u64 base_ns;
	u64 served;
	/* By how much served time goes faster than that clock, a second: 2^-32 s. */
	s64 slope;
	/* Root dispersion at that moment, and by how much it grows a second: 2^-32 s. */
	s64 root_dispersion;
	s64 dispersion_rate;
	/* By how much TAI is ahead of that clock: if by more or less, somebody has set the system clock since. */
	s64 tai_ahead_ns;
	/* By the same clock: nothing is answered by this record afterwards. */
	u64 valid_until_ns;
	/* How much later than twice the program's time a reply is on the wire, in nanoseconds (`fastpathdeparture`). */
	s64 departure_ns;
	/* Bits of a timestamp below the clock's precision. */
	u64 fuzz_mask;
	/* `ratelimit`: a reply each so many ns, and how far ahead a client's bucket may be; 0: no limit. */
	u64 interval_ns;
	u64 tolerance_ns;
	/* The same of what each processor passes up to the sockets (`fastpathlimit`). */
	u64 passed_interval_ns;
	u64 passed_tolerance_ns;
	/* Which keys are in force: the second half of what they are found by. */
	u32 generation;
	/* Changes with the addresses at which we serve. */
	u32 addresses;
	u8 leak_log2;
	/* 0: no kisses. */
	u8 kod_log2;
	/* What a reply's poll field says at least; -128: what the request says. */
	signed char poll_min;
	/* `unsynchronised silent`, and we are. */
	u8 is_silent;
	/* Clients are remembered. */
	u8 has_clients;
	u8 dscp;
	/* Where we serve, in network order. */
	u16 port;
	/* What everybody may, by IPv4 and by IPv6; 0: that depends on the address. */
	u8 everybody[2];
	/* Changes with what anybody may; never 0. */
	u16 rights;
	u8 unused[4];
};

enum {
	RECORDS = 8,
};

/* What a key is found by. All keys of a generation come into force at once, with the record that names it. */
struct key_name {
	u32 id;
	u32 generation;
};

/* What is known before the program is loaded. */
struct options {
	/* Of the hash that finds a client: chance, and how many sets there are less one. */
	u64 hash_seed[2];
	u32 sets_mask;
	/* Whether the kernel has ciphers for us; where it has not, nothing of keys is loaded. */
	u32 signs;
};

/* What is remembered of a client. */
struct client {
	struct address address;
	/* 0: nobody. */
	u64 last_hit_ns;
	u64 full_at_ns;
	u32 hits;
	u32 drops;
	short interval;
	short interval_unanswered;
	/* Is written to have the line fetched; nobody reads it. */
	u8 fetched;
	/* What it may, as long as the record's `rights` are these (0: not known), and ANSWERED_LAST. */
	u8 may;
	u16 rights;
};

enum {
	WAYS = 4,
};

/* Clients whose addresses have the same hash; where there is no room, the one that was silent the longest goes. */
struct client_set {
	struct client ways[WAYS];
};

/* What a key has enciphered: the first two blocks of a message, and what came of each. The next has them again, mostly. */
struct blocks {
	u64 text[4];
	u64 cipher[4];
};

/* What a processor keeps of a key. */
struct key_use {
	/* Requests that were well signed. */
	u64 count;
	struct blocks asked;
	struct blocks replied;
};

/* A counter for each outcome, as the sockets number them (src/server/outcome.rs). */
enum outcome {
	ANSWERED,
	ANSWERED_SIGNED,
	KISS,
	KISS_SIGNED,
	TOO_LATE,
	BAD_LENGTH,
	BAD_VERSION,
	MALFORMED_EXTENSION,
	DENIED,
	BAD_MODE,
	UNSYNCHRONISED,
	AUTH_REQUIRED,
	RATE_LIMITED,
	CRYPTO_NAK,
	SHORT_MAC,
	MS_SNTP,
	UNKNOWN_KEY,
	BAD_MAC,
	OUTCOMES,
};

/* What is left to the sockets, and why. */
enum passed {
	/* To an address at which we do not serve. */
	OTHER_ADDRESS,
	/* What the sockets alone decide: interleaved, with extensions, by another kind of key, malformed. */
	FOR_SOCKETS,
	/* The timekeeper is silent. */
	STALE,
	/* A wrong checksum, or one that the card of the sender was to finish. */
	CHECKSUM,
	PASSED,
};

/* Octaves of times, the first up to 2^10 ns. */
enum {
	OCTAVES = 12,
	SHORTEST_LOG2 = 10,
};

/* What one processor has counted. */
struct counts {
	u64 outcomes[OUTCOMES];
	u64 passed[PASSED];
	/* Not passed, because there was too much of it. */
	u64 shed;
	/* By version and mode, as the first byte has them, and by family. */
	u64 kinds[128];
	/* How long some of those that were answered have stayed. */
	u64 residence[OCTAVES];
	u64 residence_sum_ns;
	/* What is beyond is the program's own. When this processor may pass on as much as it may at once (`fastpathlimit`). */
	u64 passed_full_at_ns;
	/* How long an answer takes here, in the mean: unsigned, signed. */
	u64 takes_ns[2];
	/* Of chance. */
	u64 chance;
	/* Requests, and the last that was looked at more closely: one in SAMPLE is, and the first after LOOK_NS. */
	u64 looked_at_ns;
	u32 turn;
	/* The address asked last, and the record's `addresses` then. */
	u32 addresses;
	struct address served;
	/* The base of a record that is no longer true. */
	u64 distrusted_ns;
};

enum {
	SAMPLE = 32,
	LOOK_NS = 1000000,
};

/* What the node hands over to make a key of. */
struct new_key {
	struct key_name name;
	/* Bytes of the secret: 16 or 32. */
	u32 length;
	/* Where its uses are counted. */
	u32 slot;
	u8 secret[32];
	u64 subkey[2];
	/* The kernel's, if it comes to nothing. */
	int error;
	u32 unused;
};

#endif
