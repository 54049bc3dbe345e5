//! The answering end: from the bytes of a request to those of its reply.

use core::net::IpAddr;

use super::packet::{PROTOCOL_VERSION, REPLY_HEADER_LEN, REQUEST_LEN_MAX, RequestHeader};
use super::reply::{Reply, refusal};
use super::request::{ClientsQuestion, May, Order, Question, Request, RequestRow};
use super::status::Status;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requester {
    /// Somebody on this machine, by the socket in the file system: everything is allowed.
    Local,
    /// Somebody with an address.
    Address {
        /// Whose.
        ip: IpAddr,
        /// `cmdallow` has it, or it is this machine.
        is_allowed: bool,
    },
}

/// What requests are about: whoever keeps the clock and serves.
pub trait State {
    /// Answers a question.
    ///
    /// # Errors
    /// Why it cannot be answered.
    fn ask(&mut self, question: &Question) -> Result<Reply, Status>;

    /// Does what is ordered.
    ///
    /// # Errors
    /// Why it cannot be done.
    fn order(&mut self, order: &Order) -> Result<Reply, Status>;

    /// Whether `opencommands` has this word.
    fn is_open(&self, word: &str) -> bool;
}

/// The reply to a request; `None`: silence. It is never longer than the request.
pub fn answer(packet: &[u8], from: Requester, state: &mut impl State) -> Option<Vec<u8>> {
    if !(REPLY_HEADER_LEN..=REQUEST_LEN_MAX).contains(&packet.len()) {
        return None;
    }
    let header = RequestHeader::parse(packet)?;
    if let Requester::Address {
        is_allowed: false, ..
    } = from
    {
        return None;
    }
    let (command, sequence) = (header.command, header.sequence);
    if header.version != PROTOCOL_VERSION {
        // Older ones would not know what this is.
        let knows = header.version >= VERSION_WITH_STATUS;
        return knows.then(|| refusal(Status::BadVersion, command, sequence));
    }
    let outcome = take(command, packet, from, state);
    let reply = outcome.unwrap_or_else(|status| refusal(status, command, sequence));
    debug_assert!(
        reply.len() <= packet.len(),
        "the row's length is the reply's"
    );
    (reply.len() <= packet.len()).then_some(reply)
}

fn take(
    command: u16,
    packet: &[u8],
    from: Requester,
    state: &mut impl State,
) -> Result<Vec<u8>, Status> {
    let row = RequestRow::of(command).ok_or(Status::Invalid)?;
    if !may(row, from, state) {
        return Err(Status::Unauthorised);
    }
    let (request, edition) = row.decode(packet)?;
    if from != Requester::Local && changes_state(&request) {
        return Err(Status::Unauthorised);
    }
    let reply = match request {
        Request::Null => Reply::Done,
        Request::Ask(question) => state.ask(&question)?,
        Request::Do(order) => state.order(&order)?,
    };
    let sequence = RequestHeader::parse(packet).map_or(0, |header| header.sequence);
    reply.emit(command, sequence, edition)
}

fn may(row: &RequestRow, from: Requester, state: &impl State) -> bool {
    match (from, row.may) {
        (Requester::Local, _) | (_, May::Always) => true,
        (_, May::Ask(word)) => state.is_open(word),
        (_, May::Local) => false,
    }
}

/// A question can change something too.
const fn changes_state(request: &Request) -> bool {
    match request {
        Request::Null => false,
        Request::Do(_) => true,
        Request::Ask(Question::Clients(ClientsQuestion { resets, .. })) => *resets,
        Request::Ask(_) => false,
    }
}

/// The first version whose clients understand a refusal for the version.
const VERSION_WITH_STATUS: u8 = 5;

#[cfg(test)]
mod tests;
