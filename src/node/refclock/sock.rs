//! Samples that programs (gpsd, ntp-refclock) send to a socket of ours, in chrony's form.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use super::{Driver, raw_time};
use crate::client::Shows;
use crate::discipline::RawReading;
use crate::sys::Timespec;
use crate::wire::LeapIndicator;

/// The socket.
pub(super) struct Sock {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Sock {
    /// Binds the socket; one that an earlier run has left is replaced.
    pub(super) fn bind(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::FileTypeExt;
        let is_socket = std::fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_socket());
        if is_socket {
            std::fs::remove_file(path)?;
        }
        let socket = UnixDatagram::bind(path)?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket,
            path: path.to_owned(),
        })
    }
}

impl Drop for Sock {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Driver for Sock {
    fn read(&mut self, found: &mut Vec<RawReading>) -> io::Result<()> {
        // One byte more than a sample: a longer datagram is none.
        let mut datagram = [0; SAMPLE_LEN + 1];
        loop {
            match self.socket.recv(&mut datagram) {
                Ok(len) => found.extend(datagram.get(..len).and_then(reading)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn descriptor(&self) -> Option<RawFd> {
        Some(self.socket.as_raw_fd())
    }
}

/// `struct sock_sample` in the machine's own order: seconds and microseconds of 64 bits, the offset as a double, then four
/// words: whether it is a pulse, the leap indicator, a spare one, a magic number.
fn reading(datagram: &[u8]) -> Option<RawReading> {
    let datagram: &[u8; SAMPLE_LEN] = datagram.try_into().ok()?;
    let (longs, words) = datagram.split_at(24);
    let long = |at: usize| i64::from_ne_bytes(*longs.as_chunks().0.get(at).unwrap_or(&[0; 8]));
    let word = |at: usize| i32::from_ne_bytes(*words.as_chunks().0.get(at).unwrap_or(&[0; 4]));
    let offset_s = f64::from_bits(long(2).cast_unsigned());
    if word(3) != MAGIC || !offset_s.is_finite() || offset_s.abs() > OFFSET_MAX_S {
        return None;
    }
    let (secs, micros) = (long(0), long(1));
    let more_s = micros.div_euclid(1_000_000);
    let micros = u32::try_from(micros.rem_euclid(1_000_000)).ok()?;
    let at = Timespec {
        secs: secs.checked_add(more_s)?,
        nanos: micros * 1000,
    };
    let leap = match word(1) {
        0 => LeapIndicator::NoWarning,
        1 => LeapIndicator::InsertSecond,
        2 => LeapIndicator::DeleteSecond,
        _ => LeapIndicator::NotSynchronised,
    };
    // Of a pulse chrony takes the field for how far our clock was past the second, of others for how far it is behind.
    let shows = if word(0) != 0 {
        Shows::Pulse(offset_s)
    } else {
        Shows::Time(offset_s)
    };
    Some(RawReading {
        at: raw_time(at),
        shows,
        leap,
        dispersion_s: 0.0,
    })
}

const SAMPLE_LEN: usize = 40;
/// `SOCK`
const MAGIC: i32 = 0x534f_434b;
/// More than an era is a mistake.
const OFFSET_MAX_S: f64 = 4_294_967_296.0;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample(offset_s: f64, pulse: i32, magic: i32) -> Vec<u8> {
        let mut bytes = Vec::new();
        for long in [1_700_000_000_i64, 500_000, offset_s.to_bits().cast_signed()] {
            bytes.extend(long.to_ne_bytes());
        }
        for word in [pulse, 0, 0, magic] {
            bytes.extend(word.to_ne_bytes());
        }
        bytes
    }

    #[test]
    fn samples_and_pulses_are_read() {
        let found = reading(&sample(0.25, 0, MAGIC)).unwrap();
        assert_eq!(found.shows, Shows::Time(0.25));
        assert_eq!(
            found.at,
            raw_time(Timespec {
                secs: 1_700_000_000,
                nanos: 500_000_000
            })
        );
        let found = reading(&sample(0.25, 1, MAGIC)).unwrap();
        assert_eq!(found.shows, Shows::Pulse(0.25));
    }

    #[test]
    fn what_is_no_sample_is_not_read() {
        for broken in [
            sample(0.25, 0, MAGIC + 1),
            sample(f64::NAN, 0, MAGIC),
            sample(1e300, 0, MAGIC),
            sample(0.25, 0, MAGIC)[1..].to_vec(),
            [sample(0.25, 0, MAGIC), vec![0]].concat(),
        ] {
            assert_eq!(reading(&broken), None);
        }
    }

    #[test]
    fn the_socket_takes_the_place_of_one_that_was_left() {
        let path = std::env::temp_dir().join(format!("maser-sock-{}", std::process::id()));
        let left = UnixDatagram::bind(&path).unwrap();
        drop(left);
        let mut driver = Sock::bind(&path).unwrap();
        let sender = UnixDatagram::unbound().unwrap();
        sender.send_to(&sample(0.1, 0, MAGIC), &path).unwrap();
        sender.send_to(b"no sample", &path).unwrap();
        sender.send_to(&sample(0.2, 0, MAGIC), &path).unwrap();
        let mut found = Vec::new();
        driver.read(&mut found).unwrap();
        assert_eq!(found.len(), 2);
        drop(driver);
        assert!(!path.exists());
        // What is no socket is somebody's file.
        std::fs::write(&path, "text").unwrap();
        assert!(Sock::bind(&path).is_err());
        std::fs::remove_file(&path).unwrap();
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_not(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            if let Some(found) = reading(&bytes) {
                prop_assert_eq!(bytes.len(), SAMPLE_LEN);
                let (Shows::Time(offset_s) | Shows::Pulse(offset_s)) = found.shows;
                prop_assert!(offset_s.is_finite());
            }
        }
    }
}
