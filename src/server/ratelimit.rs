//! How often one client may ask: chrony's `ratelimit interval burst leak kod`.

/// The resolved form of a `ratelimit` line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// log2 of the seconds in which a client earns one reply, -19 to 12.
    pub interval_log2: i8,
    /// Replies a client may take at once, 1 to 255.
    pub burst: u8,
    /// Beyond the limit, one request in 2^leak is answered all the same, 1 to 4.
    pub leak_log2: u8,
    /// Of those not answered, one in 2^kod gets a kiss; `None` (chrony's 0): none does. 1 to 4.
    pub kod_log2: Option<u8>,
}

impl Default for RateLimit {
    fn default() -> Self {
        Self {
            interval_log2: 3,
            burst: 8,
            leak_log2: 2,
            kod_log2: None,
        }
    }
}
