/*
 * The load harness in XDP. `ask` is run on frames that the kernel makes for it (BPF_F_TEST_XDP_LIVE_FRAMES) and sends
 * those that are due; `hear` takes what comes back, at the same interface; `echo` is the least that a responder can do.
 *
 * Frames come back to `ask` as the receiver left them, so each is written from end to end.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>

#include "load.h"

#define SEC(name) __attribute__((section(name), used))
#define __uint(name, val) int(*name)[val]
#define __type(name, val) typeof(val) *name
#define INLINE static inline __attribute__((always_inline))
#define swap16(x) __builtin_bswap16(x)
#define swap32(x) __builtin_bswap32(x)
#define swap64(x) __builtin_bswap64(x)

/* Helpers by their numbers in linux/bpf.h. */
static void *(*const map_lookup)(void *map, const void *key) = (void *)BPF_FUNC_map_lookup_elem;
static u64 (*const ktime_ns)(void) = (void *)BPF_FUNC_ktime_get_ns;
static u32 (*const chance)(void) = (void *)BPF_FUNC_get_prandom_u32;

/* ledger.rs has the same: an odd number, and its inverse modulo 2^64. */
#define MULTIPLIER 0x9e3779b97f4a7c15ULL
#define INVERSE 0xf1de83e19937733dULL

#define ARRAY(name, entries, value_type) \
	struct { \
		__uint(type, BPF_MAP_TYPE_ARRAY); \
		__uint(max_entries, entries); \
		__type(key, u32); \
		__type(value, value_type); \
	} name SEC(".maps")
#define PER_PROCESSOR(name, entries, value_type) \
	struct { \
		__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY); \
		__uint(max_entries, entries); \
		__type(key, u32); \
		__type(value, value_type); \
	} name SEC(".maps")

ARRAY(courses, 1, struct course);
ARRAY(askers, 1, struct asker);
ARRAY(sources, 1, struct address);
ARRAY(requests, 1, struct request);
ARRAY(digests, 1, struct digest);
ARRAY(samples, SAMPLES, struct sample);
PER_PROCESSOR(heard, 1, struct heard);
PER_PROCESSOR(latencies, TIMES, u64);
PER_PROCESSOR(latenesses, TIMES, u64);
PER_PROCESSOR(transmit_errors, ERRORS, u64);
PER_PROCESSOR(residences, ERRORS, u64);
PER_PROCESSOR(seconds, 1, struct second);

struct ntp {
	u8 first;
	u8 stratum;
	signed char poll;
	signed char precision;
	u32 root_delay;
	u32 root_dispersion;
	u32 reference_id;
	u64 reference;
	u64 origin;
	u64 receive;
	u64 transmit;
};

struct mac {
	u32 id;
	u32 digest[4];
};

/* Where everything has its place in a frame of either family. */
enum {
	IP_AT = 14,
	V4_UDP_AT = IP_AT + 20,
	V6_UDP_AT = IP_AT + 40,
	V4_LEN = V4_UDP_AT + 8 + 48,
	V6_LEN = V6_UDP_AT + 8 + 48,
};

INLINE u16 fold(u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (u16)sum;
}

INLINE u64 halves(u64 word)
{
	return (word & 0xffffffff) + (word >> 32);
}

INLINE void count_in(void *map, u32 place)
{
	u64 *count = map_lookup(map, &place);

	if (count)
		*count += 1;
}

INLINE u32 place_of(u64 ns)
{
	u32 octave, place = ns;

	if (ns >= 64) {
		octave = 63 - __builtin_clzll(ns);
		place = (octave - 5) * 64 + (ns >> (octave - 6) & 63);
	}
	return place < TIMES ? place : TIMES - 1;
}

INLINE void note_time(void *map, u64 ns)
{
	count_in(map, place_of(ns));
}

INLINE void note_error(void *map, s64 ns)
{
	count_in(map, ns < 0 ? TIMES + place_of(-(u64)ns) : place_of(ns));
}

/* Takes a request out of those that are waited for; zero: somebody else has. */
INLINE int settle(struct asker *asker, struct request *request, u32 state)
{
	if (__sync_val_compare_and_swap(&request->state, OPEN, state) != OPEN)
		return 0;
	__sync_fetch_and_sub(&asker->in_flight, 1);
	return 1;
}

/* Whether a place of the ring has been waited for as long as is to be; it is given up then. */
INLINE int give_up(const struct course *course, struct asker *asker, struct request *request, u64 now)
{
	return now - request->sent_ns > course->patience_ns && settle(asker, request, GIVEN_UP);
}

