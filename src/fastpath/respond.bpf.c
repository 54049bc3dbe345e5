/*
 * Answers requests for the time where they arrive, before a socket exists.
 *
 * What it can decide it decides as the responder behind the sockets does (src/server/responder.rs); everything else goes
 * up untouched. It never allocates, and never loops but over the words of a header.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>

#include "respond.h"

#define SEC(name) __attribute__((section(name), used))
#define __uint(name, val) int(*name)[val]
#define __type(name, val) typeof(val) *name
#define INLINE static inline __attribute__((always_inline))
#define swap16(x) __builtin_bswap16(x)
#define swap32(x) __builtin_bswap32(x)
#define swap64(x) __builtin_bswap64(x)

/* Helpers by their numbers in linux/bpf.h. */
static void *(*const map_lookup)(void *map, const void *key) = (void *)BPF_FUNC_map_lookup_elem;

static long (*const map_update)(void *map, const void *key, const void *value,
				u64 flags) = (void *)BPF_FUNC_map_update_elem;
static u64 (*const ktime_ns)(void) = (void *)BPF_FUNC_ktime_get_ns;
static u64 (*const ktime_tai_ns)(void) = (void *)BPF_FUNC_ktime_get_tai_ns;
static u32 (*const seed)(void) = (void *)BPF_FUNC_get_prandom_u32;
static long (*const dynptr_from_mem)(void *data, u32 size, u64 flags,
				     struct bpf_dynptr *dynptr) = (void *)BPF_FUNC_dynptr_from_mem;
static void *(*const kptr_exchange)(void *place, void *kptr) = (void *)BPF_FUNC_kptr_xchg;

/* The kernel's ciphers, from 6.10 on (kernel/bpf/crypto.c). */
struct bpf_crypto_ctx {
	const void *type;
} __attribute__((preserve_access_index));

struct bpf_crypto_params {
	char type[14];
	u8 reserved[2];
	char algo[128];
	u8 key[256];
	u32 key_len;
	u32 authsize;
} __attribute__((preserve_access_index));

extern struct bpf_crypto_ctx *bpf_crypto_ctx_create(const struct bpf_crypto_params *params, u32 params__sz,
						    int *err) SEC(".ksyms") __attribute__((weak));
extern void bpf_crypto_ctx_release(struct bpf_crypto_ctx *ctx) SEC(".ksyms") __attribute__((weak));
extern int bpf_crypto_encrypt(struct bpf_crypto_ctx *ctx, const struct bpf_dynptr *src,
			      const struct bpf_dynptr *dst,
			      const struct bpf_dynptr *siv) SEC(".ksyms") __attribute__((weak));

/* Set before the program is loaded. */
const volatile struct options options = { .hash_seed = { 1, 2 }, .signs = 1 };

/* A key: the cipher, and what is added to a message's last block (RFC 4493's K1). */
struct key {
	struct bpf_crypto_ctx __attribute__((btf_type_tag("kptr"))) *cipher;
	u64 subkey[2];
	/* Where its uses are counted. */
	u32 slot;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct key_name);
	__type(value, struct key);
} keys SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 4096);
	__type(key, u32);
	__type(value, struct key_use);
} uses SEC(".maps");

/* A message on its way through the cipher. */
struct scratch {
	u64 text[6];
	u64 iv[2];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, RECORDS);
	__type(key, u32);
	__type(value, struct record);
} records SEC(".maps");

/* Which record is in force: a map of its own, whose only value this is. */
volatile u32 current SEC(".data.current") = 0;

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct counts);
} counters SEC(".maps");

/* Addresses at which we serve. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, struct address);
	__type(value, u8);
} served SEC(".maps");

/* `allow`, `deny`, `requireauth`: the longest prefix counts. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct prefix);
	__type(value, u8);
} access SEC(".maps");

/* Of a kind that begins on a page, for the sake of the lines of the cache: a set is three of them. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, u32);
	__type(value, struct client_set);
} clients SEC(".maps");

/*
 * NTP's header (RFC 5905 figure 8). In a frame it lies at an odd multiple of two bytes: where the kernel has the program
 * verified for a processor that minds, it is refused, and those are old.
 */
struct ntp {
	/* Leap, version, mode; stratum, poll, precision; root delay. */
	u64 first;
	/* Root dispersion, reference id. */
	u64 root;
	u64 reference;
	u64 origin;
	u64 receive;
	u64 transmit;
};

