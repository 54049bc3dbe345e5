//! Interleaved clients (RFC 9769): what each must remember from one exchange to the next.

use crate::wire::NtpTimestamp;

/// One client.
#[derive(Clone, Copy, Debug)]
struct Association {
    /// The server's receive timestamp in the last reply, until a request has used it.
    origin: Option<NtpTimestamp>,
    /// When that reply arrived here.
    arrived: NtpTimestamp,
    /// The request that used the one before, and when the reply it came from had arrived.
    used_by: u64,
    used_arrived: NtpTimestamp,
}

const NEW: Association = Association {
    origin: None,
    arrived: NtpTimestamp::ZERO,
    used_by: u64::MAX,
    used_arrived: NtpTimestamp::ZERO,
};

/// The clients of one thread, which ask by turns.
pub(super) struct Associations {
    clients: Box<[Association]>,
    next: usize,
}

impl Associations {
    /// So many.
    pub(super) fn new(count: usize) -> Self {
        Self {
            clients: vec![NEW; count.max(1)].into(),
            next: 0,
        }
    }

    /// Whose turn it is.
    pub(super) fn turn(&mut self) -> usize {
        self.next = (self.next + 1) % self.clients.len();
        self.next
    }

    /// The origin timestamp of a client's request with this number: zero where it has no reply to build
    /// on. Each is used once, as the server keeps it for one.
    pub(super) fn origin(&mut self, client: usize, request: u64) -> NtpTimestamp {
        let Some(client) = self.clients.get_mut(client) else {
            return NtpTimestamp::ZERO;
        };
        let Some(origin) = client.origin.take() else {
            return NtpTimestamp::ZERO;
        };
        (client.used_by, client.used_arrived) = (request, client.arrived);
        origin
    }

    /// A good reply came.
    pub(super) fn replied(&mut self, client: usize, receive: NtpTimestamp, arrived: NtpTimestamp) {
        if let Some(client) = self.clients.get_mut(client) {
            (client.origin, client.arrived) = (Some(receive), arrived);
        }
    }

    /// When the reply arrived whose departure an interleaved reply to this request tells.
    pub(super) fn previous_arrival(&self, client: usize, request: u64) -> Option<NtpTimestamp> {
        let client = self.clients.get(client)?;
        (client.used_by == request).then_some(client.used_arrived)
    }

    /// Bytes on the heap.
    pub(super) fn memory_bytes(&self) -> usize {
        size_of_val(&*self.clients)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: u32) -> NtpTimestamp {
        NtpTimestamp::from_unix(1_800_000_000, nanos)
    }

    #[test]
    fn an_exchange_builds_on_the_last_one_once() {
        let mut associations = Associations::new(2);
        let stamp = NtpTimestamp::from_bits(77);
        assert_eq!(associations.origin(1, 5), NtpTimestamp::ZERO);
        associations.replied(1, stamp, at(1_000));
        assert_eq!(associations.origin(1, 6), stamp);
        assert_eq!(associations.previous_arrival(1, 6), Some(at(1_000)));
        assert_eq!(associations.previous_arrival(1, 5), None);
        assert_eq!(associations.origin(1, 7), NtpTimestamp::ZERO);
        associations.replied(1, stamp, at(2_000));
        // The reply to 6 may still come; its basis is not lost by what came since.
        assert_eq!(associations.previous_arrival(1, 6), Some(at(1_000)));
    }
}
