//! The programs in the kernel: loaded, attached, run, and asked what they have counted.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::thread;
use std::time::Duration;

use libbpf_rs::{MapCore as _, MapFlags, MapHandle, Object, ObjectBuilder, OpenObject, ProgramMut};

use super::course::{self, COURSE_LEN, SAMPLES};
use super::{XdpError, XdpStep};
use crate::auth::Verdict;
use crate::bench::driver::seconds;
use crate::bench::figures::{Figures, Second};
use crate::bench::mix::Kind;
use crate::bench::plan::Signature;
use crate::sys::bpf::{self, XdpMode};
use crate::sys::steering::Family;
use crate::sys::{PacketOptions, PacketPort, clock, netlink};
use crate::wire::{HEADER_LEN, KEY_ID_LEN};

/// A program at an interface, as long as this lives.
pub(super) struct Link {
    _link: OwnedFd,
    _object: Object,
}

/// Puts the bare echo at an interface.
pub(super) fn echo(interface: &str) -> Result<Link, XdpError> {
    let mut object = load(|_| Ok(()))?;
    let link = attach(&mut object, "echo", interface)?;
    Ok(Link {
        _link: link,
        _object: object,
    })
}

/// All that a step has in the kernel.
pub(super) struct Programs {
    object: Object,
    maps: Maps,
    interface: u32,
    _link: OwnedFd,
}

struct Maps {
    askers: MapHandle,
    heard: MapHandle,
    latencies: MapHandle,
    latenesses: MapHandle,
    transmit_errors: MapHandle,
    residences: MapHandle,
    seconds: MapHandle,
    samples: MapHandle,
}

impl Programs {
    /// Loads them, tells them what to do, and begins to take what comes.
    pub(super) fn load(step: &XdpStep<'_>) -> Result<Self, XdpError> {
        let plan = step.plan;
        if let Some(signature) = &plan.signature
            && signature.mac_len(plan.version) != KEY_ID_LEN + DIGEST_LEN
        {
            return Err(system(
                "--xdp: a key for digests of 16 bytes, such as AES128".into(),
            )(io::ErrorKind::InvalidInput.into()));
        }
        let (ring, sources) = (course::ring_len(step), plan.sources.len());
        let interface = bpf::interface_number(&step.raw.interface)
            .map_err(system(format!("--xdp {}", step.raw.interface)))?;
        let mut object = load(|open| {
            for mut map in open.maps_mut() {
                match map.name().to_str().unwrap_or_default() {
                    "requests" => map.set_max_entries(ring)?,
                    "digests" if plan.signature.is_some() => map.set_max_entries(ring)?,
                    "sources" => map.set_max_entries(u32::try_from(sources).unwrap_or(1))?,
                    "seconds" => {
                        map.set_max_entries(u32::try_from(seconds(plan)).unwrap_or(1))?;
                    }
                    _ => {}
                }
            }
            Ok(())
        })?;
        let addresses = plan.sources.iter().map(|one| course::address(*one));
        let addresses: Vec<[u8; 16]> = addresses.collect();
        fill(&map(&object, "sources")?, &addresses)?;
        if let Some(signature) = &plan.signature {
            let digests: Vec<[u8; 16]> = (0..ring)
                .map(|place| digest(signature, plan.version, name(place, step.seed)))
                .collect();
            fill(&map(&object, "digests")?, &digests)?;
        }
        let from = step
            .raw
            .source
            .map_or_else(|| hardware_address(&step.raw.interface), Ok)?;
        let course: [u8; COURSE_LEN] = course::course(step, from);
        let courses = map(&object, "courses")?;
        courses
            .update(&0_u32.to_ne_bytes(), &course, MapFlags::ANY)
            .map_err(failed("courses"))?;
        let maps = Maps {
            askers: map(&object, "askers")?,
            heard: map(&object, "heard")?,
            latencies: map(&object, "latencies")?,
            latenesses: map(&object, "latenesses")?,
            transmit_errors: map(&object, "transmit_errors")?,
            residences: map(&object, "residences")?,
            seconds: map(&object, "seconds")?,
            samples: map(&object, "samples")?,
        };
        if !netlink::is_running(&step.raw.interface).map_err(system("--xdp".into()))? {
            return Err(XdpError::Down(step.raw.interface.clone()));
        }
        let link = attach(&mut object, "hear", &step.raw.interface)?;
        // A kernel that cannot be asked is not in the way.
        if matches!(netlink::xdp_sends(&step.raw.interface), Ok(false)) {
            return Err(XdpError::SendsNone(step.raw.interface.clone()));
        }
        Ok(Self {
            object,
            maps,
            interface,
            _link: link,
        })
    }