/* Behind it: a key's number and the digest. */
struct mac {
	u32 id;
	u64 digest[2];
} __attribute__((packed, aligned(4)));

/* A frame taken apart. */
struct request {
	struct ethhdr *eth;
	/* Of IPv4 or IPv6. */
	void *ip;
	struct udphdr *udp;
	struct ntp *ntp;
	struct address from;
	struct address to;
	/* Of the payload, in bytes. */
	u32 length;
	u32 is_v6;
};

/* To the sockets, unless more goes there than they can take. */
INLINE int pass(struct counts *counts, const struct record *record, enum passed why, u64 now)
{
	u64 full_at = counts->passed_full_at_ns > now ? counts->passed_full_at_ns : now;

	if (record->passed_interval_ns) {
		if (full_at - now > record->passed_tolerance_ns) {
			counts->shed++;
			return XDP_DROP;
		}
		counts->passed_full_at_ns = full_at + record->passed_interval_ns;
	}
	counts->passed[why]++;
	return XDP_PASS;
}

INLINE int drop(struct counts *counts, enum outcome why)
{
	counts->outcomes[why]++;
	return XDP_DROP;
}

/* What a step of the clock is at the least; more than lies between two readings of it. */
#define STEP_NS 1000000ULL

INLINE u16 fold(u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (u16)sum;
}

/* Whether a sum is what that of a datagram with its checksum must be: a multiple of 65535, told by the inverse of that. */
INLINE int is_right(u64 sum)
{
	return sum * 0xfffefffefffeffff <= 0x0001000100010001;
}

/* Nanoseconds in units of 2^-32 s; up to 16 s. */
INLINE u64 fraction(u64 ns)
{
	return ns * 1152921505 >> 28;
}

/* The same of less than nothing, too; up to 8 s. */
INLINE s64 fraction_of(s64 ns)
{
	return ns * 1152921505 >> 28;
}

/* Served time, so long after the record's base: a line. */
INLINE u64 served_at(const struct record *record, s64 elapsed)
{
	return record->served + elapsed + (elapsed * record->slope >> 32);
}

/* Chance that nobody need not foresee: the upper half of a linear congruence (Knuth's). */
INLINE u32 chance(struct counts *counts)
{
	u64 state = counts->chance;

	if (!state)
		state = (u64)seed() << 32 | 1;
	state = state * 6364136223846793005 + 1442695040888963407;
	counts->chance = state;
	return state >> 32;
}

/* Chance in the bits below the clock's precision; neither zero nor what the client has sent. */
INLINE u64 fuzzed(u64 exact, u64 fuzz, u64 bit_0, u64 origin)
{
	u64 bits = ((exact ^ fuzz) & ~1ULL) | bit_0;

	return bits == origin || bits == 0 ? bits ^ 2 : bits;
}

/* One in 2^log2. */
INLINE int one_in(struct counts *counts, u8 log2)
{
	return log2 == 0 || chance(counts) >> (32 - (log2 & 31)) == 0;
}

enum shape {
	/* Not ours, or with options, fragments, extension headers: the stack knows what to do with it. */
	FOREIGN,
	/* For our port, but nothing that is answered here. */
	ODD,
	WHOLE,
};

/* Takes a frame apart as far as NTP. */
INLINE enum shape parse(struct xdp_md *ctx, const struct record *record, struct request *request)
{
	void *end = (void *)(long)ctx->data_end;
	void *at = (void *)(long)ctx->data;
	u16 protocol;

	request->eth = at;
	at += sizeof(struct ethhdr);
	if (at > end)
		return FOREIGN;
	protocol = request->eth->h_proto;
#pragma unroll
	for (int tag = 0; tag < 2; tag++) {
		u16 *vlan = at;

		if (protocol != swap16(ETH_P_8021Q) && protocol != swap16(ETH_P_8021AD))
			break;
		at += 4;
		if (at > end)
			return FOREIGN;
		protocol = vlan[1];
	}
	if (protocol == swap16(ETH_P_IP)) {
		struct iphdr *ip = at;

		at += sizeof(*ip);
		if (at > end || ip->version != 4 || ip->ihl != 5 || ip->protocol != IPPROTO_UDP)
			return FOREIGN;
		/* Fragments: an offset, or more to come. */
		if (ip->frag_off & swap16(0x3fff))
			return FOREIGN;
		request->ip = ip;
		request->is_v6 = 0;
		request->length = swap16(ip->tot_len) - sizeof(*ip);
	} else if (protocol == swap16(ETH_P_IPV6)) {
		struct ipv6hdr *ip = at;

		at += sizeof(*ip);
		if (at > end || ip->version != 6 || ip->nexthdr != IPPROTO_UDP)
			return FOREIGN;
		request->ip = ip;
		request->is_v6 = 1;
		request->length = swap16(ip->payload_len);
	} else {
		return FOREIGN;
	}
	request->udp = at;
	at += sizeof(struct udphdr);
	if (at > end || request->udp->dest != record->port)
		return FOREIGN;
	if (swap16(request->udp->len) != request->length || request->length < 8 + 48)
		return ODD;
	request->length -= 8;
	request->ntp = at;
	at += sizeof(struct ntp);
	return at <= end ? WHOLE : ODD;
}

