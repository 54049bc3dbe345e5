//! What a datagram costs there and back over loopback, by how many go in one system call; to a port like a
//! server's, with stamps and destination addresses, and to one without.
//!
//! One thread is both sides, so that nothing waits: 10^9 divided by the nanoseconds is the datagrams and
//! replies per second of one core that does all. The kernel stamps everything once one socket wants it, so
//! the port without saves the handing over only.

mod harness;

use std::net::{Ipv4Addr, SocketAddr};

use maser::sys::{Burst, PortOptions, UdpPort};

use harness::{Case, compare};

fn main() {
    let ports = [
        ("bare", UdpPort::open_plain(&options(Ipv4Addr::LOCALHOST))),
        (
            "stamps and destinations",
            UdpPort::open(&options(Ipv4Addr::UNSPECIFIED)),
        ),
    ];
    let ports = ports.map(|(name, port)| (name, port.expect("a port on loopback")));
    let rows = BATCHES
        .iter()
        .flat_map(|batch| ports.iter().map(|(name, port)| (*batch, *name, port)));
    let named: Vec<_> = rows
        .map(|(batch, name, port)| (format!("{batch} in a call, {name}"), echoed(port, batch)))
        .collect();
    let (names, runs): (Vec<String>, Vec<_>) = named.into_iter().unzip();
    let cases = names
        .iter()
        .zip(runs)
        .map(|(name, run)| Case::new(name, run));
    compare("a datagram there and back", &mut cases.collect::<Vec<_>>());
}

/// Sends datagrams, `batch` at a time, to `server`, which sends them back.
fn echoed(server: &UdpPort, batch: usize) -> impl FnMut(u64) -> u64 {
    let client = UdpPort::open_plain(&options(Ipv4Addr::LOCALHOST)).expect("a port on loopback");
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, server.address().port()));
    client.connect(address).expect("loopback");
    let (mut asked, mut answered) = (Burst::new(batch, 96), Burst::new(batch, 96));
    move |n| {
        let mut left = usize::try_from(n).expect("64 bits");
        let mut sum = 0;
        while left > 0 {
            let number = left.min(batch);
            left -= number;
            for slot in 0..number {
                asked.start_connected(slot, &[3; 48]);
            }
            assert_eq!(client.transmit(&mut asked).sent, number);
            let mut waiting = number;
            while waiting > 0 {
                let received = server.receive(&mut answered).expect("loopback");
                for slot in 0..received {
                    let datagram = answered.datagram(slot);
                    answered.keep(slot, &datagram, datagram.len, false);
                }
                waiting -= server.transmit(&mut answered).sent;
            }
            let mut waiting = number;
            while waiting > 0 {
                let received = client.receive(&mut asked).expect("loopback");
                for slot in 0..received {
                    sum += u64::from(asked.payload_mut(slot, 48)[47]);
                }
                waiting -= received;
            }
        }
        sum
    }
}

fn options(host: Ipv4Addr) -> PortOptions {
    PortOptions {
        address: SocketAddr::from((host, 0)),
        device: None,
        dscp: 0,
        shared: false,
        buffer_bytes: 1 << 20,
    }
}

const BATCHES: [usize; 8] = [1, 2, 4, 8, 16, 32, 64, 128];
