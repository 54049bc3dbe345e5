//! What `fastpath` and its kin say.

/// The kernel answers for us, at some interfaces.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct FastPathConfig {
    /// `fastpath`, each interface once.
    pub lines: Vec<FastPathLine>,
    /// `fastpathlimit`
    pub limit: Option<PassedLimit>,
    /// `fastpathdeparture` in nanoseconds: how much later a reply is on the wire than the program and, as long again, the driver
    /// take.
    pub departure_ns: i32,
}

/// A `fastpath` line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FastPathLine {
    /// Where.
    pub interface: String,
    /// Who runs the program.
    pub mode: FastPathMode,
}

/// Who runs the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum FastPathMode {
    /// The driver, or where it cannot, the kernel.
    #[default]
    Auto,
    /// The driver.
    Native,
    /// The kernel.
    Generic,
}

/// How much of what the program does not answer each processor hands to the sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PassedLimit {
    /// Datagrams a second.
    pub rate: u32,
    /// Of those, at once.
    pub burst: u32,
}
