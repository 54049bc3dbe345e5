//! Requests whose departure the kernel stamps: against them the server's receive timestamps are measured.

use crate::wire::NtpTimestamp;

/// Remembers the last [`SAMPLES`] of them until both stamps are there.
pub(super) struct Samples {
    ring: Box<[Sample]>,
    next: u32,
}

/// Sampled requests remembered at a time. The kernel's stamp and the reply come within a round trip.
const SAMPLES: usize = 1024;

/// Names a sampled request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SampleId(u32);

impl SampleId {
    /// That of a request which is not sampled.
    pub(super) const NONE: Self = Self(u32::MAX);
}

#[derive(Clone, Copy)]
struct Sample {
    id: SampleId,
    departed: Option<NtpTimestamp>,
    received: Option<NtpTimestamp>,
}

impl Samples {
    pub(super) fn new() -> Self {
        let free = Sample {
            id: SampleId::NONE,
            departed: None,
            received: None,
        };
        Self {
            ring: vec![free; SAMPLES].into(),
            next: 0,
        }
    }

    /// A new one.
    pub(super) fn enter(&mut self) -> SampleId {
        let id = SampleId(self.next);
        self.next = (self.next + 1) % u32::MAX;
        self.ring[place(id)] = Sample {
            id,
            departed: None,
            received: None,
        };
        id
    }

    /// The kernel's stamp has come. With the server's receive timestamp there too: the server's error, in
    /// nanoseconds.
    pub(super) fn departed(&mut self, id: SampleId, at: NtpTimestamp) -> Option<i64> {
        let sample = self.find(id)?;
        sample.departed = Some(at);
        Some((sample.received? - at).to_nanos())
    }

    /// The server's receive timestamp has come, likewise.
    pub(super) fn received(&mut self, id: SampleId, at: NtpTimestamp) -> Option<i64> {
        let sample = self.find(id)?;
        sample.received = Some(at);
        Some((at - sample.departed?).to_nanos())
    }

    /// Bytes on the heap.
    pub(super) fn memory_bytes(&self) -> usize {
        size_of_val(&*self.ring)
    }

    fn find(&mut self, id: SampleId) -> Option<&mut Sample> {
        let sample = &mut self.ring[place(id)];
        (id != SampleId::NONE && sample.id == id).then_some(sample)
    }
}

const fn place(id: SampleId) -> usize {
    id.0 as usize % SAMPLES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: u32) -> NtpTimestamp {
        NtpTimestamp::from_unix(1_800_000_000, nanos)
    }

    #[test]
    fn either_stamp_may_come_first() {
        let mut samples = Samples::new();
        let (one, two) = (samples.enter(), samples.enter());
        assert_eq!(samples.departed(one, at(100)), None);
        assert_eq!(samples.received(one, at(130)), Some(30));
        assert_eq!(samples.received(two, at(200)), None);
        assert_eq!(samples.departed(two, at(210)), Some(-10));
        assert_eq!(samples.departed(SampleId::NONE, at(1)), None);
    }

    #[test]
    fn an_overtaken_sample_is_forgotten() {
        let mut samples = Samples::new();
        let old = samples.enter();
        for _ in 0..SAMPLES {
            samples.enter();
        }
        assert_eq!(samples.departed(old, at(1)), None);
        assert_eq!(samples.received(old, at(2)), None);
    }
}