    /// Asks until the end of the step, waits for what is still to come, and tells.
    pub(super) fn run(mut self, step: &XdpStep<'_>) -> Result<(Figures, usize), XdpError> {
        let frame = vec![0; course::frame_len(step)];
        let batch = course::batch(step);
        let mut repeat = REPEAT_MIN;
        let mut now_ns = clock::monotonic_ns();
        while now_ns < step.moments.end_ns {
            self.ask(&frame, repeat, batch)?;
            let after_ns = clock::monotonic_ns();
            // Before and after each call the kernel waits for all that read its programs: 20 ms, in which nothing leaves.
            let taken_ns = (after_ns - now_ns).max(1);
            let left_ns = step.moments.end_ns.saturating_sub(after_ns) + CALL_NS / 100;
            let wanted = u64::from(repeat) * CALL_NS.min(left_ns) / taken_ns;
            let most = repeat.saturating_mul(4);
            repeat = u32::try_from(wanted)
                .unwrap_or(most)
                .clamp(REPEAT_MIN, most);
            now_ns = after_ns;
        }
        self.wait(step)?;
        let figures = self.figures(step)?;
        let ring = course::ring_len(step) as usize;
        let bytes = ring * (REQUEST_LEN + DIGEST_LEN) + step.plan.sources.len() * 16;
        Ok((figures, bytes))
    }

