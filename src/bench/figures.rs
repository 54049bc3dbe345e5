//! What one thread counts and measures; merged when the step is over.

use std::fmt::Write as _;

use hdrhistogram::Histogram;

use super::mix::Kind;

/// The longest time told apart, in nanoseconds: a minute.
const LONGEST_NS: u64 = 60_000_000_000;
/// A request that leaves so long after its moment, in nanoseconds, is on schedule.
pub(super) const PUNCTUAL_NS: u64 = 50_000;
/// Three digits: within a thousandth.
const DIGITS: u8 = 3;

/// How requests and replies ended. Each request that was sent ends in exactly one of the first group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests handed to the kernel.
    pub sent: u64,
    /// Good replies in time.
    pub good: u64,
    /// No reply in time.
    pub lost: u64,
    /// The first reply has a MAC that is not the key's, or none where one is due.
    pub forged: u64,
    /// … another length than its request.
    pub bad_length: u64,
    /// … a mode that is not a server's.
    pub bad_mode: u64,
    /// … another version than its request.
    pub bad_version: u64,
    /// … a stratum above 15.
    pub bad_stratum: u64,
    /// … says that the server is not synchronised.
    pub unsynchronised: u64,
    /// … is a kiss: RATE.
    pub kiss_rate: u64,
    /// … is another kiss.
    pub kiss_other: u64,
    /// Good replies in interleaved mode; counted in `good` too.
    pub interleaved: u64,
    /// Replies to hostile requests.
    pub hostile_answered: u64,

    /// Further replies to a request that had one.
    pub duplicates: u64,
    /// Replies to requests that were given up.
    pub late: u64,
    /// Replies to nothing that was asked.
    pub stale: u64,
    /// Requests that did not leave in time, and so not at all: the harness's fault.
    pub not_sent: u64,
    /// Requests the kernel refused to send; neither sent nor lost.
    pub send_errors: u64,
    /// Datagrams dropped because the harness's own queues were full; a reply among them counts as lost.
    pub own_drops: u64,
}

impl Counts {
    /// Adds those of another thread.
    pub const fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.good += other.good;
        self.lost += other.lost;
        self.forged += other.forged;
        self.bad_length += other.bad_length;
        self.bad_mode += other.bad_mode;
        self.bad_version += other.bad_version;
        self.bad_stratum += other.bad_stratum;
        self.unsynchronised += other.unsynchronised;
        self.kiss_rate += other.kiss_rate;
        self.kiss_other += other.kiss_other;
        self.interleaved += other.interleaved;
        self.hostile_answered += other.hostile_answered;
        self.duplicates += other.duplicates;
        self.late += other.late;
        self.stale += other.stale;
        self.not_sent += other.not_sent;
        self.send_errors += other.send_errors;
        self.own_drops += other.own_drops;
    }

    /// The kernel refused so many requests that count as sent, and will count as lost.
    pub(super) const fn take_back_refused(&mut self) {
        self.sent = self.sent.saturating_sub(self.send_errors);
        self.lost = self.lost.saturating_sub(self.send_errors);
    }

    /// First replies that were not good.
    pub const fn wrong(&self) -> u64 {
        self.forged + self.bad_length + self.bad_mode + self.bad_version + self.bad_stratum
    }
}

/// A thread's figures. Made before it starts; recording allocates nothing.
pub(super) struct Figures {
    pub(super) counts: Counts,
    /// Sent and answered by kind.
    pub(super) by_kind: [[u64; 2]; Kind::ALL.len()],
    /// From the intended moment to the reply's arrival.
    pub(super) latency: Histogram<u64>,
    /// From the intended moment to the call that sent it.
    pub(super) lateness: Histogram<u64>,
    /// From the server's transmit timestamp to the reply's arrival.
    pub(super) transmit_error: Signed,
    /// The same of interleaved replies, whose transmit timestamp tells of the reply before.
    pub(super) interleaved_error: Signed,
    /// From the kernel's stamp of a request's departure to the server's receive timestamp.
    pub(super) receive_error: Signed,
    /// From the server's receive to its transmit timestamp.
    pub(super) residence: Signed,
    /// Time in which a thread found nothing to send and nothing that had come, in nanoseconds.
    pub(super) idle_ns: u64,
    /// Replies that were looked at in full, checksum and MAC; `None`: each was. What is forged is reckoned from them.
    pub(super) inspected: Option<u64>,
    /// Of what counts as lost, replies with a wrong checksum, as far as they were seen: no network stack takes those.
    pub(super) broken: u64,
    /// Second by second.
    pub(super) series: Box<[Second]>,
}

