use std::collections::BTreeSet;

use super::*;
use crate::config::line::words;

fn read(line: &str) -> Result<Directive, String> {
    parse(&words(line))
        .map(|(_, directive)| directive)
        .map_err(|at| format!("{}: {}", at.column, at.fault))
}

#[test]
fn names_are_in_lower_case_and_unique() {
    let names: BTreeSet<_> = directives().map(|row| row.name).collect();
    assert_eq!(names.len(), directives().count());
    for name in names {
        assert!(
            name.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        );
        assert!(name.len() + 2 <= NAME_LEN_MAX);
    }
}

#[test]
fn names_and_options_have_any_case() {
    assert_eq!(read("PORT 11123"), Ok(Directive::Port(11123)));
    assert_eq!(read("Server a MinPoll 3"), read("server a minpoll 3"));
    assert_eq!(read("pace SPIN"), Ok(Directive::Pace(Pace::Spin)));
}

#[test]
fn all_and_names_of_logs_have_their_own_case() {
    let any = Who::Subnet(crate::server::Subnet::Any);
    let access = |all, who| Directive::Access {
        allow: true,
        all,
        who,
    };
    assert_eq!(read("allow all"), Ok(access(true, any.clone())));
    assert_eq!(read("allow"), Ok(access(false, any)));
    assert_eq!(
        read("allow All"),
        Ok(access(false, Who::Host("All".to_owned())))
    );
    assert!(read("log tracking rtc").is_ok());
    assert!(read("log Tracking").is_err());
}

/// Lines of every directive that takes arguments, each of which must pass.
#[test]
fn forms_as_the_manual_has_them() {
    for line in [
        "broadcast 32 192.168.1.255 10123",
        "smoothtime 400 0.001024 leaponly",
        "hwtimestamp * minpoll -6 maxpoll 2 rxfilter none nocrossts",
        "refclock SHM 0:perm=0644 poll 3 refid GPS1 offset 0.5 delay 0.2 noselect",
        "refclock PPS /dev/pps0:clear lock NMEA rate 5 width 0.1 pps tai local",
        "initstepslew 30 a.example.net 192.0.2.1",
        "makestep 0.1 -1",
        "driftfile /var/lib/chrony/drift interval 60",
        "maxchange 1000 1 2",
        "fallbackdrift 16 19",
        "tempcomp /sys/t 30 26000 0.0 0.000183 0.0",
        "tempcomp /sys/t 30 /etc/points",
        "leapsecmode slew",
        "bindcmdaddress /",
        "bindcmdaddress ::1",
        "cmdallow 1.2/16",
        "cmdratelimit interval -4 burst 8 leak 2",
        "opencommands sources tracking",
        "log",
        "ntsaeads 30 15",
        "ntstrustedcerts 1 /etc/pki/a.crt",
        "commandkey 1",
        "dumponexit",
        "server a xleave extfield F323 maxdelayquant 0.5 asymmetry -0.5 certset 1 ntsport 4460",
        "pool a maxsources 16 iburst presend 9 copy",
        "peer 2001:db8::1 key 4294967295 minpoll -7 version 3",
    ] {
        assert!(read(line).is_ok(), "{line}: {:?}", read(line));
    }
}

#[test]
fn every_slip_is_named_where_it_is() {
    for (line, expected) in SLIPS {
        assert_eq!(read(line), Err((*expected).to_owned()), "{line}");
    }
}