/* The sum of so many words of four bytes. */
INLINE u64 sum_words(const void *from, u32 words)
{
	const u32 *word = from;
	u64 sum = 0;

#pragma unroll
	for (u32 at = 0; at < words; at++)
		sum += word[at];
	return sum;
}

/* What of a datagram's checksum covers neither the checksum itself nor the payload: the same for request and reply. */
INLINE u64 outer_sum(const struct request *request)
{
	const u32 *ports = (const void *)request->udp;
	u64 sum = request->is_v6 ? sum_words(&((struct ipv6hdr *)request->ip)->saddr, 8)
				 : sum_words(&((struct iphdr *)request->ip)->saddr, 2);

	return sum + swap32(IPPROTO_UDP) + *ports + 2 * (u64)request->udp->len;
}

/* The sum of header and MAC. */
INLINE u64 payload_sum(const struct ntp *ntp, const struct mac *mac)
{
	u64 sum = sum_words(ntp, 12);

	return mac ? sum + sum_words(mac, 5) : sum;
}

/* log2 of nanoseconds in steps of 1/256 of a second's octave, as the sockets' table of clients has it. */
INLINE short steps_of(u64 ns)
{
	u32 exponent = 63 - __builtin_clzll(ns);

	return (short)(exponent << 8) + (short)((ns << (63 - exponent)) >> 55 & 0xff) - 7654;
}

/* The shortest interval there is. */
#define SHORTEST_NS 31250000

/* The mean of a client's intervals, with the last. */
INLINE short interval_after(short mean, u64 elapsed_ns)
{
	short latest = elapsed_ns <= SHORTEST_NS ? steps_of(SHORTEST_NS) : steps_of(elapsed_ns);

	if (mean == 32767)
		return latest;
	/* A quarter of the way, rounded towards where it was. */
	return latest < mean ? mean - ((u32)(mean - latest) >> 2) : mean + ((u32)(latest - mean) >> 2);
}

enum verdict { ANSWER, KISS_OF_DEATH, SILENCE };

/* Where a client is remembered; layout.rs has the same. Nobody outside knows the seed, so nobody can aim at one set. */
INLINE u32 set_of(const struct address *address)
{
	u64 hash = (address->words[0] ^ options.hash_seed[0]) * 0x9e3779b97f4a7c15;

	hash = (hash ^ hash >> 32 ^ address->words[1] ^ options.hash_seed[1]) * 0xd6e8feb86659fd93;
	/* The last bytes of an address are the uppermost here: they must come down once. */
	hash = (hash ^ hash >> 32) * 0x9e3779b97f4a7c15;
	return (hash >> 32) & options.sets_mask;
}

INLINE struct client_set *set_of_client(const struct address *from)
{
	u32 place = set_of(from);

	return map_lookup(&clients, &place);
}

/* A client's place in its set; WAYS: it is not there. */
INLINE u32 way_of(const struct client_set *set, const struct address *from)
{
#pragma unroll
	for (u32 way = 0; way < WAYS; way++) {
		const struct client *client = &set->ways[way];

		if (!((client->address.words[1] ^ from->words[1]) | (client->address.words[0] ^ from->words[0])))
			return way;
	}
	return WAYS;
}