    /// Has the kernel make so many frames for `ask`.
    fn ask(&mut self, frame: &[u8], repeat: u32, batch: u32) -> Result<(), XdpError> {
        let ask = program(&mut self.object, "ask").map_err(failed("sending"))?;
        match bpf::send_frames(ask.as_fd(), frame, self.interface, repeat, batch) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                Err(system("sending".to_owned())(error))
            }
            // A signal ends the call early.
            _ => Ok(()),
        }
    }

    /// Waits until all is answered, or as long as a reply may take.
    fn wait(&self, step: &XdpStep<'_>) -> Result<(), XdpError> {
        let end_ns =
            clock::monotonic_ns() + u64::try_from(step.plan.patience.as_nanos()).unwrap_or(0);
        while clock::monotonic_ns() < end_ns {
            let asker = words(&value(&self.maps.askers, 0)?);
            if asker.get(2) == Some(&0) {
                break;
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    fn figures(&self, step: &XdpStep<'_>) -> Result<Figures, XdpError> {
        let mut figures = Figures::new(seconds(step.plan));
        let asker = words(&value(&self.maps.askers, 0)?);
        let heard = sum(&self.maps.heard, 0)?;
        let [sent, not_sent, idle_ns, kept] = [4, 3, 5, 9].map(|place| at(&asker, place));
        let verdicts: Vec<u64> = (0..VERDICTS).map(|place| at(&heard, place)).collect();
        let first: u64 = verdicts[..FIRST_VERDICTS].iter().sum();
        let seen = self.look_at_samples(step, kept)?;
        let [forged, broken] = seen.of(verdicts[0]);
        figures.inspected = Some(seen.inspected);
        figures.broken = broken;
        let counts = &mut figures.counts;
        counts.sent = sent;
        counts.not_sent = not_sent;
        counts.good = verdicts[0].saturating_sub(forged + broken);
        counts.forged = forged;
        counts.bad_mode = verdicts[1];
        counts.bad_version = verdicts[2];
        counts.bad_length = verdicts[3];
        counts.kiss_rate = verdicts[4];
        counts.kiss_other = verdicts[5];
        counts.unsynchronised = verdicts[6];
        counts.bad_stratum = verdicts[7];
        counts.duplicates = verdicts[8];
        counts.late = verdicts[9];
        counts.stale = verdicts[10];
        // No network stack would have taken a reply with a wrong checksum.
        counts.lost = sent.saturating_sub(first) + broken;
        figures.idle_ns = idle_ns;
        let kind = if step.plan.signature.is_some() {
            Kind::Signed
        } else {
            Kind::Basic
        };
        figures.by_kind[kind as usize] = [sent, first];
        self.times(&mut figures)?;
        for (place, second) in (0..).zip(&mut figures.series) {
            *second = self.second(place)?;
        }
        Ok(figures)
    }

    /// What the histograms hold.
    fn times(&self, figures: &mut Figures) -> Result<(), XdpError> {
        for (map, histogram) in [
            (&self.maps.latencies, &mut figures.latency),
            (&self.maps.latenesses, &mut figures.lateness),
        ] {
            for (place, count) in (0..).zip(histogram_of(map)?) {
                if count > 0 {
                    histogram.saturating_record_n(time_at(place), count);
                }
            }
        }
        for (map, signed) in [
            (&self.maps.transmit_errors, &mut figures.transmit_error),
            (&self.maps.residences, &mut figures.residence),
        ] {
            for (place, count) in (0..).zip(histogram_of(map)?) {
                signed.record_n(error_at(place), count);
            }
        }
        Ok(())
    }

    /// What all processors have of a second.
    fn second(&self, place: u32) -> Result<Second, XdpError> {
        let mut whole = Second::default();
        for words in each(&self.maps.seconds, place)? {
            let [sent, answered, good, sum, most] = [0, 1, 2, 3, 4].map(|word| at(&words, word));
            whole.sent += sent;
            // What one processor has sent another may have heard of: only the sum is no less than zero.
            whole.lost = whole.lost.wrapping_add(sent).wrapping_sub(answered);
            whole.good += good;
            whole.latency_sum_ns += sum;
            whole.latency_max_ns = whole.latency_max_ns.max(most);
        }
        Ok(whole)
    }

    /// What is wrong with the replies that were kept.
    fn look_at_samples(&self, step: &XdpStep<'_>, kept: u64) -> Result<Seen, XdpError> {
        let kept = u32::try_from(kept).unwrap_or(u32::MAX).min(SAMPLES);
        let (mut forged, mut broken) = (0, 0);
        for place in 0..kept {
            let bytes = value(&self.maps.samples, place)?;
            let length = bytes
                .first_chunk()
                .map_or(0, |len| u32::from_ne_bytes(*len)) as usize;
            let frame = bytes.get(4..4 + length).unwrap_or_default();
            let at = if step.plan.target.is_ipv4() {
                14 + 20
            } else {
                14 + 40
            };
            if !has_right_checksums(frame, at) {
                broken += 1;
                continue;
            }
            let payload = frame.get(at + 8..).unwrap_or_default();
            if let Some(signature) = &step.plan.signature
                && !is_authentic(signature, step.plan.version, payload)
            {
                forged += 1;
            }
        }
        Ok(Seen {
            inspected: u64::from(kept),
            forged,
            broken,
        })
    }
}

/// What was found of the replies that were looked at in full.
#[derive(Clone, Copy, Debug)]
struct Seen {
    inspected: u64,
    /// Of them with a wrong MAC.
    forged: u64,
    /// Of them with a wrong checksum.
    broken: u64,
}

impl Seen {
    /// Forged and broken ones of so many that the samples stand for: one of a thousand stands for a thousand, and what is
    /// found once is never reckoned to be none. Together they are no more than there are.
    fn of(self, replies: u64) -> [u64; 2] {
        let whole = u128::from(self.inspected.max(1));
        let of = |found: u64| {
            let share = (u128::from(found) * u128::from(replies)).div_ceil(whole);
            u64::try_from(share).unwrap_or(replies)
        };
        let forged = of(self.forged).min(replies);
        [forged, of(self.broken).min(replies - forged)]
    }
}

/// A reply as the key's owner takes it.
fn is_authentic(signature: &Signature, version: u8, payload: &[u8]) -> bool {
    let Some((message, mac)) = payload.split_at_checked(HEADER_LEN) else {
        return false;
    };
    let Some((id, digest)) = mac.split_first_chunk::<KEY_ID_LEN>() else {
        return false;
    };
    *id == signature.id.0.to_be_bytes()
        && signature
            .keys
            .verify(signature.key, version, message, digest)
            == Verdict::Good
}

/// Whether IPv4's checksum, if it is that, and UDP's, which begins at `udp`, are right.
fn has_right_checksums(frame: &[u8], udp: usize) -> bool {
    use crate::bench::frame::{folded, sum};

    let (Some(ip), Some(datagram)) = (frame.get(14..udp), frame.get(udp..)) else {
        return false;
    };
    let addresses = if ip.len() == 20 {
        if folded(sum(ip)) != u16::MAX {
            return false;
        }
        &ip[12..]
    } else {
        &ip[8..]
    };
    const UDP: u64 = 17;
    folded(sum(addresses) + UDP + datagram.len() as u64 + sum(datagram)) == u16::MAX
}

/// The transmit timestamp of the signed request at a place of the ring: the ledger's name of its number.
const fn name(place: u32, mask: u64) -> u64 {
    ((2 * place as u64) ^ mask).wrapping_mul(MULTIPLIER)
}

fn digest(signature: &Signature, version: u8, transmit: u64) -> [u8; DIGEST_LEN] {
    let mut packet = [0; HEADER_LEN + KEY_ID_LEN + 64];
    packet[0] = version << 3 | 3;
    packet[40..HEADER_LEN].copy_from_slice(&transmit.to_be_bytes());
    let _ = signature
        .keys
        .sign(signature.key, version, &mut packet, HEADER_LEN);
    let digest = packet[HEADER_LEN + KEY_ID_LEN..].first_chunk();
    digest.copied().unwrap_or_default()
}

/// The middle of a place of the histograms of times, in nanoseconds.
const fn time_at(place: u32) -> u64 {
    if place < 64 {
        return place as u64;
    }
    let shift = place / 64 - 1;
    ((64 + place as u64 % 64) << shift) + (1 << shift) / 2
}

/// The same of errors: behind the positive ones are the negative ones.
const fn error_at(place: u32) -> i64 {
    if place < TIMES {
        time_at(place).cast_signed()
    } else {
        -time_at(place - TIMES).cast_signed()
    }
}

fn load(
    prepare: impl FnOnce(&mut OpenObject) -> libbpf_rs::Result<()>,
) -> Result<Object, XdpError> {
    libbpf_rs::set_print(None);
    let mut builder = ObjectBuilder::default();
    let mut open = builder
        .open_memory(OBJECT)
        .map_err(failed("opening the programs"))?;
    prepare(&mut open).map_err(failed("sizing their tables"))?;
    open.load().map_err(failed("loading the programs"))
}

/// By the driver, or where it cannot, by the kernel.
fn attach(object: &mut Object, name: &str, interface: &str) -> Result<OwnedFd, XdpError> {
    let doing = format!("{name} at {interface}");
    let number = bpf::interface_number(interface).map_err(system(doing.clone()))?;
    let program = program(object, name).map_err(failed(&doing))?;
    let link = bpf::link_xdp(program.as_fd(), number, XdpMode::Native)
        .or_else(|_| bpf::link_xdp(program.as_fd(), number, XdpMode::Generic));
    link.map_err(|error| match netlink::xdp_program(interface) {
        Ok(Some(_)) => XdpError::Taken(interface.to_owned()),
        _ => system(doing)(error),
    })
}

fn program<'a>(object: &'a mut Object, name: &str) -> libbpf_rs::Result<ProgramMut<'a>> {
    let mut programs = object.progs_mut();
    let program = programs.find(|program| program.name() == name);
    program.ok_or_else(|| libbpf_rs::Error::from_raw_os_error(2))
}

