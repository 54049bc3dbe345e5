//! Which chrony a form of a message came with.

/// The version of chrony that brought a form of a message; the next one that did is another edition. All of them speak
/// version 6 of the protocol, and the length of a request tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Edition {
    /// Before 4.0.
    V3,
    /// 4.0 and 4.1
    V4_0,
    /// 4.2 and 4.3
    V4_2,
    /// 4.4 and 4.5
    V4_4,
    /// From 4.6 on.
    V4_6,
}

impl Edition {
    /// What a client asks in unless it knows that the daemon is older.
    pub const NEWEST: Self = Self::V4_6;
}