/* The place of the one that was silent the longest, for another. */
INLINE u32 way_for(struct client_set *set, const struct address *from)
{
	struct client *client;
	u32 oldest = 0;

#pragma unroll
	for (u32 way = 1; way < WAYS; way++)
		if (set->ways[way].last_hit_ns < set->ways[oldest & (WAYS - 1)].last_hit_ns)
			oldest = way;
	client = &set->ways[oldest & (WAYS - 1)];
	client->address = *from;
	client->last_hit_ns = client->full_at_ns = 0;
	client->hits = client->drops = 0;
	client->interval = client->interval_unanswered = 32767;
	client->may = ANSWERED_LAST;
	client->rights = 0;
	return oldest;
}

/* `ratelimit`: a bucket for each client, kept as the moment at which it is full (src/server/ratelimit.rs). */
INLINE enum verdict admit(struct counts *counts, const struct record *record, struct client *client, u64 now)
{
	u64 full_at;
	int leaks, impatient;

	if (client->last_hit_ns) {
		u64 elapsed = now - client->last_hit_ns;

		if (client->may & ANSWERED_LAST)
			client->interval = interval_after(client->interval, elapsed);
		else
			client->interval_unanswered = interval_after(client->interval_unanswered, elapsed);
	}
	client->last_hit_ns = now;
	if (client->hits != ~0U)
		client->hits++;
	if (!record->interval_ns)
		return ANSWER;
	full_at = client->full_at_ns > now ? client->full_at_ns : now;
	client->may |= ANSWERED_LAST;
	if (full_at - now <= record->tolerance_ns) {
		client->full_at_ns = full_at + record->interval_ns;
		return ANSWER;
	}
	impatient = client->interval_unanswered < client->interval - 256;
	leaks = one_in(counts, record->leak_log2) != impatient;
	if (leaks)
		return ANSWER;
	client->may &= ~ANSWERED_LAST;
	if (client->drops != ~0U)
		client->drops++;
	return record->kod_log2 && one_in(counts, record->kod_log2) ? KISS_OF_DEATH : SILENCE;
}

/*
 * AES-CMAC of a header (RFC 4493): the last block of its CBC encryption, where K1 was added to the last block of the
 * text. What the first blocks come to is kept: requests of one kind have the same, those of simple clients in the second
 * too; and so have replies in the first, until the root dispersion has grown. Zero: it could not be made.
 */
INLINE int digest(struct key *key, struct blocks *known, const struct ntp *ntp, u64 mac[2])
{
	u32 zero = 0;
	struct scratch *scratch = map_lookup(&scratches, &zero);
	struct bpf_crypto_ctx *cipher = key->cipher;
	struct bpf_dynptr text, iv;
	u64 *words, plain[4];

	if (!scratch || !cipher)
		return 0;
	words = scratch->text;
	__builtin_memcpy(words, ntp, sizeof(*ntp));
	words[4] ^= key->subkey[0];
	words[5] ^= key->subkey[1];
	__builtin_memcpy(plain, words, sizeof(plain));
	dynptr_from_mem(scratch->iv, sizeof(scratch->iv), 0, &iv);
	if (plain[0] != known->text[0] || plain[1] != known->text[1]) {
		scratch->iv[0] = scratch->iv[1] = 0;
		dynptr_from_mem(words, 48, 0, &text);
		if (bpf_crypto_encrypt(cipher, &text, &text, &iv))
			return 0;
		__builtin_memcpy(known->text, plain, sizeof(plain));
		__builtin_memcpy(known->cipher, words, sizeof(plain));
	} else if (plain[2] != known->text[2] || plain[3] != known->text[3]) {
		__builtin_memcpy(scratch->iv, known->cipher, 16);
		dynptr_from_mem(words + 2, 32, 0, &text);
		if (bpf_crypto_encrypt(cipher, &text, &text, &iv))
			return 0;
		__builtin_memcpy(known->text + 2, plain + 2, 16);
		__builtin_memcpy(known->cipher + 2, words + 2, 16);
	} else {
		__builtin_memcpy(scratch->iv, known->cipher + 2, 16);
		dynptr_from_mem(words + 4, 16, 0, &text);
		if (bpf_crypto_encrypt(cipher, &text, &text, &iv))
			return 0;
	}
	mac[0] = words[4];
	mac[1] = words[5];
	return 1;
}

