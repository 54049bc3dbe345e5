//! Names to addresses, on a thread of its own: the system's resolver blocks, for many seconds where the network is
//! not there yet.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use mio::Waker;

use crate::client::Family;

/// The thread, as its user sees it. It ends when this is dropped, or, in the middle of a look-up, with the program.
#[derive(Debug)]
pub struct Resolver {
    questions: Sender<String>,
    answers: Receiver<Resolved>,
    under_way: BTreeSet<String>,
}

/// What a look-up came to.
#[derive(Debug)]
pub struct Resolved {
    /// The name that was asked for.
    pub name: String,
    /// Its addresses, each once, in the resolver's order; or why there are none.
    pub addresses: io::Result<Vec<IpAddr>>,
}

impl Resolved {
    /// The addresses of a family, or all; none where the look-up failed.
    pub fn of(&self, family: Option<Family>) -> impl Iterator<Item = IpAddr> {
        let found = self.addresses.iter().flatten().copied();
        found.filter(move |address| match family {
            None => true,
            Some(Family::V4) => address.is_ipv4(),
            Some(Family::V6) => address.is_ipv6(),
        })
    }
}

impl Resolver {
    /// Starts the thread. Each answer wakes `waker`'s poll.
    ///
    /// # Errors
    /// There can be no more threads.
    pub fn start(waker: Arc<Waker>) -> io::Result<Self> {
        Self::start_with(waker, look_up)
    }

    fn start_with(
        waker: Arc<Waker>,
        look_up: fn(&str) -> io::Result<Vec<IpAddr>>,
    ) -> io::Result<Self> {
        let (questions, asked) = mpsc::channel::<String>();
        let (answer, answers) = mpsc::channel();
        let answer_all = move || {
            for name in asked {
                let addresses = look_up(&name);
                if answer.send(Resolved { name, addresses }).is_err() {
                    return; // Nobody waits any more.
                }
                if let Err(error) = waker.wake() {
                    log::warn!("an answer of the resolver waits: {error}");
                }
            }
        };
        thread::Builder::new()
            .name("maser-resolver".to_owned())
            .spawn(answer_all)?;
        Ok(Self {
            questions,
            answers,
            under_way: BTreeSet::new(),
        })
    }

    /// Asks for a name's addresses and does not wait. A name that is asked for already is not asked for twice: its one
    /// answer is for all who asked.
    pub fn ask(&mut self, name: &str) {
        if !self.under_way.insert(name.to_owned()) {
            return;
        }
        // It ends only with this value.
        let sent = self.questions.send(name.to_owned());
        debug_assert!(sent.is_ok(), "the resolver's thread has ended");
    }

    /// The next answer, if one has come.
    pub fn answer(&mut self) -> Option<Resolved> {
        let answer = self.answers.try_recv().ok()?;
        self.under_way.remove(&answer.name);
        Some(answer)
    }
}

fn look_up(name: &str) -> io::Result<Vec<IpAddr>> {
    let mut addresses = Vec::new();
    for found in (name, 0).to_socket_addrs()? {
        if !addresses.contains(&found.ip()) {
            addresses.push(found.ip());
        }
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mio::{Events, Poll, Token};

    use super::*;

    fn wait(poll: &mut Poll, resolver: &mut Resolver) -> Resolved {
        let mut events = Events::with_capacity(4);
        for _ in 0..100 {
            if let Some(answer) = resolver.answer() {
                return answer;
            }
            poll.poll(&mut events, Some(Duration::from_millis(300)))
                .unwrap();
        }
        panic!("no answer");
    }

    fn poll() -> (Poll, Arc<Waker>) {
        let poll = Poll::new().unwrap();
        let waker = Waker::new(poll.registry(), Token(0)).unwrap();
        (poll, Arc::new(waker))
    }

    #[test]
    fn a_name_is_found_and_one_that_is_none_is_not() {
        let (mut poll, waker) = poll();
        let mut resolver = Resolver::start(waker).unwrap();
        assert!(resolver.answer().is_none());
        resolver.ask("localhost");
        let found = wait(&mut poll, &mut resolver);
        assert_eq!(found.name, "localhost");
        let loopback = |address: IpAddr| address.is_loopback();
        assert!(found.of(None).count() > 0 && found.of(None).all(loopback));
        assert!(found.of(Some(Family::V4)).all(|address| address.is_ipv4()));
        assert!(found.of(Some(Family::V6)).all(|address| address.is_ipv6()));
        let both = found.of(Some(Family::V4)).count() + found.of(Some(Family::V6)).count();
        assert_eq!(both, found.of(None).count());
        // RFC 6761 §6.4: the name of no host.
        for name in ["nowhere.invalid", "no name", ""] {
            resolver.ask(name);
            let answer = wait(&mut poll, &mut resolver);
            assert_eq!(answer.name, name);
            assert!(answer.addresses.is_err(), "{answer:?}");
            assert_eq!(answer.of(None).count(), 0);
        }
        resolver.ask("2001:db8::1");
        let answer = wait(&mut poll, &mut resolver);
        assert_eq!(answer.of(Some(Family::V6)).count(), 1);
        assert_eq!(answer.of(Some(Family::V4)).count(), 0);
    }

    /// Answers late, and each time another address.
    fn slow(name: &str) -> io::Result<Vec<IpAddr>> {
        use std::sync::atomic::{AtomicU8, Ordering};
        static ASKED: AtomicU8 = AtomicU8::new(0);
        thread::sleep(Duration::from_millis(300));
        let number = ASKED.fetch_add(1, Ordering::Relaxed);
        let address = IpAddr::from([127, 0, 0, number]);
        (name != "bad")
            .then(|| vec![address])
            .ok_or_else(|| io::Error::other(name))
    }

    #[test]
    fn a_name_is_looked_up_once_at_a_time_and_nobody_waits() {
        let (mut poll, waker) = poll();
        let mut resolver = Resolver::start_with(waker, slow).unwrap();
        let before = crate::sys::clock::monotonic_ns();
        for name in ["a", "b", "a", "a", "bad", "b"] {
            resolver.ask(name);
        }
        assert!(resolver.answer().is_none());
        let waited_ns = crate::sys::clock::monotonic_ns() - before;
        assert!(waited_ns < 200_000_000, "{waited_ns}");
        let answers = [(); 3].map(|()| wait(&mut poll, &mut resolver));
        let names = answers.each_ref().map(|answer| answer.name.as_str());
        assert_eq!(names, ["a", "b", "bad"]);
        assert!(answers[1].of(None).eq([IpAddr::from([127, 0, 0, 1])]));
        assert!(answers[2].addresses.is_err());
        resolver.ask("a");
        let again = wait(&mut poll, &mut resolver);
        assert!(again.of(None).eq([IpAddr::from([127, 0, 0, 3])]));
        assert!(resolver.answer().is_none());
    }

    #[test]
    fn the_thread_ends_with_its_user() {
        let (_poll, waker) = poll();
        let held = Arc::clone(&waker);
        drop(Resolver::start(waker).unwrap());
        for _ in 0..200 {
            if Arc::strong_count(&held) == 1 {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("it still runs");
    }
}
