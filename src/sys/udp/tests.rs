//! Over real loopback sockets: what the kernel does is what is tested here.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::time::Duration;

use super::super::burst::{LocalAddress, ReceiveStamp};
use super::super::clock;
use super::super::steering::{Family, Program};
use super::*;

const SLOTS: usize = 8;

fn options(address: &str, shared: bool) -> PortOptions {
    PortOptions {
        address: address.parse().unwrap(),
        device: None,
        dscp: 46,
        shared,
        buffer_bytes: 1 << 20,
    }
}

fn client(server: SocketAddr) -> UdpSocket {
    let local: IpAddr = if server.is_ipv6() { "::1" } else { "127.0.0.1" }
        .parse()
        .unwrap();
    let client = UdpSocket::bind((local, 0)).unwrap();
    client.connect(server).unwrap();
    client
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    client
}

/// Receives until something came; loopback delivers before `send` returns, so a few turns suffice.
fn receive(port: &UdpPort, burst: &mut Burst) -> usize {
    for _ in 0..1000 {
        let received = port.receive(burst).unwrap();
        if received > 0 {
            return received;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("nothing arrived");
}

fn reachable(port: &UdpPort, host: &str) -> SocketAddr {
    SocketAddr::new(host.parse().unwrap(), port.address().port())
}

#[test]
fn a_burst_is_echoed_in_place() {
    let port = UdpPort::open(&options("127.0.0.1:0", false)).unwrap();
    let mut burst = Burst::new(SLOTS, 100);
    let clients: Vec<_> = (0..5).map(|_| client(port.address())).collect();
    for (number, client) in (0u8..).zip(&clients) {
        client.send(&[number; 60]).unwrap();
    }
    let mut echoed = 0;
    while echoed < clients.len() {
        let received = receive(&port, &mut burst);
        for slot in 0..received {
            let datagram = burst.datagram(slot);
            assert_eq!((datagram.len, datagram.local), (60, LocalAddress::Bound));
            let number = burst.payload_mut(slot, 60)[0];
            let sender = clients[usize::from(number)].local_addr().unwrap();
            assert_eq!((datagram.peer, datagram.port), (sender.ip(), sender.port()));
            burst.payload_mut(slot, 60)[0] += 100;
            if number != 2 {
                burst.keep(slot, &datagram, 48, false);
            }
        }
        let kept = burst.kept();
        assert_eq!(
            port.transmit(&mut burst),
            Transmitted {
                sent: kept,
                ..Default::default()
            }
        );
        assert_eq!(burst.kept(), 0);
        echoed += received;
    }
    let mut reply = [0; 100];
    for (number, client) in (0u8..).zip(&clients).filter(|(number, _)| *number != 2) {
        assert_eq!(client.recv(&mut reply).unwrap(), 48);
        assert_eq!(reply[..2], [number + 100, number]);
    }
}

#[test]
fn a_burst_of_our_own_finds_its_peers() {
    for host in ["127.0.0.1:0", "[::1]:0"] {
        let port = UdpPort::open(&options(host, false)).unwrap();
        let (one, two) = (client(port.address()), client(port.address()));
        let mut burst = Burst::new(SLOTS, 64);
        for round in 0..3 {
            burst.start(
                0,
                one.local_addr().unwrap(),
                LocalAddress::Bound,
                false,
                &[round; 48],
            );
            burst.start(
                1,
                two.local_addr().unwrap(),
                LocalAddress::Bound,
                false,
                &[round + 10; 500],
            );
            assert_eq!(port.transmit(&mut burst).sent, 2);
            let mut reply = [0; 600];
            assert_eq!((one.recv(&mut reply).unwrap(), reply[47]), (48, round));
            assert_eq!((two.recv(&mut reply).unwrap(), reply[63]), (64, round + 10));
            one.send(&[7; 20]).unwrap();
            assert_eq!((receive(&port, &mut burst), burst.datagram(0).len), (1, 20));
        }
    }
}

#[test]
fn a_connected_port_talks_to_its_peer_only_and_gets_no_stamps() {
    let (server, stranger) = (
        UdpPort::open(&options("127.0.0.1:0", false)).unwrap(),
        UdpPort::open_plain(&options("127.0.0.1:0", false)).unwrap(),
    );
    let asker = UdpPort::open_plain(&options("127.0.0.1:0", false)).unwrap();
    asker.connect(server.address()).unwrap();
    let mut burst = Burst::new(SLOTS, 64);
    burst.start(3, asker.address(), LocalAddress::Bound, false, &[9; 48]);
    assert_eq!(stranger.transmit(&mut burst).sent, 1);

    burst.start_connected(5, &[7; 200]);
    assert_eq!(asker.transmit(&mut burst).sent, 1);
    assert_eq!(receive(&server, &mut burst), 1);
    let request = burst.datagram(0);
    assert_eq!((request.len, request.port), (64, asker.address().port()));
    burst.keep(0, &request, 48, false);
    assert_eq!(server.transmit(&mut burst).sent, 1);

    assert_eq!(receive(&asker, &mut burst), 1);
    let reply = burst.datagram(0);
    assert_eq!((reply.len, reply.port), (48, server.address().port()));
    assert_eq!(reply.stamp, ReceiveStamp::default());
    assert_eq!(burst.payload_mut(0, 48), [7; 48]);
}

#[test]
fn what_is_sent_joined_arrives_apart() {
    let server = UdpPort::open(&options("0.0.0.0:0", false)).unwrap();
    let asker = UdpPort::open_plain(&options("127.0.0.1:0", false)).unwrap();
    asker.connect(reachable(&server, "127.0.0.1")).unwrap();
    let mut burst = Burst::new(SLOTS, 100);
    for (number, len) in [(SLOTS, 48), (1, 68), (3, 68)] {
        for slot in 0..number {
            burst.start_connected(slot, &vec![u8::try_from(slot).unwrap(); len]);
        }
        asker
            .transmit_joined(&mut burst, u16::try_from(len).unwrap())
            .unwrap();
        assert_eq!(burst.kept(), 0);
        let mut taken = 0;
        while taken < number {
            for slot in 0..receive(&server, &mut burst) {
                let datagram = burst.datagram(slot);
                assert_eq!((datagram.len, datagram.port), (len, asker.address().port()));
                assert_eq!(datagram.local, LocalAddress::V4(Ipv4Addr::LOCALHOST));
                let sent_as = u8::try_from(taken).unwrap();
                assert_eq!(burst.payload_mut(slot, len), vec![sent_as; len]);
                taken += 1;
            }
        }
        // What follows is sent one by one again.
        burst.start_connected(0, &[1; 20]);
        burst.start_connected(1, &[2; 30]);
        assert_eq!(asker.transmit(&mut burst).sent, 2);
        assert_eq!(receive(&server, &mut burst), 2);
        assert_eq!((burst.datagram(0).len, burst.datagram(1).len), (20, 30));
    }
}

#[test]
fn what_is_longer_than_a_slot_fills_it_and_lengths_are_rearmed() {
    let port = UdpPort::open(&options("127.0.0.1:0", false)).unwrap();
    let mut burst = Burst::new(1, 64);
    let client = client(port.address());
    for (sent, expected) in [(200, 64), (10, 10), (0, 0), (64, 64)] {
        client.send(&vec![1; sent]).unwrap();
        receive(&port, &mut burst);
        let datagram = burst.datagram(0);
        assert_eq!(datagram.len, expected);
        assert_eq!(datagram.port, client.local_addr().unwrap().port());
    }
    assert_eq!(port.receive(&mut burst).unwrap(), 0);
}

#[test]
fn arrivals_are_stamped_by_the_kernel() {
    let port = UdpPort::open(&options("127.0.0.1:0", false)).unwrap();
    let client = client(port.address());
    let mut burst = Burst::new(SLOTS, 64);
    // Stamping starts a little after it is asked for.
    for _ in 0..200 {
        let before = clock::realtime();
        client.send(&[0; 48]).unwrap();
        receive(&port, &mut burst);
        if let ReceiveStamp {
            software: Some(stamp),
            hardware: None,
            ..
        } = burst.datagram(0).stamp
        {
            assert!(stamp.nanos_since(before) >= 0 && clock::realtime().nanos_since(stamp) >= 0);
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("no receive stamp in a second");
}

#[test]
fn a_wildcard_port_answers_from_the_address_asked() {
    for (bind, hosts) in [
        ("0.0.0.0:0", ["127.0.0.1", "127.0.0.9"]),
        ("[::]:0", ["::1", "::1"]),
    ] {
        let port = UdpPort::open(&options(bind, false)).unwrap();
        let mut burst = Burst::new(SLOTS, 64);
        for host in hosts {
            let client = client(reachable(&port, host));
            client.send(&[3; 48]).unwrap();
            receive(&port, &mut burst);
            let datagram = burst.datagram(0);
            match datagram.local {
                LocalAddress::V4(address) => {
                    assert_eq!(IpAddr::V4(address), host.parse::<IpAddr>().unwrap())
                }
                LocalAddress::V6(address, _) => {
                    assert_eq!(IpAddr::V6(address), host.parse::<IpAddr>().unwrap())
                }
                LocalAddress::Bound => panic!("no destination"),
            }
            burst.keep(0, &datagram, 48, false);
            assert_eq!(port.transmit(&mut burst).sent, 1);
            // A connected socket takes datagrams from its peer's address only.
            assert_eq!(client.recv(&mut [0; 64]).unwrap(), 48);
        }
    }
}

#[test]
fn a_refused_destination_does_not_stop_the_others() {
    let port = UdpPort::open(&options("127.0.0.1:0", false)).unwrap();
    let mut burst = Burst::new(SLOTS, 64);
    let clients = [
        client(port.address()),
        client(port.address()),
        client(port.address()),
    ];
    for client in &clients {
        client.send(&[3; 48]).unwrap();
    }
    std::thread::sleep(Duration::from_millis(10));
    assert_eq!(receive(&port, &mut burst), 3);
    for slot in 0..3 {
        let mut datagram = burst.datagram(slot);
        if slot == 1 {
            // An address that is not ours: the kernel answers EINVAL.
            datagram.local = LocalAddress::V4(Ipv4Addr::new(192, 0, 2, 77));
        }
        burst.keep(slot, &datagram, 48, false);
    }
    let transmitted = port.transmit(&mut burst);
    assert_eq!(
        transmitted,
        Transmitted {
            sent: 2,
            refused: 1,
            no_room: 0
        }
    );
    assert_eq!(clients[0].recv(&mut [0; 64]).unwrap(), 48);
    assert_eq!(clients[2].recv(&mut [0; 64]).unwrap(), 48);
}

#[test]
fn a_reply_is_stamped_where_it_is_asked_for() {
    for (bind, host) in [("127.0.0.1:0", "127.0.0.1"), ("[::]:0", "::1")] {
        let port = UdpPort::open(&options(bind, false)).unwrap();
        let client = client(reachable(&port, host));
        let (mut burst, mut errors) = (Burst::new(SLOTS, 64), Burst::new(SLOTS, 64));
        for stamped in [false, true, false, true] {
            client.send(&[3; 48]).unwrap();
            receive(&port, &mut burst);
            let datagram = burst.datagram(0);
            burst.keep(0, &datagram, 48, stamped);
            let before = clock::realtime();
            assert_eq!(port.transmit(&mut burst).sent, 1);
            let mut stamps = Vec::new();
            for _ in 0..100 {
                port.take_transmit_stamps(&mut errors, |stamp| stamps.push(stamp))
                    .unwrap();
                if stamps.len() == usize::from(stamped) {
                    break;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            assert_eq!(stamps.len(), usize::from(stamped));
            for stamp in stamps {
                assert!(stamp.software.unwrap().nanos_since(before) >= 0);
            }
        }
    }
}

#[test]
fn stamps_are_numbered_in_the_order_of_sending_until_they_are_renumbered() {
    let port = UdpPort::open(&options("127.0.0.1:0", false)).unwrap();
    let client = client(port.address());
    let mut burst = Burst::new(SLOTS, 64);
    let mut numbers = Vec::new();
    for round in 0..6 {
        if round == 4 {
            port.renumber_stamps().unwrap();
        }
        client.send(&[3; 48]).unwrap();
        receive(&port, &mut burst);
        let datagram = burst.datagram(0);
        // Every other one is not stamped, and not counted.
        burst.keep(0, &datagram, 48, round % 2 == 0);
        port.transmit(&mut burst);
        std::thread::sleep(Duration::from_millis(2));
        port.take_transmit_stamps(&mut burst, |stamp| numbers.push(stamp.number))
            .unwrap();
    }
    assert_eq!(numbers, [0, 1, 0]);
}

#[test]
fn drops_of_a_full_queue_are_counted() {
    let port = UdpPort::open(&PortOptions {
        buffer_bytes: 4096,
        ..options("127.0.0.1:0", false)
    })
    .unwrap();
    let client = client(port.address());
    assert_eq!(port.dropped().unwrap(), 0);
    for _ in 0..1000 {
        client.send(&[0; 48]).unwrap();
    }
    assert!(port.dropped().unwrap() > 100);
}

/// Opens `count` ports of one group, in order.
fn group(bind: &str, count: usize) -> Vec<UdpPort> {
    let first = UdpPort::open(&options(bind, true)).unwrap();
    let address = first.address().to_string();
    let others = (1..count).map(|_| UdpPort::open(&options(&address, true)).unwrap());
    std::iter::once(first).chain(others).collect()
}

fn sockets_met(ports: &[UdpPort], burst: &mut Burst) -> Vec<usize> {
    std::thread::sleep(Duration::from_millis(20));
    ports
        .iter()
        .map(|port| {
            let mut met = 0;
            loop {
                match port.receive(burst).unwrap() {
                    0 => return met,
                    received => met += received,
                }
            }
        })
        .collect()
}

#[test]
fn one_address_meets_one_socket_and_many_spread() {
    let key = std::array::from_fn(|at| [3, 141, 59, 26, 53][at % 5] ^ [7, 201, 88][at % 3]);
    let ports = group("127.0.0.1:0", 4);
    ports[0]
        .steer(&Program::source_address(Family::V4, &key, 4))
        .unwrap();
    let mut burst = Burst::new(SLOTS, 64);
    for _ in 0..200 {
        client(ports[0].address()).send(&[0; 48]).unwrap();
    }
    let met = sockets_met(&ports, &mut burst);
    assert_eq!(met.iter().filter(|count| **count > 0).count(), 1, "{met:?}");
    assert_eq!(met.iter().sum::<usize>(), 200);

    for host in 1..=200 {
        let sender = UdpSocket::bind((Ipv4Addr::new(127, 0, 3, host), 0)).unwrap();
        sender.send_to(&[0; 48], ports[0].address()).unwrap();
    }
    let met = sockets_met(&ports, &mut burst);
    assert!(met.iter().all(|count| (20..=90).contains(count)), "{met:?}");
}

#[test]
fn ipv6_source_steering_is_taken_by_the_kernel() {
    let ports = group("[::1]:0", 3);
    ports[0]
        .steer(&Program::source_address(Family::V6, &[0x5a; 40], 3))
        .unwrap();
    for _ in 0..50 {
        client(ports[0].address()).send(&[0; 48]).unwrap();
    }
    let met = sockets_met(&ports, &mut Burst::new(SLOTS, 64));
    assert_eq!(met.iter().filter(|count| **count > 0).count(), 1, "{met:?}");
}

#[test]
fn cpu_steering_answers_with_the_receiving_core() {
    let ports = group("127.0.0.1:0", 2);
    let mine = core_affinity::get_core_ids().unwrap()[0];
    // Loopback hands a datagram over on the sender's core.
    let cpu = u32::try_from(mine.id).unwrap();
    ports[0]
        .steer(&Program::receiving_cpu(&[cpu + 1000, cpu]))
        .unwrap();
    let address = ports[0].address();
    std::thread::spawn(move || {
        assert!(core_affinity::set_for_current(mine));
        for _ in 0..50 {
            client(address).send(&[0; 48]).unwrap();
        }
    })
    .join()
    .unwrap();
    assert_eq!(sockets_met(&ports, &mut Burst::new(SLOTS, 64)), [0, 50]);
}
