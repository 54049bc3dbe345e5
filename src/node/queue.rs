//! How much may wait for a worker in a socket's receive queue.
//!
//! The queue is large, so that a stall loses nothing. But when more comes than the worker can answer, it stays full
//! however large it is, and all that its size does then is make every reply late, and the memory of a request cold
//! by the time it is taken. So while a queue does not empty, it is made only as large as what the worker answers in
//! [`WAIT_NS`]; what is too much is turned away by the kernel where it arrives, which costs least, and is counted
//! there.

/// How long a request may wait while more comes than can be answered.
const WAIT_NS: u64 = 50_000_000;
/// A queue that was not seen empty for so long is not one that empties itself after a stall.
const STANDING_NS: u64 = 1_000_000_000;
/// After so long in which the queue did empty itself, it is made large again.
const CALM_NS: u64 = 1_000_000_000;
/// A queue is never made smaller: some three hundred requests.
const BYTES_MIN: usize = 1 << 17;

/// The size of one port's receive queue.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    full_bytes: usize,
    bytes: usize,
    /// Since when it was not seen empty.
    busy_since_ns: Option<u64>,
    /// When it last stood, in the meaning above.
    stood_ns: u64,
    /// What waits now came before the last change; its age tells nothing of it until then.
    settled_ns: u64,
}

impl Queue {
    /// A queue of `full_bytes` that may be made smaller.
    pub(super) const fn new(full_bytes: usize) -> Self {
        Self {
            full_bytes,
            bytes: full_bytes,
            busy_since_ns: None,
            stood_ns: 0,
            settled_ns: 0,
        }
    }

    /// Nothing waited.
    #[inline]
    pub(super) const fn seen_empty(&mut self) {
        self.busy_since_ns = None;
    }

    /// After a burst: its oldest request had waited `waited_ns`, and the queue was seen empty behind it or not.
    /// The size that the queue shall have from now on, if it shall have another.
    #[inline]
    pub(super) const fn after_burst(
        &mut self,
        waited_ns: u64,
        emptied: bool,
        now_ns: u64,
    ) -> Option<usize> {
        if emptied {
            self.seen_empty();
            if self.bytes == self.full_bytes || now_ns < self.stood_ns.saturating_add(CALM_NS) {
                return None;
            }
            self.bytes = self.full_bytes;
            return Some(self.bytes);
        }
        let since_ns = match self.busy_since_ns {
            Some(since_ns) => since_ns,
            None => now_ns,
        };
        self.busy_since_ns = Some(since_ns);
        if now_ns.saturating_sub(since_ns) < STANDING_NS {
            return None;
        }
        self.stood_ns = now_ns;
        if now_ns < self.settled_ns {
            return None;
        }
        self.fit(waited_ns, now_ns)
    }

    /// A queue that is full empties in the time that its oldest request has waited.
    const fn fit(&mut self, waited_ns: u64, now_ns: u64) -> Option<usize> {
        let bytes = if waited_ns > WAIT_NS * 5 / 4 {
            let share = self.bytes as u128 * WAIT_NS as u128 / waited_ns as u128;
            if share as usize > BYTES_MIN {
                share as usize
            } else {
                BYTES_MIN
            }
        } else if waited_ns < WAIT_NS / 2 && self.bytes < self.full_bytes {
            let more = self.bytes + self.bytes / 2;
            if more < self.full_bytes {
                more
            } else {
                self.full_bytes
            }
        } else {
            return None;
        };
        if bytes == self.bytes {
            return None;
        }
        self.bytes = bytes;
        self.settled_ns = now_ns + waited_ns + WAIT_NS;
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: usize = 8 << 20;
    const MS: u64 = 1_000_000;

    /// A queue whose requests take `each_ns` to answer and `size` bytes of it, and into which one comes every
    /// `gap_ns`: the wait of the requests taken in the last tenth of `span_ns`, and how many were lost in all.
    fn simulate(queue: &mut Queue, gap_ns: u64, each_ns: u64, span_ns: u64) -> (u64, usize) {
        const SIZE: usize = 768;
        let (mut limit, mut waiting) = (FULL, std::collections::VecDeque::new());
        let (mut now, mut next, mut lost, mut wait_max) = (1, 0, 0, 0);
        while now < span_ns {
            while next <= now {
                if (waiting.len() + 1) * SIZE <= limit {
                    waiting.push_back(next);
                } else {
                    lost += 1;
                }
                next += gap_ns;
            }
            let taken = waiting.len().min(64);
            let waited = waiting.front().map_or(0, |came| now - came);
            waiting.drain(..taken);
            if now > span_ns / 10 * 9 {
                wait_max = wait_max.max(waited);
            }
            if let Some(bytes) = queue.after_burst(waited, taken < 64, now) {
                limit = bytes;
            }
            now += (taken as u64 * each_ns).max(1_000);
        }
        (wait_max, lost)
    }

    #[test]
    fn under_a_lasting_flood_nobody_waits_long() {
        for gap_ns in [1_000, 5_000, 9_000] {
            let mut queue = Queue::new(FULL);
            let (wait_max, lost) = simulate(&mut queue, gap_ns, 10_000, 4_000 * MS);
            assert!(
                wait_max < 70 * MS,
                "{} ms at a gap of {gap_ns} ns",
                wait_max / MS
            );
            assert!(lost > 0);
        }
    }

    #[test]
    fn what_can_be_answered_is_never_lost() {
        let mut queue = Queue::new(FULL);
        assert_eq!(simulate(&mut queue, 10_500, 10_000, 4_000 * MS).1, 0);
        assert_eq!(queue.bytes, FULL);
    }

    #[test]
    fn a_stall_leaves_the_queue_large() {
        let mut queue = Queue::new(FULL);
        let mut now = 10_000 * MS;
        // 200 ms behind, and 200 ms to make up for it.
        for step in 0..200 {
            now += MS;
            assert_eq!(queue.after_burst((200 - step) * MS, step == 199, now), None);
        }
    }

    #[test]
    fn it_is_large_again_when_the_flood_is_over() {
        let mut queue = Queue::new(FULL);
        simulate(&mut queue, 5_000, 10_000, 4_000 * MS);
        assert!(queue.bytes < FULL * 2 / 3);
        assert_eq!(queue.after_burst(MS, true, 4_500 * MS), None);
        assert_eq!(queue.after_burst(MS, true, 5_100 * MS), Some(FULL));
        assert_eq!(queue.after_burst(MS, true, 5_200 * MS), None);
    }

    #[test]
    fn it_is_never_made_too_small_for_a_burst() {
        let mut queue = Queue::new(FULL);
        for now in 0..1_000 {
            queue.after_burst(u64::from(u32::MAX), false, now * 100 * MS);
        }
        assert_eq!(queue.bytes, BYTES_MIN);
    }
}