/// One second of a step, by the intended moment of its requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Second {
    /// Honest requests sent.
    pub sent: u64,
    /// Good replies to them.
    pub good: u64,
    /// Of them without a reply in time.
    pub lost: u64,
    /// Sum of the good replies' latencies, in nanoseconds.
    pub latency_sum_ns: u64,
    /// The longest of them.
    pub latency_max_ns: u64,
}

impl Second {
    const fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.good += other.good;
        self.lost += other.lost;
        self.latency_sum_ns += other.latency_sum_ns;
        if other.latency_max_ns > self.latency_max_ns {
            self.latency_max_ns = other.latency_max_ns;
        }
    }
}

impl Figures {
    /// For a step of so many seconds, the last perhaps not whole.
    pub(super) fn new(seconds: usize) -> Self {
        Self {
            counts: Counts::default(),
            by_kind: [[0; 2]; Kind::ALL.len()],
            latency: histogram(),
            lateness: histogram(),
            transmit_error: Signed::new(),
            interleaved_error: Signed::new(),
            receive_error: Signed::new(),
            residence: Signed::new(),
            idle_ns: 0,
            inspected: None,
            broken: 0,
            series: vec![Second::default(); seconds.max(1)].into(),
        }
    }

    /// The second of a moment of the step, in nanoseconds since the measuring began.
    #[inline]
    pub(super) fn second(&mut self, at_ns: u64) -> &mut Second {
        let last = self.series.len() - 1;
        let second = usize::try_from(at_ns / 1_000_000_000).unwrap_or(last);
        &mut self.series[second.min(last)]
    }

    /// Share of the requests that left within [`PUNCTUAL_NS`] of their moment, of all that were due; one
    /// where there is no schedule.
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
    pub(super) fn punctual(&self) -> f64 {
        let due = self.lateness.len() + self.counts.not_sent;
        if due == 0 {
            return 1.0;
        }
        self.lateness.count_between(0, PUNCTUAL_NS) as f64 / due as f64
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.counts.add(&other.counts);
        for (sum, part) in self
            .by_kind
            .iter_mut()
            .flatten()
            .zip(other.by_kind.iter().flatten())
        {
            *sum += part;
        }
        merge(&mut self.latency, &other.latency);
        merge(&mut self.lateness, &other.lateness);
        self.transmit_error.add(&other.transmit_error);
        self.interleaved_error.add(&other.interleaved_error);
        self.receive_error.add(&other.receive_error);
        self.residence.add(&other.residence);
        self.idle_ns += other.idle_ns;
        self.broken += other.broken;
        self.inspected = match (self.inspected, other.inspected) {
            (Some(one), Some(other)) => Some(one + other),
            (one, other) => one.or(other),
        };
        for (sum, part) in self.series.iter_mut().zip(&other.series) {
            sum.add(part);
        }
    }

    /// Bytes on the heap of one thread's figures.
    pub(super) fn memory_bytes(&self) -> usize {
        // Two histograms, and two for each of the four errors and times that may be negative.
        10 * self.latency.distinct_values() * size_of::<u64>() + size_of_val(&*self.series)
    }
}

