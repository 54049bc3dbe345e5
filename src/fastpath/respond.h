/* What the program and the node share: maps' values, in the machine's own order of bytes. */
#ifndef RESPOND_H
#define RESPOND_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long s64;

/* An address: IPv4 ones as ::ffff:a.b.c.d. */
struct address {
	u8 bytes[16];
};

/* A prefix of addresses; IPv4 prefixes have 96 bits more. */
struct prefix {
	u32 length;
	struct address address;
};

/* What a prefix may do: bits of the value of `access`. */
enum {
	MAY_ASK = 1,
	MUST_SIGN = 2,
};

/*
 * What the timekeeper publishes. There are several of it: the one that is written next has not been in force for a
 * while, so nobody reads it any more.
 */
struct record {
	/* The header of every reply (RFC 5905 figure 8) but for version, mode, poll, root dispersion and the timestamps. */
	u8 header[48];
	/* Root dispersion at `updated`, and by how much it grows a second: 2^-32 s. */
	s64 root_dispersion;
	s64 dispersion_rate;
	/* NTP timestamps of the kernel's clock. */
	u64 updated;
	u64 epoch;
	/* From the kernel's clock to served time: at the epoch, and a second: 2^-32 s. */
	s64 offset;
	s64 slope;
	/* By how much the kernel's TAI is ahead of its UTC, in nanoseconds. */
	s64 tai_ahead_ns;
	/* By how much it is ahead of the clock that never steps: if by more or less, somebody has set the clock since. */
	s64 tai_monotonic_ns;
	/* By the clock that never steps: nothing is answered by this record afterwards. */
	u64 valid_until_ns;
	/* How much later than the seal a reply is on the wire: 2^-32 s. */
	u64 departure;
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

/* What is remembered of a client. */
struct client {
	u64 last_hit_ns;
	u64 full_at_ns;
	u32 hits;
	u32 drops;
	short interval;
	short interval_unanswered;
	u32 answered;
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
	/* How long those that were answered have stayed. */
	u64 residence[OCTAVES];
	u64 residence_sum_ns;
	/* When this processor may pass on as much as it may at once (`fastpathlimit`). */
	u64 passed_full_at_ns;
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