/* Whether a request is due, and for which moment; -1: none is. */
INLINE s64 due(const struct course *course, struct asker *asker, u64 now)
{
	u64 elapsed, late, intended, steps;

	if (now < course->start_ns || now >= course->end_ns)
		return -1;
	if (!course->interval)
		return asker->in_flight < course->in_flight ? (s64)now : -1;
	elapsed = (now - course->start_ns) << 16;
	if (elapsed < asker->due)
		return -1;
	late = elapsed - asker->due;
	if (late > course->lateness_max_ns << 16) {
		steps = (late - (course->lateness_max_ns << 16)) / course->interval + 1;
		if (course->start_ns + (asker->due >> 16) >= course->measured_from_ns)
			asker->not_sent += steps;
		asker->due += steps * course->interval;
		if (elapsed < asker->due)
			return -1;
	}
	intended = course->start_ns + (asker->due >> 16);
	return (s64)intended;
}

/* With all that may be in flight on its way: one place of the ring after another, for those that are not any more. */
INLINE void look_for_lost(const struct course *course, struct asker *asker, u64 now)
{
	u32 place = asker->looked_at++ & course->ring_mask;
	struct request *request = map_lookup(&requests, &place);

	if (request && request->state == OPEN)
		give_up(course, asker, request, now);
}

INLINE void note_idle(const struct course *course, struct asker *asker, u64 now)
{
	if (asker->idle_since_ns && now >= course->measured_from_ns && now < course->end_ns)
		asker->idle_ns += now - asker->idle_since_ns;
	asker->idle_since_ns = now;
}

/* UDP's header, NTP's, and the MAC; what the checksum covers before is in `sum`. Zero: there is no room. */
INLINE int write_payload(struct xdp_md *ctx, const struct course *course, struct asker *asker, struct udphdr *udp,
			 struct ntp *ntp, u64 sum, u32 place)
{
	u32 length = course->is_signed ? 8 + 68 : 8 + 48;
	u16 check;
	struct digest *digest;
	struct mac *mac;

	udp->source = swap16(course->first_port + (u16)asker->port);
	udp->len = swap16(length);
	__builtin_memset(ntp, 0, 40);
	ntp->first = course->version << 3 | 3;
	/* Signed requests are as many as there are places: their digests were made before. */
	ntp->transmit = swap64(((2 * (course->is_signed ? place : asker->next)) ^ course->mask) * MULTIPLIER);
	sum += course->udp_sum + udp->source + udp->len + udp->len + ntp->first + halves(ntp->transmit);
	if (course->is_signed) {
		mac = (void *)(ntp + 1);
		digest = map_lookup(&digests, &place);
		if ((void *)(mac + 1) > (void *)(long)ctx->data_end || !digest)
			return 0;
		mac->id = course->key_id;
		sum += mac->id;
#pragma unroll
		for (int at = 0; at < 4; at++) {
			mac->digest[at] = digest->words[at];
			sum += mac->digest[at];
		}
	}
	check = ~fold(sum);
	udp->check = check ? check : 0xffff;
	return 1;
}

INLINE int write_v4(struct xdp_md *ctx, const struct course *course, struct asker *asker,
		    const struct address *source, u32 place)
{
	void *frame = (void *)(long)ctx->data;
	struct iphdr *ip = frame + IP_AT;
	struct udphdr *udp = frame + V4_UDP_AT;
	u16 length = course->is_signed ? 20 + 8 + 68 : 20 + 8 + 48;

	if (frame + V4_LEN > (void *)(long)ctx->data_end)
		return 0;
	__builtin_memcpy(frame, course->head, 14 + 20 + 8);
	ip->saddr = source->words[0];
	ip->tot_len = swap16(length);
	ip->check = ~fold(course->ip_sum + source->words[0] + ip->tot_len);
	return write_payload(ctx, course, asker, udp, (struct ntp *)(udp + 1), source->words[0], place);
}

INLINE int write_v6(struct xdp_md *ctx, const struct course *course, struct asker *asker,
		    const struct address *source, u32 place)
{
	void *frame = (void *)(long)ctx->data;
	struct ipv6hdr *ip = frame + IP_AT;
	struct udphdr *udp = frame + V6_UDP_AT;
	u16 length = course->is_signed ? 8 + 68 : 8 + 48;
	u64 sum = 0;

	if (frame + V6_LEN > (void *)(long)ctx->data_end)
		return 0;
	__builtin_memcpy(frame, course->head, 14 + 40 + 8);
	__builtin_memcpy(&ip->saddr, source, 16);
	ip->payload_len = swap16(length);
#pragma unroll
	for (int at = 0; at < 4; at++)
		sum += source->words[at];
	return write_payload(ctx, course, asker, udp, (struct ntp *)(udp + 1), sum, place);
}

