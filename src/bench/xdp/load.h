/* What the programs of the harness and the harness share: maps' values, in the machine's own order of bytes. */
#ifndef LOAD_H
#define LOAD_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long s64;

/* An address, in network order; IPv4 in the first word. */
struct address {
	u32 words[4];
};

/* What is to be done: written before it begins. */
struct course {
	/* Of each frame, as far as UDP's header: source, ports, lengths and checksums are blank. */
	u8 head[64];
	/* The server, and ours. */
	struct address target;
	/* By the clock that never steps. */
	u64 start_ns;
	u64 measured_from_ns;
	u64 end_ns;
	/* From one request to the next, in units of 2^-16 ns; 0: so many are in flight. */
	u64 interval;
	u64 in_flight;
	/* What is later does not leave any more; a reply is waited for so long. */
	u64 lateness_max_ns;
	u64 patience_ns;
	/* Makes transmit timestamps of numbers. */
	u64 mask;
	/* The system clock less the one that never steps, and less what the way takes. */
	s64 utc_ahead_ns;
	/* Sums of what is the same in each frame, for UDP's checksum and for IPv4's. */
	u64 udp_sum;
	u64 ip_sum;
	u32 sources;
	u32 ring_mask;
	/* One of so many replies, on average, is kept to be looked at in full. */
	u32 sample_every;
	u32 is_v6;
	u32 is_signed;
	/* In network order. */
	u32 key_id;
	u16 target_port;
	/* In our own. */
	u16 first_port;
	u16 ports;
	u8 version;
	u8 unused[9];
};

/* Of the one who asks. */
struct asker {
	u64 next;
	/* Since the start, in units of 2^-16 ns. */
	u64 due;
	u64 in_flight;
	u64 not_sent;
	/* Measured. */
	u64 sent;
	/* Time in which nothing was due, while it is measured; and the moment of the last look, if nothing was. */
	u64 idle_ns;
	u64 idle_since_ns;
	u64 source;
	u64 port;
	/* Replies that were kept: whichever processor took them. */
	u64 samples;
	/* Where requests that nobody answers any more were looked for last. */
	u64 looked_at;
};

/* Whoever takes a request out of OPEN has settled it; nobody else does, on whichever processor. */
enum state { FREE, OPEN, ANSWERED, GIVEN_UP };

/* A request. */
struct request {
	u64 number;
	u64 intended_ns;
	u64 sent_ns;
	u32 state;
	u32 is_measured;
};

/* The digest of the request at a place of the ring. */
struct digest {
	u32 words[4];
};

/* First replies in time by what they are, in the order of the harness's judge. */
enum verdict {
	GOOD,
	BAD_MODE,
	BAD_VERSION,
	BAD_LENGTH,
	KISS_RATE,
	KISS_OTHER,
	UNSYNCHRONISED,
	BAD_STRATUM,
	/* Of other replies. */
	DUPLICATE,
	LATE,
	STALE,
	VERDICTS,
};

/* Of those who hear, a processor's. */
struct heard {
	u64 verdicts[VERDICTS];
};

/* By the second of the intended moment, a processor's. */
struct second {
	u64 sent;
	/* First replies in time, whatever they are. */
	u64 answered;
	u64 good;
	u64 latency_sum_ns;
	u64 latency_max_ns;
};

enum {
	/* Of times: 64 to an octave. */
	TIMES = 2048,
	/* Of errors: the same, and behind it the same of negative ones. */
	ERRORS = 2 * TIMES,
	SAMPLES = 4096,
	/* The longest frame: IPv6 with a MAC. */
	FRAME_LEN = 130,
};

/* A reply as it came. */
struct sample {
	u32 length;
	u8 frame[132];
};

#endif
