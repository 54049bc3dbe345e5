//! The asking end: requests to bytes, bytes to replies.

use super::edition::Edition;
use super::packet::{BadReply, ReplyHeader};
use super::reply::Reply;
use super::request::Request;

/// The bytes of a request to a daemon of this edition; `None` where that does not know it.
///
/// `sequence` is to be chosen at random for each try, `attempt` counts the tries from 0.
pub fn encode(request: &Request, edition: Edition, sequence: u32, attempt: u16) -> Option<Vec<u8>> {
    request.emit(edition, sequence, attempt)
}

/// Reads the reply to a request that carried `sequence`, of whichever edition it was.
///
/// # Errors
/// [`BadReply`], whose [`Unasked`](BadReply::Unasked) means: wait on.
pub fn decode(packet: &[u8], request: &Request, sequence: u32) -> Result<Reply, BadReply> {
    let header = ReplyHeader::parse(packet)?;
    // Some requests have codes for older daemons.
    let editions = [Edition::V3, Edition::V4_0, Edition::V4_4, Edition::NEWEST];
    let mut codes = editions.into_iter().map(|edition| request.code(edition));
    if !codes.any(|code| header.answers(code, sequence)) {
        return Err(BadReply::Unasked);
    }
    Reply::parse(header, packet)
}

/// The edition that brought the form of a reply; `None` of what is no reply, or of a kind that nobody knows.
pub fn edition(packet: &[u8]) -> Option<Edition> {
    let header = ReplyHeader::parse(packet).ok()?;
    Reply::edition(header.reply)
}
