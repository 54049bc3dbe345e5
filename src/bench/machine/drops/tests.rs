use proptest::prelude::*;

use super::*;

// As Linux 6.18 writes them, on a machine whose numbers have their low byte first.
#[cfg(target_endian = "little")]
const UDP: &str = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops            
 1063: 0100007F:007B 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 52111 2 0000000000000000 12        
 1063: 00000000:007B 00000000:0000 07 00000000:00001500 00:00000000 00000000     0        0 52112 2 0000000000000000 7         
 1063: 00000000:007B 00000000:0000 07 00000000:00000000 00:00000000 00000000   101        0 52113 2 0000000000000000 4294967295
 1063: 020200C0:007B 0102000A:007B 01 00000000:00000000 00:00000000 00000000     0        0 52114 2 0000000000000000 99        
 1064: 00000000:007C 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 52115 2 0000000000000000 0         
";
#[cfg(target_endian = "little")]
const UDP6: &str = "  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
 1063: 00000000000000000000000000000000:007B 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 60001 2 0000000000000000 3
 1063: 00000000000000000000000001000000:007B 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 60002 2 0000000000000000 4
 1063: 0000000000000000FFFF00000200000A:0080 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 60003 2 0000000000000000 5
";

const SNMP: &str = "Icmp: InMsgs InErrors\nIcmp: 5 5\n\
Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors IgnoredMulti MemErrors
Udp: 196681089 104663 6366620 163014331 6366618 3 2 0 0
UdpLite: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors IgnoredMulti MemErrors
UdpLite: 0 0 1 0 1 1 1 0 0\n";

const DEV: &str =
    "Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 17104464853 163125361    0    0    0     0          0         0 17104464853 163125361    0    0    0     0       0          0
 veth1: 416640038   23829    0    3    0     0          0         0  1526970   13635    0    4    0     0       0          0
eth0.5:      10       1    0    0    0     0          0         0       20       2    0    0    0     0       0          0
";

#[cfg(target_endian = "little")]
#[test]
fn the_sockets_that_hear_an_address_are_found() {
    let hears = |text: &str, target: &str| {
        let target = target.parse().expect("an address");
        let found = nearest(parse_sockets(text), target);
        let found = found.iter().map(|socket| (socket.inode, socket.dropped));
        found.collect::<Vec<_>>()
    };
    assert_eq!(hears(UDP, "127.0.0.1:123"), [(52111, 12)]);
    assert_eq!(hears(UDP, "127.0.0.2:123"), [(52112, 7), (52113, u32::MAX)]);
    // One of this address talks to one peer only.
    assert_eq!(hears(UDP, "192.0.2.2:123"), [(52112, 7), (52113, u32::MAX)]);
    assert_eq!(hears(UDP, "127.0.0.1:125"), []);
    assert_eq!(hears(UDP6, "[::1]:123"), [(60002, 4)]);
    assert_eq!(hears(UDP6, "[::2]:123"), [(60001, 3)]);
    assert_eq!(hears(UDP6, "10.0.0.2:128"), [(60003, 5)]);
    assert_eq!(hears(UDP6, "10.0.0.2:123"), [(60001, 3)]);
}

#[test]
fn errors_of_udp_are_found_by_name() {
    let errors = UdpErrors {
        in_errors: 6_366_620,
        receive_buffer: 6_366_618,
        send_buffer: 3,
        checksum: 2,
    };
    assert_eq!(parse_snmp(SNMP), errors);
    let snmp6 = "Ip6InReceives                   \t22\nUdp6InErrors                    \t9\n\
        Udp6RcvbufErrors                \t8\nUdp6SndbufErrors                \t7\nUdp6InCsumErrors                \t1\n\
        UdpLite6InErrors                \t5\n";
    let errors = UdpErrors {
        in_errors: 9,
        receive_buffer: 8,
        send_buffer: 7,
        checksum: 1,
    };
    assert_eq!(parse_snmp6(snmp6), errors);
    assert_eq!(parse_snmp(""), UdpErrors::default());
}

