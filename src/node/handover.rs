//! What the timekeeper hands to a worker that runs, and the worker back: whole tables, so that nothing is shared.
//!
//! A message goes to the worker, is used there, and comes back with what it has taken the place of: only the
//! timekeeper makes and frees. The channels are bounded rings made at the start; a worker only ever tries them, so it
//! neither waits nor allocates.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use mio::Waker;

use super::{Apart, KeyUse};
use crate::server::{AccessTable, ClientsListing, InterleavedHeld};

/// A message. On its way back it holds what the worker had before.
pub enum Handover {
    /// `allow` and `deny` have changed.
    Access(AccessTable),
    /// The key file was read again: the keys, and counters for them.
    Keys(Arc<KeyUse>),
    /// How many replies to interleaved clients are kept is to be filled in.
    Interleaved(InterleavedHeld),
    /// Some of the clients are to be listed.
    Clients(Box<ClientsListing>),
}

/// The worker's end.
pub struct HandoverReceiver {
    called: Arc<Apart<AtomicBool>>,
    messages: Receiver<Handover>,
    back: SyncSender<Handover>,
}

impl HandoverReceiver {
    /// Lets `take` have each message that has come, and sends it back.
    #[inline]
    pub fn take_all(&self, mut take: impl FnMut(&mut Handover)) {
        if !self.called.0.load(Ordering::Relaxed) {
            return;
        }
        self.called.0.store(false, Ordering::SeqCst);
        while let Ok(mut message) = self.messages.try_recv() {
            take(&mut message);
            // There is room for as many as can be on their way, and if the other end is gone the program ends.
            let _ = self.back.try_send(message);
        }
    }
}

/// The timekeeper's end.
pub struct HandoverSender {
    called: Arc<Apart<AtomicBool>>,
    messages: SyncSender<Handover>,
    back: Receiver<Handover>,
    waker: Option<Arc<Waker>>,
}

impl HandoverSender {
    /// Both ends. Without a `waker` the worker looks by itself.
    pub fn new(waker: Option<Arc<Waker>>) -> (Self, HandoverReceiver) {
        let called = Arc::new(Apart(AtomicBool::new(false)));
        let (messages, arriving) = sync_channel(MESSAGES);
        let (returning, back) = sync_channel(MESSAGES);
        let receiver = HandoverReceiver {
            called: Arc::clone(&called),
            messages: arriving,
            back: returning,
        };
        let sender = Self {
            called,
            messages,
            back,
            waker,
        };
        (sender, receiver)
    }

    /// Hands a message over and waits for it to come back, a tenth of a second at most. `turn` lets a worker without a
    /// thread of its own look.
    ///
    /// # Errors
    /// The worker does not look, or cannot be woken.
    pub fn exchange(&self, message: Handover, mut turn: impl FnMut()) -> io::Result<Handover> {
        // What came back too late for its sender is of no use to anybody.
        while self.back.try_recv().is_ok() {}
        let is_full = |_| io::Error::from(io::ErrorKind::TimedOut);
        self.messages.try_send(message).map_err(is_full)?;
        self.called.0.store(true, Ordering::SeqCst);
        if let Some(waker) = &self.waker {
            waker.wake()?;
        }
        turn();
        for _ in 0..LOOKS {
            if let Ok(message) = self.back.try_recv() {
                return Ok(message);
            }
            // To wait in the channel would make the worker take its lock.
            std::thread::sleep(LOOK_AFTER);
        }
        Err(io::Error::from(io::ErrorKind::TimedOut))
    }
}

/// On their way at once, at most.
const MESSAGES: usize = 4;
const LOOKS: u32 = 2_000;
const LOOK_AFTER: Duration = Duration::from_micros(50);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_before_comes_back() {
        let (sender, receiver) = HandoverSender::new(None);
        let mut table = AccessTable::new(&[]);
        let open = AccessTable::new(&[crate::server::AccessRule {
            subnet: crate::server::Subnet::Any,
            allow: true,
            all: false,
        }]);
        let (closed, expected) = (table.clone(), open.clone());
        let turn = || {
            receiver.take_all(|message| {
                if let Handover::Access(other) = message {
                    std::mem::swap(other, &mut table);
                }
            });
        };
        let back = sender.exchange(Handover::Access(open), turn).unwrap();
        assert!(matches!(back, Handover::Access(old) if old == closed));
        assert_eq!(table, expected);
    }

    #[test]
    fn a_worker_that_does_not_look_is_not_waited_for_long() {
        let (sender, receiver) = HandoverSender::new(None);
        let message = || Handover::Keys(Arc::new(KeyUse::new(Arc::default())));
        for _ in 0..MESSAGES {
            assert!(sender.exchange(message(), || {}).is_err());
        }
        assert!(
            sender.exchange(message(), || {}).is_err(),
            "there is no room"
        );
        // Once it looks again, what is late changes nothing for the next.
        let mut taken = 0;
        receiver.take_all(|_| taken += 1);
        assert_eq!(taken, MESSAGES);
        let turn = || receiver.take_all(|_| taken += 1);
        assert!(sender.exchange(message(), turn).is_ok());
        assert_eq!(taken, MESSAGES + 1);
    }
}
