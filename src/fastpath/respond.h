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

/* What the timekeeper publishes. There are two of it: one is read while the other is written. */
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
	/* By the clock that never steps: nothing is answered by this record afterwards. */
	u64 valid_until_ns;
	/* How much later than the seal a reply is on the wire: 2^-32 s. */
	u64 departure;
	/* Bits of a timestamp below the clock's precision. */
	u64 fuzz_mask;
	/* `ratelimit`: a reply each so many ns, and how far ahead a client's bucket may be; 0: no limit. */
	u64 interval_ns;
	u64 tolerance_ns;
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
};

/* Which record is in force. */
struct state {
	u32 current;
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

/* Counters: a slot for each outcome, as the sockets number them, then what is passed up and why. */
enum counter {
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
	/* Passed up: to the sockets. */
	PASSED_OTHER,
	PASSED_NTP,
	PASSED_STALE,
	PASSED_CHECKSUM,
	PASSED_OVER_LIMIT,
	COUNTERS,
};

#endif