SEC("xdp")
int ask(struct xdp_md *ctx)
{
	u32 zero = 0, place, at, second;
	const struct course *course = map_lookup(&courses, &zero);
	struct asker *asker = map_lookup(&askers, &zero);
	struct request *request;
	struct address *source;
	struct second *series;
	u64 now = ktime_ns();
	s64 intended;

	if (!course || !asker)
		return XDP_ABORTED;
	intended = due(course, asker, now);
	place = asker->next & course->ring_mask;
	request = map_lookup(&requests, &place);
	at = asker->source;
	source = map_lookup(&sources, &at);
	if (intended < 0 || !request || !source) {
		if (!course->interval)
			look_for_lost(course, asker, now);
		note_idle(course, asker, now);
		return XDP_DROP;
	}
	/* Its place is taken by one that is still waited for: the next frame tries the next place. */
	if (request->state == OPEN && !give_up(course, asker, request, now)) {
		asker->next++;
		return XDP_DROP;
	}
	if (!(course->is_v6 ? write_v6(ctx, course, asker, source, place)
			    : write_v4(ctx, course, asker, source, place)))
		return XDP_ABORTED;
	asker->idle_since_ns = 0;
	asker->due += course->interval;
	asker->source = asker->source + 1 < course->sources ? asker->source + 1 : 0;
	asker->port = asker->port + 1 < course->ports ? asker->port + 1 : 0;
	request->number = asker->next++;
	request->intended_ns = intended;
	request->sent_ns = now;
	request->state = OPEN;
	request->is_measured = (u64)intended >= course->measured_from_ns;
	__sync_fetch_and_add(&asker->in_flight, 1);
	if (request->is_measured) {
		asker->sent++;
		note_time(&latenesses, now - intended);
		second = (u64)(intended - course->measured_from_ns) / 1000000000;
		series = map_lookup(&seconds, &second);
		if (series)
			series->sent++;
	}
	return XDP_TX;
}

/* Nanoseconds since 1970. */
INLINE s64 unix_ns(u64 timestamp)
{
	return (s64)((timestamp >> 32) - 2208988800ULL) * 1000000000 +
	       (s64)((timestamp & 0xffffffff) * 1000000000 >> 32);
}

INLINE enum verdict judge(const struct course *course, const struct ntp *ntp, u32 length)
{
	if ((ntp->first & 7) != 4)
		return BAD_MODE;
	if ((ntp->first >> 3 & 7) != course->version)
		return BAD_VERSION;
	if (length != (course->is_signed ? 68 : 48))
		return BAD_LENGTH;
	if (ntp->stratum == 0) {
		if (ntp->reference_id == swap32(0x52415445)) /* RATE */
			return KISS_RATE;
		return ntp->reference_id ? KISS_OTHER : UNSYNCHRONISED;
	}
	if (ntp->first >> 6 == 3)
		return UNSYNCHRONISED;
	return ntp->stratum > 15 ? BAD_STRATUM : GOOD;
}

/* A reply: whose it is, and what it says. */
INLINE int take(struct xdp_md *ctx, const struct course *course, const struct ntp *ntp, u32 length)
{
	u32 zero = 0, place, second;
	struct heard *counts = map_lookup(&heard, &zero);
	struct asker *asker = map_lookup(&askers, &zero);
	struct request *request;
	struct sample *sample;
	struct second *series;
	enum verdict verdict;
	u64 now = ktime_ns(), name, number, latency;
	u32 luck;
	s64 sent;

	if (!counts || !asker)
		return XDP_DROP;
	name = swap64(ntp->origin) * INVERSE ^ course->mask;
	number = name / 2;
	place = number & course->ring_mask;
	request = map_lookup(&requests, &place);
	if (!request || request->state == FREE || name & 1 ||
	    (course->is_signed ? number > course->ring_mask : request->number != number)) {
		counts->verdicts[STALE]++;
		return XDP_DROP;
	}
	if (request->state == ANSWERED) {
		counts->verdicts[DUPLICATE] += request->is_measured;
		return XDP_DROP;
	}
	if (request->state == GIVEN_UP || now - request->sent_ns > course->patience_ns) {
		counts->verdicts[LATE] += request->is_measured;
		return XDP_DROP;
	}
	if (!settle(asker, request, ANSWERED)) {
		counts->verdicts[DUPLICATE] += request->is_measured;
		return XDP_DROP;
	}
	if (!request->is_measured)
		return XDP_DROP;
	verdict = judge(course, ntp, length);
	counts->verdicts[verdict]++;
	second = (request->intended_ns - course->measured_from_ns) / 1000000000;
	series = map_lookup(&seconds, &second);
	if (series)
		series->answered++;
	if (verdict != GOOD)
		return XDP_DROP;
	latency = now - request->intended_ns;
	note_time(&latencies, latency);
	/* By chance: one in so many by turns would always meet the same of a server's workers. */
	luck = chance();
	/* An echo has no timestamps of its own. With so many in flight, what counts is how many: few are looked at. */
	if (ntp->receive && (course->interval || luck % 16 == 0)) {
		sent = unix_ns(swap64(ntp->transmit));
		note_error(&transmit_errors, (s64)now + course->utc_ahead_ns - sent);
		note_error(&residences, sent - unix_ns(swap64(ntp->receive)));
	}
	if (series) {
		series->good++;
		series->latency_sum_ns += latency;
		if (latency > series->latency_max_ns)
			series->latency_max_ns = latency;
	}
	if ((u64)luck * course->sample_every >> 32 == 0) {
		place = __sync_fetch_and_add(&asker->samples, 1) % SAMPLES;
		sample = map_lookup(&samples, &place);
		if (sample) {
			u8 *from = (void *)(long)ctx->data;
			u32 frame_length = (course->is_v6 ? 62 : 42) + (course->is_signed ? 68 : 48);

			sample->length = frame_length;
			for (u32 byte = 0; byte < FRAME_LEN && byte < frame_length; byte++) {
				if ((void *)(from + byte + 1) > (void *)(long)ctx->data_end)
					break;
				sample->frame[byte] = from[byte];
			}
		}
	}
	return XDP_DROP;
}