/* The way back: addresses and ports change places. */
INLINE void turn(struct request *request, const struct record *record)
{
	u64 *macs = (void *)request->eth, first = macs[0];
	u32 *rest = (void *)(macs + 1), second = *rest, *ports = (void *)request->udp;

	macs[0] = first >> 48 | (u64)second << 16 | first << 48;
	*rest = first >> 16;
	*ports = *ports >> 16 | *ports << 16;
	if (!request->is_v6) {
		u32 *words = request->ip, from = words[3], to = words[4];
		/* As the kernel's own: not to be fragmented, so without a number. */
		u32 flags = swap32(0x4000), hops = 64 | IPPROTO_UDP << 8;
		u32 head = (words[0] & 0xffff00ff) | (u32)record->dscp << 10;

		words[0] = head;
		words[1] = flags;
		words[2] = hops | (u32)(u16)~fold((u64)head + flags + hops + from + to) << 16;
		words[3] = to;
		words[4] = from;
	} else {
		struct ipv6hdr *ip = request->ip;
		struct in6_addr from = ip->saddr;

		ip->saddr = ip->daddr;
		ip->daddr = from;
		/* Version, traffic class, no flow. */
		*(u32 *)ip = swap32(6U << 28 | (u32)record->dscp << 22);
		ip->hop_limit = 64;
	}
}

INLINE const struct record *current_record(void)
{
	u32 which = current;

	return map_lookup(&records, &which);
}

/* The key with this number; none where its cipher is missing. */
INLINE struct key *find_key(const struct record *record, u32 id)
{
	struct key_name name = { .id = id, .generation = record->generation };

	return map_lookup(&keys, &name);
}

INLINE struct key_use *use_of(const struct key *key)
{
	u32 slot = key->slot;

	return map_lookup(&uses, &slot);
}

/* An answer has taken so long; the next are expected to, with the eighth part of the difference. */
INLINE void note_residence(struct counts *counts, u32 is_signed, u64 ns)
{
	u32 octave = ns >> SHORTEST_LOG2 ? 64 - SHORTEST_LOG2 - __builtin_clzll(ns) : 0;
	u64 *takes_ns = &counts->takes_ns[is_signed & 1];

	counts->residence[octave < OCTAVES ? octave : OCTAVES - 1]++;
	counts->residence_sum_ns += ns;
	/* A run that was interrupted tells nothing of the others. */
	if (!*takes_ns)
		*takes_ns = ns;
	else if (ns < 4 * *takes_ns)
		*takes_ns += ((s64)(ns - *takes_ns)) >> 3;
	else
		*takes_ns += *takes_ns >> 6;
}

/* Makes the reply of the request, with its arrival so long after the record's base, and its departure as long again. */
INLINE void make_reply(const struct record *record, struct ntp *ntp, s64 elapsed, s64 takes, u32 fuzz, int kiss)
{
	const struct ntp *reply = (const void *)record->header;
	u64 version = ntp->first & 0x38, mode = (ntp->first & 7) == 1 ? 2 : 4, first = reply->first;
	u64 origin = swap64(ntp->transmit), arrival = served_at(record, elapsed);
	signed char poll = ntp->first >> 16;
	s64 dispersion = record->root_dispersion;
	u32 reference_id = reply->root >> 32;

	if (poll < record->poll_min)
		poll = record->poll_min;
	if (__builtin_expect(kiss, 0)) {
		/* No leap is known, no stratum. */
		first = (first & ~0xff00ULL) | 0xc0;
		reference_id = swap32(0x52415445); /* RATE */
	}
	dispersion += elapsed * record->dispersion_rate >> 32;
	ntp->first = (first & ~0xff003fULL) | version | mode | (u64)(u8)poll << 16;
	ntp->root = swap32((u32)((u64)(dispersion + 0xffff) >> 16)) | (u64)reference_id << 32;
	ntp->reference = reply->reference;
	ntp->origin = ntp->transmit;
	ntp->receive = swap64(fuzzed(arrival, fuzz & record->fuzz_mask, 1, origin));
	fuzz = fuzz >> 16 | fuzz << 16;
	ntp->transmit = swap64(fuzzed(arrival + takes, fuzz & record->fuzz_mask, 0, origin));
}

/* Who asks, and whom. */
INLINE void read_addresses(struct request *request)
{
	if (request->is_v6) {
		struct ipv6hdr *ip = request->ip;

		__builtin_memcpy(&request->from, &ip->saddr, 16);
		__builtin_memcpy(&request->to, &ip->daddr, 16);
	} else {
		struct iphdr *ip = request->ip;
		const u64 mapped = 0xffffULL << 32;

		request->from.words[0] = request->to.words[0] = 0;
		request->from.words[1] = swap64(mapped | swap32(ip->saddr));
		request->to.words[1] = swap64(mapped | swap32(ip->daddr));
	}
}

