//! NTP's numbers and bytes (RFC 5905 §6 and §7.3, RFC 7822): floor 1, core only.
//!
//! A packet is 48 bytes of header, extension fields, and at most one message authentication code:
//!
//! ```text
//! 0         48                   authenticated_len          end
//! | header  | extension fields … | key id (4) | digest …     |
//! ```
//!
//! Views borrow the bytes and are checked once, by the type `&[u8; HEADER_LEN]`; after that no
//! accessor can fail. Malformed is [`Malformed`], a unit: whoever needs a reason counts it a floor
//! above. Nothing here knows a socket, a clock or the operating system; kernel time comes in as
//! `(secs: i64, nanos: u32)`.

mod extension;
mod header;
mod kiss;
mod mac;
mod system;
mod time;

pub use extension::{ExtensionField, ExtensionFields, FIELD_LEN_MIN};
pub use header::{
    HEADER_LEN, HeaderMut, HeaderView, LeapIndicator, Mode, ReferenceId, VERSION_MAX, VERSION_MIN,
};
pub use kiss::KissCode;
pub use mac::{
    CRYPTO_NAK_LEN, DIGEST_LEN_MAX, DIGEST_LEN_MAX_V4, DIGEST_LEN_MIN, KEY_ID_LEN, KeyId, Split,
    Trailer,
};
pub use system::{CookedTime, Correction, RawTime, SystemVariables, SystemWords};
pub use time::{Era, NtpDuration, NtpShort, NtpTimestamp};

/// The longest packet that is looked at: header, 1024 bytes of extension fields, and a MAC of 68.
pub const PACKET_LEN_MAX: usize = HEADER_LEN + 1024 + KEY_ID_LEN + DIGEST_LEN_MAX;

/// The bytes are not an NTP packet, or not one that RFC 7822 lets us read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;
