//! Files that are read again and again while the node runs: the sensor of `tempcomp`, the table of leap seconds.
//!
//! A sensor may take its time, and so may a disk. So they are read on a thread of their own, which begins with the first
//! that is to be read.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use mio::Waker;

use super::leap_file::LeapFile;
use crate::discipline::LeapTable;

/// What is to be read, and when.
#[derive(Debug)]
pub(super) struct Readings {
    sensor: Option<Due<PathBuf>>,
    leap: Option<Due<LeapFile>>,
    reader: Option<Reader>,
    /// It was told that the sensor cannot be read.
    has_failed: bool,
}

/// What was read.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Reading {
    /// Of the sensor of `tempcomp`, in its own unit.
    Temperature(f64),
    /// A table of leap seconds.
    LeapTable(LeapTable),
}

/// A file, and when it is read next.
#[derive(Debug)]
struct Due<T> {
    file: T,
    interval_ns: u64,
    at_ns: u64,
    /// It is being read.
    is_asked: bool,
}

impl<T: Clone> Due<T> {
    /// The file, if it is time for it.
    fn take(&mut self, now_ns: u64) -> Option<T> {
        if self.is_asked || now_ns < self.at_ns {
            return None;
        }
        self.is_asked = true;
        // Readings that were missed are not made up for.
        self.at_ns = now_ns.saturating_add(self.interval_ns);
        Some(self.file.clone())
    }

    fn deadline(&self) -> Option<u64> {
        (!self.is_asked).then_some(self.at_ns)
    }
}

#[derive(Debug)]
struct Reader {
    questions: Sender<Question>,
    answers: Receiver<Answer>,
}

enum Question {
    Sensor(PathBuf),
    Leap(LeapFile),
}

enum Answer {
    Sensor(io::Result<f64>),
    Leap(Option<LeapTable>),
}

impl Readings {
    /// The sensor is read at once and then each `interval` of its line, the table, which was read just now, each
    /// [`LEAP_INTERVAL`]. `now_ns` is of a clock that never steps. With each reading `waker` is woken.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub(super) fn start(
        sensor: Option<(PathBuf, Duration)>,
        leap: Option<LeapFile>,
        now_ns: u64,
        waker: Arc<Waker>,
    ) -> io::Result<Self> {
        let is_needed = sensor.is_some() || leap.is_some();
        let leap_interval_ns = nanos(LEAP_INTERVAL);
        Ok(Self {
            sensor: sensor.map(|(file, interval)| Due {
                file,
                interval_ns: nanos(interval.max(SENSOR_INTERVAL_MIN)),
                at_ns: now_ns,
                is_asked: false,
            }),
            leap: leap.map(|file| Due {
                file,
                interval_ns: leap_interval_ns,
                at_ns: now_ns.saturating_add(leap_interval_ns),
                is_asked: false,
            }),
            reader: is_needed.then(|| Reader::start(waker)).transpose()?,
            has_failed: false,
        })
    }

    /// When [`turn`](Self::turn) is to be called next.
    pub(super) fn next_deadline(&self) -> Option<u64> {
        let sensor = self.sensor.as_ref().and_then(Due::deadline);
        let leap = self.leap.as_ref().and_then(Due::deadline);
        [sensor, leap].into_iter().flatten().min()
    }

    /// Has those read that are due.
    pub(super) fn turn(&mut self, now_ns: u64) {
        let Some(reader) = &self.reader else {
            return;
        };
        if let Some(path) = self.sensor.as_mut().and_then(|due| due.take(now_ns)) {
            reader.ask(Question::Sensor(path));
        }
        if let Some(file) = self.leap.as_mut().and_then(|due| due.take(now_ns)) {
            reader.ask(Question::Leap(file));
        }
    }

    /// A reading that has come. What cannot be read is told: the sensor once until it can be again.
    pub(super) fn next(&mut self) -> Option<Reading> {
        while let Ok(answer) = self.reader.as_ref()?.answers.try_recv() {
            match answer {
                Answer::Sensor(read) => {
                    let due = self.sensor.as_mut()?;
                    due.is_asked = false;
                    let had_failed = std::mem::replace(&mut self.has_failed, read.is_err());
                    match read {
                        Ok(temperature) => return Some(Reading::Temperature(temperature)),
                        Err(error) if !had_failed => {
                            log::warn!("tempcomp: {}: {error}", due.file.display());
                        }
                        Err(_) => {}
                    }
                }
                Answer::Leap(read) => {
                    self.leap.as_mut()?.is_asked = false;
                    if let Some(table) = read {
                        return Some(Reading::LeapTable(table));
                    }
                }
            }
        }
        None
    }
}

impl Reader {
    fn start(waker: Arc<Waker>) -> io::Result<Self> {
        let (questions, asked) = mpsc::channel();
        let (answer, answers) = mpsc::channel();
        let run = move || {
            for question in asked {
                let read = match question {
                    Question::Sensor(path) => Answer::Sensor(sensor(&path)),
                    Question::Leap(file) => Answer::Leap(file.read()),
                };
                if answer.send(read).is_err() {
                    return;
                }
                if let Err(error) = waker.wake() {
                    log::warn!("a file was read and nobody woken: {error}");
                }
            }
        };
        thread::Builder::new()
            .name("maser-files".to_owned())
            .spawn(run)?;
        Ok(Self { questions, answers })
    }