#[test]
fn interfaces_have_drops_both_ways() {
    let interfaces = parse_interfaces(DEV);
    let names: Vec<_> = interfaces.iter().map(|i| i.name.as_str()).collect();
    assert_eq!(names, ["lo", "veth1", "eth0.5"]);
    let veth = &interfaces[1];
    assert_eq!((veth.rx_packets, veth.tx_packets), (23829, 13635));
    assert_eq!((veth.rx_dropped, veth.tx_dropped), (3, 4));
}

#[test]
fn backlogs_are_summed_over_cores() {
    let text = "05f78e7d 00000002 0000001c 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000\n\
                03c1e7a9 0000000f 00000025 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000001\n";
    let softnet = Softnet {
        dropped: 17,
        squeezed: 0x41,
    };
    assert_eq!(parse_softnet(text), softnet);
}

#[test]
fn what_was_dropped_is_a_difference() {
    let socket = |inode, dropped| SocketDrops {
        inode,
        address: "127.0.0.1:123".parse().expect("an address"),
        dropped,
    };
    let reading = |sockets: &[SocketDrops], scale: u64| Drops {
        sockets: sockets.to_vec(),
        networks: vec![Network {
            whose: Whose::Both,
            udp: UdpErrors {
                in_errors: 2 * scale,
                receive_buffer: scale,
                send_buffer: 0,
                checksum: 0,
            },
            udp6: UdpErrors::default(),
            interfaces: vec![
                InterfaceDrops {
                    name: "idle".into(),
                    rx_packets: 4,
                    ..InterfaceDrops::default()
                },
                InterfaceDrops {
                    name: "lo".into(),
                    rx_packets: 100 * scale,
                    ..InterfaceDrops::default()
                },
            ],
        }],
        softnet: Softnet {
            dropped: scale,
            squeezed: 5,
        },
    };
    let before = reading(&[socket(1, u32::MAX), socket(2, 8)], 1);
    let after = reading(&[socket(1, 4), socket(3, 6)], 3);
    let drops = after.since(&before);
    // The counter of the first went round, the third socket is new.
    assert_eq!(drops.sockets, [socket(1, 5), socket(3, 6)]);
    assert_eq!(drops.at_server(), 11);
    assert_eq!(
        (
            drops.networks[0].udp.in_errors,
            drops.networks[0].udp.receive_buffer
        ),
        (4, 2)
    );
    assert_eq!(drops.networks[0].interfaces.len(), 1);
    assert_eq!(drops.networks[0].interfaces[0].rx_packets, 200);
    assert_eq!((drops.softnet.dropped, drops.softnet.squeezed), (2, 0));
}

proptest! {
    #[test]
    fn any_text_is_read_without_a_panic(
        text in "\\PC*|([0-9a-zA-Z]{0,33}[ \t\n:é]{1,2}){0,60}|(Udp6?:? ?[A-Za-z0-9 ]{0,40}\n){0,4}"
    ) {
        let _ = parse_sockets(&text);
        let _ = parse_snmp(&text);
        let _ = parse_snmp6(&text);
        let _ = parse_interfaces(&text);
        let _ = parse_softnet(&text);
    }

    #[test]
    fn an_address_is_read_as_the_kernel_writes_it(ip: [u32; 4], port: u16) {
        let bytes: Vec<u8> = ip.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let v6 = Ipv6Addr::from(<[u8; 16]>::try_from(bytes).expect("16"));
        let text = format!("{:08X}{:08X}{:08X}{:08X}:{port:04X}", ip[0], ip[1], ip[2], ip[3]);
        prop_assert_eq!(parse_address(&text), Some(SocketAddr::new(v6.into(), port)));
        let v4 = Ipv4Addr::from(ip[0].to_ne_bytes());
        let text = format!("{:08X}:{port:04X}", ip[0]);
        prop_assert_eq!(parse_address(&text), Some(SocketAddr::new(v4.into(), port)));
    }
}
