//! Going out of service: others are to serve in our place, while we still answer those who ask.

/// How far it is. Health checks say 503 as soon as it drains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Drain {
    /// We are to serve.
    #[default]
    No,
    /// It is ordered (SIGUSR1), until it is taken back (SIGUSR2).
    Ordered,
    /// The program is to end at this moment of the clock that never steps, because of this signal.
    Ending(u64, &'static str),
}

impl Drain {
    /// Whether others are to serve in our place.
    pub(super) const fn is_on(self) -> bool {
        !matches!(self, Self::No)
    }

    /// When the program is to end.
    pub(super) const fn end_ns(self) -> Option<u64> {
        match self {
            Self::Ending(end_ns, _) => Some(end_ns),
            Self::No | Self::Ordered => None,
        }
    }

    /// It is ordered, or taken back; an end that was asked for comes all the same. Whether that changes anything.
    pub(super) fn order(&mut self, on: bool) -> bool {
        let next = match (*self, on) {
            (Self::Ending(..), _) => *self,
            (_, true) => Self::Ordered,
            (_, false) => Self::No,
        };
        let changes = next != *self;
        *self = next;
        changes
    }

    /// The program is asked to end: that is done after `drain_s` seconds, or, asked again, at once. The signal that ends
    /// it now, if it does.
    pub(super) fn end(
        &mut self,
        signal: &'static str,
        drain_s: u32,
        now_ns: u64,
    ) -> Option<&'static str> {
        if drain_s == 0 || matches!(self, Self::Ending(..)) {
            return Some(signal);
        }
        let end_ns = now_ns.saturating_add(u64::from(drain_s) * 1_000_000_000);
        *self = Self::Ending(end_ns, signal);
        None
    }

    /// The signal that ends it, once it has drained.
    pub(super) fn ended(self, now_ns: u64) -> Option<&'static str> {
        match self {
            Self::Ending(end_ns, signal) if end_ns <= now_ns => Some(signal),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_taken_back_but_an_end_is_not() {
        let mut drain = Drain::default();
        assert!(drain.order(true) && drain.is_on() && !drain.order(true));
        assert!(drain.order(false) && !drain.is_on());
        assert_eq!(drain.end("SIGTERM", 3, 10), None);
        assert!(drain.is_on() && !drain.order(false) && drain.is_on());
        assert_eq!(drain.end_ns(), Some(3_000_000_010));
        assert_eq!(drain.ended(3_000_000_009), None);
        assert_eq!(drain.ended(3_000_000_010), Some("SIGTERM"));
        assert_eq!(drain.end("SIGINT", 3, 11), Some("SIGINT"));
        assert_eq!(Drain::default().end("SIGTERM", 0, 10), Some("SIGTERM"));
    }
}