/* An IPv4 address in an IPv6 packet, or none: the stack refuses those. */
INLINE int is_forged(const struct request *request)
{
	const u64 *from = request->from.words;

	return request->is_v6 && !from[0] && ((u32)from[1] == swap32(0xffff) || !from[1]);
}

/* Whether it is of a kind that is answered here: the sockets remember what an interleaved one may be about. */
INLINE int is_plain(const struct request *request)
{
	const struct ntp *ntp = request->ntp;
	u8 version = ntp->first >> 3 & 7, mode = ntp->first & 7;

	if ((request->length != 48 && request->length != 68) || version < 1 || version > 4 || (mode != 3 && mode != 1))
		return 0;
	return version != 4 || !(swap64(ntp->origin) & 1) || ntp->receive == ntp->transmit;
}

/* Whether we serve at the address that is asked: mostly the one before. */
INLINE int is_served(struct counts *counts, const struct record *record, const struct address *to)
{
	if (counts->addresses == record->addresses && counts->served.words[0] == to->words[0] &&
	    counts->served.words[1] == to->words[1])
		return 1;
	if (!map_lookup(&served, to))
		return 0;
	counts->served = *to;
	counts->addresses = record->addresses;
	return 1;
}

/* Whether this is a request to be looked at more closely. */
INLINE u32 looks(struct counts *counts, u64 now)
{
	if (counts->turn++ % SAMPLE && now - counts->looked_at_ns < LOOK_NS)
		return 0;
	counts->looked_at_ns = now;
	return 1;
}

/*
 * Whether the record is what the timekeeper would say now: it is not too old, and nobody has set the system clock, or its
 * distance to TAI, since. The second is looked at now and then.
 */
INLINE int is_true(struct counts *counts, const struct record *record, u64 now, u32 sampled)
{
	if (now > record->valid_until_ns || record->base_ns == counts->distrusted_ns)
		return 0;
	if (sampled && ktime_tai_ns() - now - record->tai_ahead_ns + STEP_NS > 2 * STEP_NS) {
		counts->distrusted_ns = record->base_ns;
		return 0;
	}
	return 1;
}

/* What the one who asks may, by the longest prefix. */
INLINE u8 rights(const struct request *request)
{
	struct prefix prefix = { .length = 128 };
	u8 *may;

	__builtin_memcpy(prefix.address, &request->from, 16);
	may = map_lookup(&access, &prefix);
	return may ? *may : 0;
}