const SLIPS: &[(&str, &str)] = &[
    ("makestep abc 3", "10: expected a number, found \"abc\""),
    (
        "makestep 1.0",
        "13: expected a whole number from -2147483648 to 2147483647, found nothing",
    ),
    (
        "makestep 1.0 3 4",
        "16: expected the end of the line, found \"4\"",
    ),
    (
        "makstep 1.0 3",
        "1: no such directive; did you mean makestep?",
    ),
    ("gibberish", "1: no such directive"),
    (
        "port 65536",
        "6: expected a whole number from 0 to 65535, found \"65536\"",
    ),
    (
        "dscp 64",
        "6: expected a whole number from 0 to 63, found \"64\"",
    ),
    (
        "server a minpoll 25",
        "18: expected a whole number from -7 to 24 after minpoll, found \"25\"",
    ),
    (
        "server a key 0",
        "14: expected a whole number from 1 to 4294967295 after key, found \"0\"",
    ),
    (
        "server",
        "7: expected a host name or an address, found nothing",
    ),
    (
        "local  stratum 16",
        "16: expected a whole number from 1 to 15 after stratum, found \"16\"",
    ),
    (
        "ratelimit leak 5",
        "16: expected a whole number from 1 to 4 after leak, found \"5\"",
    ),
    (
        "ratelimit rate 5",
        "11: expected interval, burst, leak or kod, found \"rate\"",
    ),
    (
        "allow 1.2.3.4/33",
        "7: expected all, a subnet or a host, found \"1.2.3.4/33\"",
    ),
    (
        "requireauth",
        "12: expected all, a subnet or a host, found nothing",
    ),
    (
        "cpus 0,5-2",
        "6: expected processors up to 1023, each once, such as 0,2-5, found \"0,5-2\"",
    ),
    (
        "steer port",
        "7: expected source or cpu or hash, found \"port\"",
    ),
    (
        "maxclockerror nan",
        "15: expected a number from 0 to 1000000, found \"nan\"",
    ),
    (
        "maxdistance inf",
        "13: expected a number of at least 0, found \"inf\"",
    ),
    (
        "lock_all 1",
        "10: expected the end of the line, found \"1\"",
    ),
];

#[test]
fn what_would_be_a_lie_is_refused() {
    for (line, column) in [
        ("server a  nts", 11),
        ("ntsserverkey /k", 1),
        ("ntpsigndsocket /s", 1),
        ("mailonchange a@example.net 0.5", 1),
    ] {
        let at = parse(&words(line)).unwrap_err();
        assert!(matches!(at.fault, Fault::Refused(_)), "{line}: {at:?}");
        assert_eq!(at.column, column, "{line}");
    }
}

#[test]
fn peers_take_no_client_options() {
    for option in [
        "iburst",
        "burst",
        "nts",
        "presend 1",
        "copy",
        "maxsources 2",
    ] {
        assert!(read(&format!("peer a {option}")).is_err(), "{option}");
    }
}

#[test]
fn an_orphan_waits() {
    let wait = |line| match read(line) {
        Ok(Directive::Local(local)) => local.wait_unsynced_s,
        other => panic!("{other:?}"),
    };
    assert!(wait("local").abs() < f64::EPSILON);
    assert!((wait("local orphan") - 300.0).abs() < f64::EPSILON);
    assert!((wait("local waitunsynced 5 orphan") - 5.0).abs() < f64::EPSILON);
}

#[test]
fn follow_in_all_its_forms() {
    use crate::config::ChronydAddress;
    use crate::wire::ReferenceId;
    let follow = |line| match read(line) {
        Ok(Directive::Follow(follow)) => follow,
        other => panic!("{line}: {other:?}"),
    };
    let kernel = |stratum, id: [u8; 4]| Follow::Kernel {
        stratum,
        reference_id: ReferenceId::from_bytes(id),
    };
    let udp = |address: &str| Follow::Chronyd(ChronydAddress::Udp(address.parse().unwrap()));
    assert_eq!(follow("follow kernel"), kernel(2, *b"KERN"));
    assert_eq!(
        follow("follow kernel refid PTP stratum 1"),
        kernel(1, *b"PTP\0")
    );
    assert_eq!(
        follow("follow kernel refid 192.0.2.1"),
        kernel(2, [192, 0, 2, 1])
    );
    assert_eq!(follow("follow chronyd"), udp("127.0.0.1:323"));
    assert_eq!(follow("follow chronyd 192.0.2.1"), udp("192.0.2.1:323"));
    assert_eq!(
        follow("follow chronyd 192.0.2.1:1323"),
        udp("192.0.2.1:1323")
    );
    assert_eq!(follow("follow chronyd ::1"), udp("[::1]:323"));
    assert_eq!(follow("follow chronyd [::1]"), udp("[::1]:323"));
    assert_eq!(follow("follow chronyd [::1]:1323"), udp("[::1]:1323"));
    let path = Follow::Chronyd(ChronydAddress::Unix("/run/chrony/chronyd.sock".into()));
    assert_eq!(follow("follow chronyd /run/chrony/chronyd.sock"), path);
    for slip in [
        "follow",
        "follow me",
        "follow chronyd localhost",
        "follow chronyd 1.2.3.4:0",
    ] {
        assert!(read(slip).is_err(), "{slip}");
    }
    assert!(read("follow kernel refid FIVES").is_err());
    assert!(read("follow kernel stratum 0").is_err());
}
