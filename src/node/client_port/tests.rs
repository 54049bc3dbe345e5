//! Over loopback, whose driver stamps what leaves.

use std::net::UdpSocket;
use std::time::Duration;

use mio::{Events, Poll};

use super::*;

fn server(address: &str) -> UdpSocket {
    let socket = UdpSocket::bind(address).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    socket
}

fn options(peer: SocketAddr) -> ClientPortOptions {
    ClientPortOptions {
        peer,
        local: None,
        port: 0,
        device: None,
        dscp: 0,
        hardware: false,
    }
}

fn is_ordered(moments: &[RawTime]) -> bool {
    moments
        .windows(2)
        .all(|pair| (pair[1].0 - pair[0].0).to_nanos() >= 0)
}

#[test]
fn both_stamps_come_and_are_ordered() {
    for (address, hardware) in [
        ("127.0.0.1:0", false),
        ("[::1]:0", false),
        ("127.0.0.1:0", true),
    ] {
        let peer = server(address);
        let mut port = ClientPort::open(&ClientPortOptions {
            hardware,
            ..options(peer.local_addr().unwrap())
        })
        .unwrap();
        let mut poll = Poll::new().unwrap();
        let interest = Interest::READABLE;
        poll.registry()
            .register(&mut port, Token(7), interest)
            .unwrap();
        for number in 0..10 {
            let mut packet = [0; 100];
            let before = port.send(&[number; 48]).unwrap();
            let (len, from) = peer.recv_from(&mut packet).unwrap();
            assert_eq!((len, from), (48, port.local().unwrap()));
            peer.send_to(&packet[..48], from).unwrap();

            let mut events = Events::with_capacity(4);
            poll.poll(&mut events, Some(Duration::from_secs(5)))
                .unwrap();
            assert_eq!(events.iter().next().unwrap().token(), Token(7));

            let (of, left) = port.departure().expect("loopback's stamp");
            assert_eq!(
                (of, left.daemon, left.hardware),
                (number.into(), before, None)
            );
            let mut buffer = [0; 200];
            let Some(ClientEvent::Packet(48, arrived)) = port.receive(&mut buffer) else {
                panic!("no reply");
            };
            assert_eq!(buffer[..48], [number; 48]);
            let (left_at, by) = left.best();
            assert_eq!(by, StampSource::Kernel);
            let (arrived_at, by) = arrived.best();
            assert_eq!(by, StampSource::Kernel);
            assert!(is_ordered(&[before, left_at, arrived_at, arrived.daemon]));
            assert!(port.receive(&mut buffer).is_none() && port.departure().is_none());
        }
        poll.registry().deregister(&mut port).unwrap();
    }
}

/// Nobody has the port: that is told once, and the socket goes on.
#[test]
fn a_refused_request_is_an_event() {
    let address = server("127.0.0.77:0").local_addr().unwrap();
    let mut port = ClientPort::open(&options(address)).unwrap();
    port.send(&[1; 48]).unwrap();
    let mut buffer = [0; 100];
    match port.receive(&mut buffer) {
        Some(ClientEvent::Refused(error)) => {
            assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        }
        other => panic!("{other:?}"),
    }
    assert!(port.receive(&mut buffer).is_none());
    // Nor does an error that nobody has taken keep the next request from leaving.
    port.send(&[2; 48]).unwrap();
    let peer = server(&address.to_string());
    port.send(&[3; 48]).unwrap();
    assert_eq!(peer.recv(&mut buffer).unwrap(), 48);
    assert_eq!(buffer[0], 3);
    let numbers: Vec<_> = std::iter::from_fn(|| port.departure())
        .map(|(n, _)| n)
        .collect();
    assert_eq!(numbers, [0, 1, 2]);
}

#[test]
fn a_stamp_from_before_a_step_is_not_used() {
    let at = |secs| Timespec { secs, nanos: 0 };
    let noted = Noted::new(raw(at(1000)), Some(at(1002)), None);
    assert_eq!(noted.best(), (raw(at(1000)), StampSource::Daemon));
    let noted = Noted::new(raw(at(1000)), Some(at(1001)), Some(at(5)));
    assert_eq!(noted.best(), (raw(at(1001)), StampSource::Kernel));
    assert_eq!(noted.hardware, Some(at(5)));
}

#[test]
fn the_local_end_is_as_it_was_asked_for() {
    let peer = server("127.0.0.1:0");
    let mut port = ClientPort::open(&ClientPortOptions {
        local: Some("127.0.0.9".parse().unwrap()),
        device: Some("lo".to_owned()),
        ..options(peer.local_addr().unwrap())
    })
    .unwrap();
    port.send(b"x").unwrap();
    let (_, from) = peer.recv_from(&mut [0; 10]).unwrap();
    assert_eq!(from.ip().to_string(), "127.0.0.9");
    let absent = ClientPortOptions {
        device: Some("absent0".to_owned()),
        ..options(peer.local_addr().unwrap())
    };
    let error = ClientPort::open(&absent).err().unwrap();
    assert!(error.to_string().starts_with("SO_BINDTODEVICE"), "{error}");
}
