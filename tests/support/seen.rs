//! What a server's replies say, seen by somebody on the same machine.

use std::net::{SocketAddr, UdpSocket};
use std::thread::sleep;
use std::time::{Duration, Instant};

use maser::sys::{Timespec, clock};
use maser::wire::{HeaderMut, HeaderView, LeapIndicator, Mode, NtpTimestamp, RawTime, ReferenceId};

/// What one exchange shows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) at: RawTime,
    pub(crate) offset_s: f64,
    pub(crate) delay_s: f64,
    pub(crate) leap: LeapIndicator,
    pub(crate) stratum: u8,
    pub(crate) root_delay_s: f64,
    pub(crate) root_dispersion_s: f64,
    pub(crate) reference_id: ReferenceId,
}

fn raw(at: Timespec) -> RawTime {
    RawTime(NtpTimestamp::from_unix(at.secs, at.nanos))
}

/// Asks once; `None` without a reply.
pub(crate) fn ask(server: SocketAddr) -> Option<Seen> {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.connect(server).expect("loopback");
    socket
        .set_read_timeout(Some(Duration::from_secs(1)))
        .expect("not zero");
    let mut request = [0; 48];
    let mut header = HeaderMut::new(&mut request);
    header.set_first(LeapIndicator::NoWarning, 4, Mode::Client);
    header.set_transmit_timestamp(NtpTimestamp::from_bits(clock::monotonic_ns()));
    let departure = raw(clock::realtime());
    socket.send(&request).ok()?;
    let mut reply = [0; 256];
    let len = socket.recv(&mut reply).ok()?;
    let arrival = raw(clock::realtime());
    let header = HeaderView::at_front(&reply[..len])?;
    let there_s = (header.receive_timestamp() - departure.0).to_seconds();
    let back_s = (header.transmit_timestamp() - arrival.0).to_seconds();
    Some(Seen {
        at: arrival,
        offset_s: f64::midpoint(there_s, back_s),
        delay_s: there_s - back_s,
        leap: header.leap(),
        stratum: header.stratum(),
        root_delay_s: header.root_delay().to_duration().to_seconds(),
        root_dispersion_s: header.root_dispersion().to_duration().to_seconds(),
        reference_id: header.reference_id(),
    })
}

/// The exchange of the least delay of many: what the host does between two readings is not the server's.
pub(crate) fn look(server: SocketAddr) -> Seen {
    let all = (0..40).filter_map(|_| ask(server));
    let best = all.min_by(|a, b| a.delay_s.total_cmp(&b.delay_s));
    best.expect("it answers")
}

#[expect(clippy::disallowed_methods, reason = "a test waits on the real clock")]
pub(crate) fn within(limit: Duration, what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < limit, "not within {limit:?}: {what}");
        sleep(Duration::from_millis(50));
    }
}