/// A histogram as HdrHistogram's tools read it (`outputPercentileDistribution`): values in microseconds by
/// percentile, five lines for each halving of what is left.
#[expect(clippy::cast_precision_loss, reason = "for people and plotters")]
pub(super) fn distribution(histogram: &Histogram<u64>) -> String {
    const TICKS_PER_HALVING: u32 = 5;
    let micros = |nanos: f64| nanos / 1e3;
    let mut text = format!(
        "{:>12} {:>14} {:>10} {:>14}\n\n",
        "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
    );
    let mut count = 0;
    for step in histogram.iter_quantiles(TICKS_PER_HALVING) {
        count += step.count_since_last_iteration();
        let share = step.quantile_iterated_to();
        let value = micros(step.value_iterated_to() as f64);
        let _ = write!(text, "{value:>12.3} {share:>14.12} {count:>10}");
        if share < 1.0 {
            let _ = write!(text, " {:>14.2}", 1.0 / (1.0 - share));
        }
        text.push('\n');
    }
    let _ = write!(
        text,
        "#[Mean    = {:>12.3}, StdDeviation   = {:>12.3}]\n\
         #[Max     = {:>12.3}, Total count    = {:>12}]\n\
         #[Buckets = {:>12}, SubBuckets     = {:>12}]\n",
        micros(histogram.mean()),
        micros(histogram.stdev()),
        micros(histogram.max() as f64),
        histogram.len(),
        histogram.buckets(),
        SUB_BUCKETS,
    );
    text
}

/// So many a bucket has with three digits.
const SUB_BUCKETS: u32 = 2048;

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST_NS, DIGITS)
        .expect("1 ns to a minute with 3 digits is a histogram")
}

fn merge(sum: &mut Histogram<u64>, part: &Histogram<u64>) {
    sum.add(part).expect("both have the same bounds");
}

/// Percentiles of a time, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Percentiles {
    /// How many were measured; where none was, the rest is zero.
    pub count: u64,
    /// Least.
    pub min: u64,
    /// Mean.
    pub mean: f64,
    /// Half are at most this.
    pub p50: u64,
    /// 90 %.
    pub p90: u64,
    /// 99 %.
    pub p99: u64,
    /// 99.9 %.
    pub p99_9: u64,
    /// 99.99 %.
    pub p99_99: u64,
    /// Most.
    pub max: u64,
}

impl Percentiles {
    pub(super) fn of(histogram: &Histogram<u64>) -> Self {
        if histogram.is_empty() {
            return Self::default();
        }
        let at = |percentile| histogram.value_at_percentile(percentile);
        Self {
            count: histogram.len(),
            min: histogram.min(),
            mean: histogram.mean(),
            p50: at(50.0),
            p90: at(90.0),
            p99: at(99.0),
            p99_9: at(99.9),
            p99_99: at(99.99),
            max: histogram.max(),
        }
    }
}

/// Differences that may be negative: a histogram for each side of zero.
pub(super) struct Signed {
    positive: Histogram<u64>,
    negative: Histogram<u64>,
    sum: f64,
    squares: f64,
}

impl Signed {
    fn new() -> Self {
        Self {
            positive: histogram(),
            negative: histogram(),
            sum: 0.0,
            squares: 0.0,
        }
    }

    #[inline]
    #[expect(
        clippy::cast_precision_loss,
        reason = "differences of clocks are far below 2^53 ns"
    )]
    pub(super) fn record(&mut self, nanos: i64) {
        let side = if nanos < 0 {
            &mut self.negative
        } else {
            &mut self.positive
        };
        side.saturating_record(nanos.unsigned_abs());
        self.sum += nanos as f64;
        self.squares += (nanos as f64) * (nanos as f64);
    }

    /// The same so many times.
    #[cfg(feature = "xdp")]
    #[expect(
        clippy::cast_precision_loss,
        reason = "differences of clocks are far below 2^53 ns, and so are counts"
    )]
    pub(super) fn record_n(&mut self, nanos: i64, count: u64) {
        let side = if nanos < 0 {
            &mut self.negative
        } else {
            &mut self.positive
        };
        if count > 0 {
            side.saturating_record_n(nanos.unsigned_abs(), count);
        }
        self.sum += nanos as f64 * count as f64;
        self.squares += (nanos as f64) * (nanos as f64) * count as f64;
    }

    fn add(&mut self, other: &Self) {
        merge(&mut self.positive, &other.positive);
        merge(&mut self.negative, &other.negative);
        self.sum += other.sum;
        self.squares += other.squares;
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a mean of counts far below 2^53"
    )]
    pub(super) fn deviations(&self) -> Deviations {
        let count = self.positive.len() + self.negative.len();
        if count == 0 {
            return Deviations::default();
        }
        let mean = self.sum / count as f64;
        Deviations {
            count,
            min: self.at(0.0),
            p50: self.at(50.0),
            p99: self.at(99.0),
            max: self.at(100.0),
            mean,
            deviation: (self.squares / count as f64 - mean * mean).max(0.0).sqrt(),
        }
    }

    /// The value that this share is not above.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank among counts far below 2^53"
    )]
    fn at(&self, percentile: f64) -> i64 {
        let (below, above) = (self.negative.len(), self.positive.len());
        let rank = ((below + above) as f64 * percentile / 100.0)
            .ceil()
            .max(1.0) as u64;
        let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        if rank <= below {
            // The smallest of them has the greatest size.
            let share = (below - rank + 1) as f64 / below as f64;
            -signed(self.negative.value_at_quantile(share))
        } else {
            let share = (rank - below) as f64 / above as f64;
            signed(self.positive.value_at_quantile(share))
        }
    }
}

