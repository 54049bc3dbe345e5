//! The bad network and the bad clock that other tests use, themselves.

#[path = "impaired/proxy.rs"]
mod proxy;
#[path = "impaired/skewed.rs"]
mod skewed;

use std::net::{IpAddr, UdpSocket};
use std::time::Duration;

use maser::auth::KeyStore;
use maser::sys::{Timespec, clock};
use maser::wire::{HeaderMut, HeaderView, Mode, NtpTimestamp, RawTime};
use proxy::{Impairment, Proxy};
use skewed::{Skew, SkewedServer};

const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fn raw(at: Timespec) -> RawTime {
    RawTime(NtpTimestamp::from_unix(at.secs, at.nanos))
}

/// Offset and delay in seconds, and when; `None` without a reply.
fn ask(socket: &UdpSocket) -> Option<(f64, f64, RawTime)> {
    let mut request = [0; 48];
    let mut header = HeaderMut::new(&mut request);
    header.set_first(maser::wire::LeapIndicator::NoWarning, 4, Mode::Client);
    header.set_transmit_timestamp(NtpTimestamp::from_bits(clock::monotonic_ns()));
    let origin = HeaderView::new(&request).transmit_timestamp();
    let departure = raw(clock::realtime());
    socket.send(&request).unwrap();
    let mut reply = [0; 256];
    loop {
        let len = socket.recv(&mut reply).ok()?;
        let arrival = raw(clock::realtime());
        let header = HeaderView::at_front(&reply[..len])?;
        if header.origin_timestamp() != origin {
            continue; // An old one, come again.
        }
        let there_s = (header.receive_timestamp() - departure.0).to_seconds();
        let back_s = (header.transmit_timestamp() - arrival.0).to_seconds();
        return Some(((there_s + back_s) / 2.0, there_s - back_s, arrival));
    }
}

fn socket(to: std::net::SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(to).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    socket
}

#[test]
fn a_skewed_clock_is_off_by_its_line() {
    let skew = Skew {
        offset_s: 0.3,
        frequency: 40e-6,
        ..Skew::default()
    };
    let server = SkewedServer::start(LOOPBACK, 0, skew, KeyStore::default());
    let socket = socket(server.address());
    let mut best = f64::INFINITY;
    for _ in 0..50 {
        let (offset_s, _, at) = ask(&socket).expect("it answers");
        best = best.min((offset_s - server.ahead_s(at)).abs());
    }
    assert!(best < 100e-6, "{best}");
    server.change(|skew| skew.is_silent = true);
    assert!(ask(&socket).is_none());
}

#[test]
fn a_relay_delays_loses_and_repeats() {
    let server = SkewedServer::start(LOOPBACK, 0, Skew::default(), KeyStore::default());
    let way = |millis| Duration::from_millis(millis);
    let impairment = Impairment {
        delay: [way(4), way(2)],
        ..Impairment::default()
    };
    let proxy = Proxy::start(server.address(), impairment, 1);
    let socket = socket(proxy.address());
    let delays = (0..20).map(|_| ask(&socket).expect("it goes through").1);
    let least = delays.fold(f64::INFINITY, f64::min);
    assert!((6e-3..8e-3).contains(&least), "{least}");
    proxy.change(|impairment| {
        impairment.loss = 0.3;
        impairment.delay = [Duration::ZERO; 2];
        impairment.doubled = 0.5;
        impairment.replayed = 0.5;
    });
    let answered = (0..40).filter(|_| ask(&socket).is_some()).count();
    // 0.7 each way: half come back.
    assert!((5..38).contains(&answered), "{answered}");
    proxy.change(|impairment| impairment.is_silent = true);
    assert!(ask(&socket).is_none());
}