SEC("xdp")
int hear(struct xdp_md *ctx)
{
	u32 zero = 0, same = 1;
	const struct course *course = map_lookup(&courses, &zero);
	void *frame = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = frame;
	struct iphdr *v4 = frame + IP_AT;
	struct ipv6hdr *v6 = frame + IP_AT;
	struct udphdr *udp = frame + V4_UDP_AT;
	u16 port;

	if (!course || frame + V4_LEN > end)
		return XDP_PASS;
	if (!course->is_v6) {
		if (eth->h_proto != swap16(ETH_P_IP) || v4->ihl != 5 || v4->protocol != IPPROTO_UDP ||
		    v4->saddr != course->target.words[0] || udp->source != course->target_port)
			return XDP_PASS;
	} else {
		udp = frame + V6_UDP_AT;
		if (frame + V6_LEN > end || eth->h_proto != swap16(ETH_P_IPV6) || v6->nexthdr != IPPROTO_UDP)
			return XDP_PASS;
#pragma unroll
		for (int at = 0; at < 4; at++)
			same &= v6->saddr.in6_u.u6_addr32[at] == course->target.words[at];
		if (!same || udp->source != course->target_port)
			return XDP_PASS;
	}
	port = swap16(udp->dest) - course->first_port;
	if (port >= course->ports)
		return XDP_PASS;
	return take(ctx, course, (struct ntp *)(udp + 1), swap16(udp->len) - 8);
}

/* The way back, and the fewest fields that make a reply. */
INLINE int answer(struct ethhdr *eth, struct udphdr *udp, struct ntp *ntp)
{
	u16 *from = (u16 *)eth->h_source, *to = (u16 *)eth->h_dest, part, before = *(u16 *)ntp;
	u64 sum = (u16)~udp->check;

	if (udp->dest != swap16(123) || (ntp->first & 7) != 3)
		return XDP_PASS;
#pragma unroll
	for (int at = 0; at < 3; at++) {
		part = from[at];
		from[at] = to[at];
		to[at] = part;
	}
	part = udp->source;
	udp->source = udp->dest;
	udp->dest = part;
	ntp->first += 1;
	ntp->stratum = 1;
	ntp->origin = ntp->transmit;
	sum += *(u16 *)ntp + (u16)~before + halves(ntp->origin);
	udp->check = ~fold(sum);
	return XDP_TX;
}

SEC("xdp")
int echo(struct xdp_md *ctx)
{
	void *frame = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = frame;
	struct iphdr *v4 = frame + IP_AT;
	struct ipv6hdr *v6 = frame + IP_AT;
	struct udphdr *udp = frame + V4_UDP_AT;

	if (frame + V4_LEN > end)
		return XDP_PASS;
	if (eth->h_proto == swap16(ETH_P_IP) && v4->ihl == 5 && v4->protocol == IPPROTO_UDP) {
		u32 from = v4->saddr;

		if (answer(eth, udp, (struct ntp *)(udp + 1)) != XDP_TX)
			return XDP_PASS;
		v4->saddr = v4->daddr;
		v4->daddr = from;
		return XDP_TX;
	}
	if (frame + V6_LEN <= end && eth->h_proto == swap16(ETH_P_IPV6) && v6->nexthdr == IPPROTO_UDP) {
		struct in6_addr from = v6->saddr;

		udp = frame + V6_UDP_AT;
		if (answer(eth, udp, (struct ntp *)(udp + 1)) != XDP_TX)
			return XDP_PASS;
		v6->saddr = v6->daddr;
		v6->daddr = from;
		return XDP_TX;
	}
	return XDP_PASS;
}

char terms[] SEC("license") = "Dual MIT/GPL";