fn map(object: &Object, name: &str) -> Result<MapHandle, XdpError> {
    let mut maps = object.maps();
    let map = maps
        .find(|map| map.name() == name)
        .ok_or_else(|| libbpf_rs::Error::from_raw_os_error(2));
    map.and_then(|map| MapHandle::try_from(&map))
        .map_err(failed(name))
}

/// All places of an array.
fn fill(map: &MapHandle, values: &[[u8; 16]]) -> Result<(), XdpError> {
    let count = u32::try_from(values.len()).unwrap_or(0);
    let keys: Vec<u8> = (0..count).flat_map(u32::to_ne_bytes).collect();
    map.update_batch(
        &keys,
        values.as_flattened(),
        count,
        MapFlags::ANY,
        MapFlags::ANY,
    )
    .map_err(|error| failed(&map.name().to_string_lossy())(error))
}

fn value(map: &MapHandle, place: u32) -> Result<Vec<u8>, XdpError> {
    let found = map.lookup(&place.to_ne_bytes(), MapFlags::ANY);
    let found = found.map_err(|error| failed(&map.name().to_string_lossy())(error))?;
    Ok(found.unwrap_or_default())
}

/// What each processor has at a place.
fn each(map: &MapHandle, place: u32) -> Result<Vec<Vec<u64>>, XdpError> {
    let found = map.lookup_percpu(&place.to_ne_bytes(), MapFlags::ANY);
    let found = found.map_err(|error| failed(&map.name().to_string_lossy())(error))?;
    let processors = found.unwrap_or_default();
    Ok(processors.iter().map(|bytes| words(bytes)).collect())
}