/// Figures of an error that may be negative, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Deviations {
    /// How many were measured; where none was, the rest is zero.
    pub count: u64,
    /// Least.
    pub min: i64,
    /// Half are at most this.
    pub p50: i64,
    /// 99 %.
    pub p99: i64,
    /// Most.
    pub max: i64,
    /// Mean.
    pub mean: f64,
    /// Standard deviation.
    pub deviation: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signed_percentiles_go_through_zero() {
        let mut signed = Signed::new();
        for nanos in -50..50 {
            signed.record(nanos);
        }
        let deviations = signed.deviations();
        assert_eq!(
            (deviations.min, deviations.p50, deviations.max),
            (-50, -1, 49)
        );
        assert_eq!((deviations.p99, deviations.count), (48, 100));
        assert!((deviations.mean + 0.5).abs() < 1e-9);
        assert!((deviations.deviation - 28.866).abs() < 1e-2);
        assert_eq!(Signed::new().deviations(), Deviations::default());
    }

    #[test]
    fn what_the_kernel_refused_is_not_lost_by_the_server() {
        let mut counts = Counts {
            sent: 1_000,
            good: 950,
            lost: 50,
            send_errors: 40,
            ..Counts::default()
        };
        counts.take_back_refused();
        assert_eq!((counts.sent, counts.lost, counts.good), (960, 10, 950));
    }

    #[test]
    fn a_distribution_reads_as_hdr_histograms_do() {
        let mut latency = histogram();
        (1..=1000u64).for_each(|micros| latency.saturating_record(micros * 1_000));
        let text = distribution(&latency);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines[0],
            "       Value     Percentile TotalCount 1/(1-Percentile)"
        );
        assert_eq!(
            lines[2],
            "       1.000 0.000000000000          1           1.00"
        );
        assert!(
            lines.contains(&"     500.223 0.500000000000        500           2.00"),
            "{text}"
        );
        assert!(
            lines.contains(&"    1000.447 1.000000000000       1000"),
            "{text}"
        );
        let footer = &lines[lines.len() - 3..];
        assert!(footer[0].starts_with("#[Mean    =      500."), "{text}");
        assert_eq!(
            footer[1],
            "#[Max     =     1000.447, Total count    =         1000]"
        );
        assert!(
            footer[2].ends_with("SubBuckets     =         2048]"),
            "{text}"
        );
    }

    #[test]
    fn percentiles_of_nothing_are_zero() {
        assert_eq!(Percentiles::of(&histogram()), Percentiles::default());
        let mut latency = histogram();
        (1..=1000).for_each(|nanos| latency.saturating_record(nanos));
        let percentiles = Percentiles::of(&latency);
        assert_eq!(
            (percentiles.min, percentiles.p50, percentiles.max),
            (1, 500, 1000)
        );
        assert_eq!(percentiles.p99, 990);
        assert!((999..=1000).contains(&percentiles.p99_9));
    }
}
