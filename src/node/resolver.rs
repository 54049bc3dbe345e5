//! Names to addresses, on a thread of its own: a name server may take its time, the timekeeper may not.

use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use mio::Waker;

use crate::client::Family;
use crate::discipline::NameId;

/// Asks the system's resolver.
pub(super) struct Resolver {
    questions: Sender<Question>,
    answers: Receiver<Answer>,
}

struct Question {
    name: NameId,
    host: String,
    family: Option<Family>,
}

type Answer = (NameId, Vec<IpAddr>);

impl Resolver {
    /// Starts the thread, which ends with the resolver. `waker` is woken with each answer.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub(super) fn start(waker: Arc<Waker>) -> io::Result<Self> {
        let (questions, asked) = mpsc::channel::<Question>();
        let (answer, answers) = mpsc::channel();
        let run = move || {
            for question in asked {
                let addresses = look_up(&question);
                if answer.send((question.name, addresses)).is_err() {
                    return;
                }
                if let Err(error) = waker.wake() {
                    log::warn!(
                        "{}: an address was found and nobody woken: {error}",
                        question.host
                    );
                }
            }
        };
        thread::Builder::new()
            .name("maser-names".to_owned())
            .spawn(run)?;
        Ok(Self { questions, answers })
    }

    /// Looks a name up; its addresses will be an [`answer`](Self::answer).
    pub(super) fn ask(&self, name: NameId, host: String, family: Option<Family>) {
        let question = Question { name, host, family };
        if self.questions.send(question).is_err() {
            log::error!("names cannot be looked up any more: the thread has ended");
        }
    }

    /// An answer that has come: none where the name has no address.
    pub(super) fn answer(&self) -> Option<Answer> {
        self.answers.try_recv().ok()
    }
}

/// In the order that the system's resolver gives them in, each once.
fn look_up(question: &Question) -> Vec<IpAddr> {
    let found = match (question.host.as_str(), 0).to_socket_addrs() {
        Ok(found) => found,
        Err(error) => {
            log::debug!("{}: {error}", question.host);
            return Vec::new();
        }
    };
    let mut addresses = Vec::new();
    for address in found.map(|found| found.ip()) {
        let is_wanted = match question.family {
            None => true,
            Some(Family::V4) => address.is_ipv4(),
            Some(Family::V6) => address.is_ipv6(),
        };
        if is_wanted && !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(host: &str, family: Option<Family>) -> Question {
        Question {
            name: NameId::default(),
            host: host.to_owned(),
            family,
        }
    }

    #[test]
    fn an_address_is_its_own_name_and_families_are_told_apart() {
        let v4 = IpAddr::from([127, 0, 0, 1]);
        assert_eq!(look_up(&question("127.0.0.1", None)), [v4]);
        assert!(look_up(&question("127.0.0.1", Some(Family::V6))).is_empty());
        assert!(look_up(&question("localhost", Some(Family::V4))).contains(&v4));
        assert!(look_up(&question("no-such-host.invalid", None)).is_empty());
    }

    #[test]
    fn the_asker_is_woken() {
        let mut poll = mio::Poll::new().unwrap();
        let waker = Waker::new(poll.registry(), mio::Token(7)).unwrap();
        let resolver = Resolver::start(Arc::new(waker)).unwrap();
        resolver.ask(NameId::default(), "127.0.0.1".to_owned(), None);
        let mut events = mio::Events::with_capacity(1);
        poll.poll(&mut events, Some(std::time::Duration::from_secs(10)))
            .unwrap();
        assert_eq!(
            events.iter().next().map(|event| event.token()),
            Some(mio::Token(7))
        );
        let (_, addresses) = resolver.answer().unwrap();
        assert_eq!(addresses, [IpAddr::from([127, 0, 0, 1])]);
        assert!(resolver.answer().is_none());
    }
}