/// The same in sum, word by word.
fn sum(map: &MapHandle, place: u32) -> Result<Vec<u64>, XdpError> {
    let mut sums = Vec::new();
    for words in each(map, place)? {
        sums.resize(words.len(), 0_u64);
        for (sum, word) in sums.iter_mut().zip(words) {
            *sum = sum.wrapping_add(word);
        }
    }
    Ok(sums)
}

fn histogram_of(map: &MapHandle) -> Result<Vec<u64>, XdpError> {
    let places = 0..map.max_entries();
    let counts = places.map(|place| Ok(sum(map, place)?.first().copied().unwrap_or(0)));
    counts.collect()
}

fn at(words: &[u64], place: usize) -> u64 {
    words.get(place).copied().unwrap_or(0)
}

fn words(bytes: &[u8]) -> Vec<u64> {
    let (words, _) = bytes.as_chunks();
    words.iter().map(|word| u64::from_ne_bytes(*word)).collect()
}

/// An interface's own: a packet socket knows it.
fn hardware_address(interface: &str) -> Result<[u8; 6], XdpError> {
    let port = PacketPort::open(&PacketOptions {
        interface,
        family: Family::V4,
        from_port: None,
        to_ports: 0..=0,
        frames: 64,
    });
    port.map(|port| port.hardware_address())
        .map_err(system(format!("the hardware address of {interface}")))
}

fn failed(doing: &str) -> impl FnOnce(libbpf_rs::Error) -> XdpError {
    let doing = doing.to_owned();
    |error| XdpError::Kernel {
        doing,
        error: io::Error::other(error.to_string()),
    }
}

fn system(doing: String) -> impl FnOnce(io::Error) -> XdpError {
    |error| XdpError::Kernel { doing, error }
}

/// Frames of a call at the least, and how long one is to take.
const REPEAT_MIN: u32 = 1 << 14;
const CALL_NS: u64 = 2_000_000_000;
/// `enum verdict`
const VERDICTS: usize = 11;
/// Those of first replies.
const FIRST_VERDICTS: usize = 8;
/// Places of a histogram of times.
const TIMES: u32 = 2048;
const REQUEST_LEN: usize = 32;
const DIGEST_LEN: usize = 16;
/// The ledger's.
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// The programs (`build.rs`).
const OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/load.bpf.o"));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_histograms_ascend() {
        let times: Vec<u64> = (0..TIMES).map(time_at).collect();
        assert!(times.is_sorted());
        assert_eq!((times[63], times[64], times[127]), (63, 64, 127));
        assert_eq!((times[128], times[192]), (129, 258));
        // The longest time that anybody waits for has its own place.
        assert!(times[2047] > 60_000_000_000);
        assert_eq!((error_at(63), error_at(TIMES + 192)), (63, -258));
    }

    #[test]
    fn samples_stand_for_all_replies() {
        let seen = |inspected, forged, broken| Seen {
            inspected,
            forged,
            broken,
        };
        assert_eq!(seen(4096, 0, 0).of(1_000_000), [0, 0]);
        assert_eq!(seen(4096, 4096, 0).of(1_000_000), [1_000_000, 0]);
        assert_eq!(seen(4096, 1, 0).of(1_000_000), [245, 0]);
        assert_eq!(seen(3, 1, 2).of(10), [4, 6]);
        assert_eq!(seen(10, 3, 1).of(10), [3, 1]);
        assert_eq!(seen(0, 0, 0).of(0), [0, 0]);
        // What was seen is more than what is known to have been counted: a reply came while it was read.
        assert_eq!(seen(5, 5, 0).of(4), [4, 0]);
    }
}