SEC("xdp")
int respond(struct xdp_md *ctx)
{
	const struct record *record = current_record();
	struct request request;
	u32 zero = 0, sampled;
	struct counts *counts = map_lookup(&counters, &zero);
	struct ntp *ntp;
	struct client_set *set = 0;
	struct client *client;
	u32 way = WAYS;
	u8 may, first;
	u64 now, outer;
	s64 takes;
	u16 check;
	enum verdict verdict = ANSWER;
	enum shape shape;
	struct key *key = 0;
	struct key_use *use = 0;
	struct mac *mac = 0;
	u64 expected[2];

	if (!record || !counts)
		return XDP_PASS;
	shape = parse(ctx, record, &request);
	if (shape == FOREIGN)
		return XDP_PASS;
	read_addresses(&request);
	if (record->has_clients) {
		set = set_of_client(&request.from);
		if (!set)
			return XDP_PASS;
		/* It is mostly far away. Nothing waits for a write: the line is on its way while the clock is read. */
		set->ways[0].fetched = 1;
	}
	now = ktime_ns();
	sampled = looks(counts, now);
	if (!is_true(counts, record, now, sampled))
		return pass(counts, record, STALE, now);
	if (shape == ODD || !is_plain(&request))
		return pass(counts, record, FOR_SOCKETS, now);
	ntp = request.ntp;
	if (is_forged(&request) || !is_served(counts, record, &request.to)) {
		counts->passed[OTHER_ADDRESS]++;
		return XDP_PASS;
	}
	first = ntp->first;
	if (request.length == 68) {
		mac = (void *)(ntp + 1);
		if ((void *)(mac + 1) > (void *)(long)ctx->data_end)
			return pass(counts, record, FOR_SOCKETS, now);
		/* A domain member of Windows asks so; the sockets tell. */
		if (!options.signs || ((first >> 3 & 7) == 3 && !mac->digest[0] && !mac->digest[1]))
			return pass(counts, record, FOR_SOCKETS, now);
		key = find_key(record, swap32(mac->id));
		if (!key || !key->cipher)
			return pass(counts, record, FOR_SOCKETS, now);
		use = use_of(key);
		if (!use)
			return pass(counts, record, FOR_SOCKETS, now);
	}
	outer = outer_sum(&request);
	check = request.udp->check;
	/* IPv4 may do without one. */
	if (check ? !is_right(outer + check + payload_sum(ntp, mac)) : request.is_v6)
		return pass(counts, record, CHECKSUM, now);
	counts->kinds[(first & 0x3f) | (request.is_v6 ? 64 : 0)]++;
	if (set)
		way = way_of(set, &request.from);
	may = record->everybody[request.is_v6 & 1];
	if (!may && set && way < WAYS && set->ways[way].rights == record->rights)
		may = set->ways[way].may & (MAY_ASK | MUST_SIGN);
	else if (!may)
		may = rights(&request);
	if (!(may & MAY_ASK))
		return drop(counts, DENIED);
	if (record->is_silent)
		return drop(counts, UNSYNCHRONISED);
	if (may & MUST_SIGN && !key)
		return drop(counts, AUTH_REQUIRED);
	if (set) {
		if (way >= WAYS)
			way = way_for(set, &request.from);
		client = &set->ways[way & (WAYS - 1)];
		client->may = (client->may & ANSWERED_LAST) | may;
		client->rights = record->rights;
		verdict = admit(counts, record, client, now);
		if (verdict == SILENCE)
			return drop(counts, RATE_LIMITED);
	}
	if (use) {
		if (!digest(key, &use->asked, ntp, expected))
			return pass(counts, record, FOR_SOCKETS, now);
		if ((expected[0] ^ mac->digest[0]) | (expected[1] ^ mac->digest[1]))
			return drop(counts, BAD_MAC);
		use->count++;
	}
	/*
	 * What the driver does afterwards takes as long again as this: where caches are cold, for both. In so little
	 * time, by how much the two clocks differ in speed does not matter.
	 */
	takes = fraction_of(2 * (s64)counts->takes_ns[use ? 1 : 0] + record->departure_ns);
	make_reply(record, ntp, fraction(now - record->base_ns), takes, chance(counts), verdict == KISS_OF_DEATH);
	turn(&request, record);
	if (use) {
		if (!digest(key, &use->replied, ntp, expected))
			return drop(counts, BAD_MAC);
		mac->digest[0] = expected[0];
		mac->digest[1] = expected[1];
	}
	if (check) {
		check = ~fold(outer + payload_sum(ntp, mac));
		request.udp->check = check ? check : 0xffff;
	}
	counts->outcomes[(use ? ANSWERED_SIGNED : ANSWERED) + (verdict == KISS_OF_DEATH ? 2 : 0)]++;
	if (sampled)
		note_residence(counts, use ? 1 : 0, ktime_ns() - now);
	return XDP_TX;
}

/* A key of the generation that will be in force next. */
SEC("syscall")
int make_key(struct new_key *new)
{
	struct bpf_crypto_params params = { .type = "skcipher", .algo = "cbc(aes)" };
	struct key blank = {}, *key;
	struct bpf_crypto_ctx *cipher;
	struct key_name name = new->name;
	int error = 0;

	if (new->length != 16 && new->length != 32)
		return 1;
	params.key_len = new->length;
	__builtin_memcpy(params.key, new->secret, 32);
	cipher = bpf_crypto_ctx_create(&params, sizeof(params), &error);
	new->error = error;
	if (!cipher)
		return 2;
	map_update(&keys, &name, &blank, BPF_NOEXIST);
	key = map_lookup(&keys, &name);
	if (!key) {
		bpf_crypto_ctx_release(cipher);
		return 3;
	}
	key->subkey[0] = new->subkey[0];
	key->subkey[1] = new->subkey[1];
	key->slot = new->slot;
	cipher = kptr_exchange(&key->cipher, cipher);
	if (cipher)
		bpf_crypto_ctx_release(cipher);
	return 0;
}

/* A veth's other end hands frames over only where a program is attached: this one lets all pass. */
SEC("xdp")
int let_pass(struct xdp_md *ctx)
{
	(void)ctx;
	return XDP_PASS;
}

char terms[] SEC("license") = "Dual MIT/GPL";
