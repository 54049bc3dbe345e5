//! The program in the kernel: loaded, told what it needs to know, asked what it has counted.

use std::net::IpAddr;

use libbpf_rs::{MapCore as _, MapFlags, MapHandle, Object, ObjectBuilder, ProgramInput};

use super::layout::RECORD_LEN;

/// What the kernel, or libbpf, has against it.
#[derive(Debug, thiserror::Error)]
#[error("{doing}: {error}")]
pub struct FastPathError {
    /// What was being done.
    doing: String,
    error: libbpf_rs::Error,
}

fn failed(doing: &str) -> impl FnOnce(libbpf_rs::Error) -> FastPathError {
    let doing = doing.to_owned();
    |error| FastPathError { doing, error }
}

/// What the program makes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameVerdict {
    /// Nobody sees it.
    Dropped,
    /// The stack gets it.
    Passed,
    /// It goes back out where it came in.
    Answered,
    /// Another number than those.
    Other(u32),
}

/// The loaded program with its maps.
pub struct FastPath {
    object: Object,
    /// The record in force: 0 or 1.
    current: u32,
}

impl FastPath {
    /// Loads it. It answers nothing until a record is published, addresses are served and somebody may ask.
    ///
    /// # Errors
    /// The kernel does not take it, or we may not.
    pub fn load() -> Result<Self, FastPathError> {
        let mut builder = ObjectBuilder::default();
        let open = builder.open_memory(OBJECT);
        let object = open.and_then(libbpf_rs::OpenObject::load);
        Ok(Self {
            object: object.map_err(failed("loading the program"))?,
            current: 0,
        })
    }

    /// Puts a record in force: the program reads the old one until the new one is whole.
    ///
    /// # Errors
    /// The kernel's.
    pub fn publish(&mut self, record: &[u8; RECORD_LEN]) -> Result<(), FastPathError> {
        let next = 1 - self.current;
        self.set("records", &next.to_ne_bytes(), record)?;
        self.set("states", &0_u32.to_ne_bytes(), &next.to_ne_bytes())?;
        self.current = next;
        Ok(())
    }

    /// An address at which we serve.
    ///
    /// # Errors
    /// The kernel's.
    pub fn serve(&self, address: IpAddr) -> Result<(), FastPathError> {
        self.set("served", &mapped(address), &[1])
    }

    /// What the addresses of a prefix may; `length` counts bits of an IPv6 address.
    ///
    /// # Errors
    /// The kernel's.
    pub fn admit(&self, address: IpAddr, length: u32, may: u8) -> Result<(), FastPathError> {
        let mut key = [0; 20];
        key[..4].copy_from_slice(&length.to_ne_bytes());
        key[4..].copy_from_slice(&mapped(address));
        self.set("access", &key, &[may])
    }

    /// Makes a key of its secret (16 or 32 bytes) and its first subkey (RFC 4493).
    ///
    /// # Errors
    /// The kernel's.
    pub fn add_key(
        &mut self,
        id: u32,
        secret: &[u8],
        subkey: &[u8; 16],
    ) -> Result<(), FastPathError> {
        let mut new = [0; 64];
        new[..4].copy_from_slice(&id.to_ne_bytes());
        new[4..8].copy_from_slice(&u32::try_from(secret.len()).unwrap_or(0).to_ne_bytes());
        if let Some(place) = new.get_mut(8..8 + secret.len()) {
            place.copy_from_slice(secret);
        }
        new[40..56].copy_from_slice(subkey);
        let mut programs = self.object.progs_mut();
        let program = programs.find(|program| program.name() == "make_key");
        let input = ProgramInput {
            context_in: Some(&mut new),
            ..ProgramInput::default()
        };
        let missing = || libbpf_rs::Error::from_raw_os_error(2);
        let done = program.ok_or_else(missing).and_then(|p| p.test_run(input));
        let done = done.map_err(failed("making a key"))?;
        if done.return_value == 0 {
            Ok(())
        } else {
            Err(failed("making a key")(libbpf_rs::Error::from_raw_os_error(
                22,
            )))
        }
    }

    /// All counters, summed over processors, by their places.
    ///
    /// # Errors
    /// The kernel's.
    pub fn counters(&self) -> Result<Vec<u64>, FastPathError> {
        let map = self.map("counters")?;
        let count = map.max_entries();
        let sums = (0..count).map(|place| {
            let values = map.lookup_percpu(&place.to_ne_bytes(), MapFlags::ANY)?;
            let values = values.unwrap_or_default().into_iter();
            Ok(values
                .filter_map(|value| value.first_chunk().map(|bytes| u64::from_ne_bytes(*bytes)))
                .sum())
        });
        sums.collect::<Result<_, _>>().map_err(failed("counters"))
    }

    /// What the program makes of one frame, and the frame as it leaves it: the kernel runs it without an interface.
    ///
    /// # Errors
    /// The kernel's.
    pub fn run(&mut self, frame: &[u8]) -> Result<(FrameVerdict, Vec<u8>), FastPathError> {
        let mut programs = self.object.progs_mut();
        let program = programs.find(|program| program.name() == "respond");
        let mut out = vec![0; frame.len() + 256];
        let input = ProgramInput {
            data_in: Some(frame),
            data_out: Some(&mut out),
            ..ProgramInput::default()
        };
        let missing = || libbpf_rs::Error::from_raw_os_error(2);
        let done = program.ok_or_else(missing).and_then(|p| p.test_run(input));
        let done = done.map_err(failed("running the program"))?;
        let verdict = match done.return_value {
            1 => FrameVerdict::Dropped,
            2 => FrameVerdict::Passed,
            3 => FrameVerdict::Answered,
            other => FrameVerdict::Other(other),
        };
        let left = done.data.map_or_else(Vec::new, |data| data.to_vec());
        Ok((verdict, left))
    }

    fn set(&self, map: &str, key: &[u8], value: &[u8]) -> Result<(), FastPathError> {
        let updated = self.map(map)?.update(key, value, MapFlags::ANY);
        updated.map_err(failed(map))
    }

    fn map(&self, name: &str) -> Result<MapHandle, FastPathError> {
        let missing = || libbpf_rs::Error::from_raw_os_error(2);
        let mut maps = self.object.maps();
        let map = maps.find(|map| map.name() == name).ok_or_else(missing);
        map.and_then(|map| MapHandle::try_from(&map))
            .map_err(failed(name))
    }
}

/// An address as the maps have it.
fn mapped(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// The program (`build.rs`).
const OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/respond.bpf.o"));
