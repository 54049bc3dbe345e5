//! chronyc asks and orders a node whose clients the kernel answers.

use std::net::IpAddr;
use std::time::Duration;

use super::asker::Asker;
use super::support::client::field;
use super::support::seen::within;
use super::support::tool;
use super::wire::{CLIENT_V4, CLIENT_V6, INTERFACE, Node, on_wire};

fn by_kernel(node: &Node, outcome: &str) -> u64 {
    let labels = [("cpu", "xdp"), ("outcome", outcome)];
    node.figures().count("maser_requests_total", &labels)
}

fn columns(text: &str, start: &str) -> Vec<String> {
    let mut lines = text.lines().filter(|line| line.starts_with(start));
    let found = lines.next();
    let found = found.unwrap_or_else(|| panic!("no line {start} in:\n{text}"));
    assert_eq!(lines.next(), None, "once in:\n{text}");
    found.split(',').map(str::to_owned).collect()
}

const LINES: [&str; 4] = [
    "allow 10.9.0.0/24",
    "allow fd09::/32",
    "local stratum 3",
    "fastpath wire",
];

#[test]
fn reports_count_what_either_has_answered() {
    on_wire("orders::reports_count_what_either_has_answered", |wire| {
        if tool::need("chronyc").is_none() {
            return;
        }
        let others: [IpAddr; 2] = ["10.9.0.3", "10.9.0.4"].map(|text| text.parse().expect("one"));
        wire.add_clients(&others);
        let node = wire.start(&LINES);
        let extension = field(0x0104, 28);
        let mut both = Asker::new(CLIENT_V4);
        both.is_answered(25, &[]);
        both.is_answered(5, &extension);
        Asker::new(others[0]).is_answered(10, &[]);
        Asker::new(others[1]).is_answered(3, &extension);
        Asker::new(CLIENT_V6).is_answered(7, &[]);
        assert_eq!(by_kernel(&node, "answered"), 42);
        let stats = node.chronyc("serverstats");
        assert_eq!(columns(&stats, "")[0], "50", "{stats}");
        let clients = node.chronyc("clients");
        for (address, hits) in [
            ("10.9.0.2,", "30"),
            ("10.9.0.3,", "10"),
            ("10.9.0.4,", "3"),
            ("fd09::2,", "7"),
        ] {
            assert_eq!(columns(&clients, address)[1], hits, "{clients}");
        }
        assert_eq!(clients.lines().count(), 4, "{clients}");
        // Who is told of begins at zero.
        assert_eq!(node.chronyc("clients -r").lines().count(), 4);
        both.is_answered(2, &[]);
        let clients = node.chronyc("clients");
        assert_eq!(columns(&clients, "10.9.0.2,")[1], "2", "{clients}");
        assert_eq!(columns(&clients, "10.9.0.3,")[1], "0", "{clients}");
        assert_eq!(columns(&clients, "fd09::2,")[1], "0", "{clients}");
    });
}

#[test]
fn access_changes_at_once() {
    on_wire("orders::access_changes_at_once", |wire| {
        if tool::need("chronyc").is_none() {
            return;
        }
        let node = wire.start(&LINES);
        for (address, subnet) in [(CLIENT_V4, "10.9.0.0/30"), (CLIENT_V6, "fd09::2")] {
            let mut client = Asker::new(address);
            client.is_answered(1, &[]);
            let check = format!("accheck {address}");
            for _ in 0..3 {
                let before = by_kernel(&node, "denied");
                assert!(node.chronyc(&format!("deny {subnet}")).contains("200 OK"));
                assert!(node.chronyc(&check).contains("209 Access denied"));
                assert!(!client.has_answer(&[]), "{address} is denied");
                assert_eq!(by_kernel(&node, "denied"), before + 1);
                let answered = by_kernel(&node, "answered");
                assert!(node.chronyc(&format!("allow {subnet}")).contains("200 OK"));
                assert!(node.chronyc(&check).contains("208 Access allowed"));
                client.is_answered(1, &[]);
                assert_eq!(by_kernel(&node, "answered"), answered + 1);
            }
        }
    });
}

#[test]
fn addresses_come_and_go() {
    on_wire("orders::addresses_come_and_go", |wire| {
        let node = wire.start(&LINES);
        for (client, new, length) in [(CLIENT_V4, "10.9.7.1", 16), (CLIENT_V6, "fd09::7:1", 32)] {
            let flag = if client.is_ipv4() { "" } else { " nodad" };
            let address = format!("{new}/{length} dev {INTERFACE}");
            wire.ip(&format!("addr add {address}{flag}"));
            let mut asker = Asker::to(client, new.parse().expect("an address"));
            asker.is_answered(1, &[]);
            within(Duration::from_secs(3), "the kernel answers there", || {
                let before = by_kernel(&node, "answered");
                asker.is_answered(1, &[]);
                by_kernel(&node, "answered") > before
            });
            wire.ip(&format!("addr del {address}"));
            within(Duration::from_secs(3), "nobody answers there", || {
                !asker.has_answer(&[])
            });
        }
    });
}