    fn ask(&self, question: Question) {
        if self.questions.send(question).is_err() {
            log::error!("files cannot be read any more: the thread has ended");
        }
    }
}

/// The number that a sensor's file begins with.
fn sensor(path: &Path) -> io::Result<f64> {
    let text = fs::read_to_string(path)?;
    let word = text.split_ascii_whitespace().next();
    let number = word.and_then(|word| word.parse().ok());
    number
        .filter(|number: &f64| number.is_finite())
        .ok_or_else(|| io::Error::other("no number"))
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// Twice a day: a leap second is known months before.
const LEAP_INTERVAL: Duration = Duration::from_hours(12);
/// No temperature changes faster.
const SENSOR_INTERVAL_MIN: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;
    use mio::{Events, Poll, Token};

    const S: u64 = 1_000_000_000;

    fn folder(name: &str) -> PathBuf {
        let name = format!("maser-readings-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).unwrap();
        folder
    }

    struct Asker {
        poll: Poll,
        waker: Arc<Waker>,
    }

    impl Asker {
        fn new() -> Self {
            let poll = Poll::new().unwrap();
            let waker = Arc::new(Waker::new(poll.registry(), Token(7)).unwrap());
            Self { poll, waker }
        }

        /// Waits until the thread has answered.
        fn await_answer(&mut self) {
            let mut events = Events::with_capacity(1);
            self.poll
                .poll(&mut events, Some(Duration::from_secs(10)))
                .unwrap();
            assert!(!events.is_empty(), "nobody was woken");
        }
    }

    #[test]
    fn a_sensor_is_read_at_its_interval() {
        let folder = folder("sensor");
        let path = folder.join("temp1_input");
        fs::write(&path, "26125\n").unwrap();
        let mut asker = Asker::new();
        let sensor = Some((path.clone(), Duration::from_secs(30)));
        let mut readings = Readings::start(sensor, None, 5 * S, Arc::clone(&asker.waker)).unwrap();
        assert_eq!(readings.next_deadline(), Some(5 * S));
        readings.turn(5 * S);
        assert_eq!(readings.next_deadline(), None, "it is being read");
        readings.turn(40 * S);
        asker.await_answer();
        assert_eq!(readings.next(), Some(Reading::Temperature(26_125.0)));
        assert_eq!(readings.next(), None);
        assert_eq!(readings.next_deadline(), Some(35 * S));
        // What is no number, and no file, is told once and is no reading.
        fs::write(&path, "warm\n").unwrap();
        readings.turn(35 * S);
        asker.await_answer();
        assert_eq!(readings.next(), None);
        assert!(readings.has_failed);
        fs::remove_file(&path).unwrap();
        readings.turn(65 * S);
        asker.await_answer();
        assert_eq!(readings.next(), None);
        fs::write(&path, " -1.5e1 C\n").unwrap();
        readings.turn(95 * S);
        asker.await_answer();
        assert_eq!(readings.next(), Some(Reading::Temperature(-15.0)));
        assert!(!readings.has_failed);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn the_leap_table_is_read_twice_a_day() {
        let folder = folder("leap");
        let path = folder.join("leap-seconds.list");
        // 2015-07-01 and 2017-01-01, in seconds since 1900.
        let one = "#@ 4000000000\n3644697600 36\n";
        let two = format!("{one}3692217600 37\n");
        fs::write(&path, one).unwrap();
        let file = LeapFile::List(path.clone());
        let first = file.read().unwrap();
        let mut asker = Asker::new();
        let mut readings = Readings::start(None, Some(file), 0, Arc::clone(&asker.waker)).unwrap();
        let noon = 12 * 3600 * S;
        assert_eq!(readings.next_deadline(), Some(noon));
        readings.turn(noon - 1);
        assert_eq!(readings.next_deadline(), Some(noon));
        fs::write(&path, two).unwrap();
        readings.turn(noon);
        asker.await_answer();
        let Some(Reading::LeapTable(second)) = readings.next() else {
            panic!("no table");
        };
        assert_ne!(first, second);
        assert_eq!(
            second.day(1_483_300_000).map(|day| day.tai_offset_s),
            Some(37)
        );
        // A table that is gone is no reading; the next time it may be there again.
        fs::remove_file(&path).unwrap();
        readings.turn(2 * noon);
        asker.await_answer();
        assert_eq!(readings.next(), None);
        assert_eq!(readings.next_deadline(), Some(3 * noon));
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn where_nothing_is_to_be_read_there_is_no_thread() {
        let asker = Asker::new();
        let mut readings = Readings::start(None, None, 0, asker.waker).unwrap();
        readings.turn(u64::MAX);
        assert!(readings.reader.is_none());
        assert_eq!((readings.next(), readings.next_deadline()), (None, None));
    }
}
