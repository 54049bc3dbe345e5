use super::super::edition::Edition;
use super::super::report::{ServerStatsReport, TrackingReport};
use super::super::{client, packet::ReplyHeader};
use super::*;
use proptest::prelude::*;

/// Answers everything with nothing, and counts what it was told to do.
#[derive(Default)]
struct Fake {
    asked: usize,
    ordered: usize,
}

impl State for Fake {
    fn ask(&mut self, question: &Question) -> Result<Reply, Status> {
        self.asked += 1;
        Ok(match question {
            Question::Tracking => Reply::Tracking(TrackingReport::default()),
            Question::ServerStats => Reply::ServerStats(ServerStatsReport::default()),
            Question::SourceCount => Reply::SourceCount(3),
            Question::Source(_) => return Err(Status::NoSuchSource),
            _ => return Err(Status::NotEnabled),
        })
    }

    fn order(&mut self, _: &Order) -> Result<Reply, Status> {
        self.ordered += 1;
        Ok(Reply::Done)
    }

    fn is_open(&self, word: &str) -> bool {
        ["tracking", "sources"].contains(&word)
    }
}

const STRANGER: Requester = Requester::Address {
    ip: IpAddr::V4(core::net::Ipv4Addr::new(192, 0, 2, 1)),
    is_allowed: false,
};
const READER: Requester = Requester::Address {
    ip: IpAddr::V4(core::net::Ipv4Addr::LOCALHOST),
    is_allowed: true,
};

fn packet(request: &Request) -> Vec<u8> {
    client::encode(request, Edition::NEWEST, 0x0102_0304, 0).expect("it is known")
}

fn status_of(reply: Option<Vec<u8>>) -> Option<Status> {
    let reply = reply?;
    Some(ReplyHeader::parse(&reply).expect("a reply").status)
}

#[test]
fn who_may_do_what() {
    let mut state = Fake::default();
    let tracking = packet(&Request::Ask(Question::Tracking));
    let stats = packet(&Request::Ask(Question::ServerStats));
    let shutdown = packet(&Request::Do(Order::Shutdown));
    let mut asked = |bytes: &[u8], from| status_of(answer(bytes, from, &mut state));
    assert_eq!(asked(&tracking, STRANGER), None, "silence");
    assert_eq!(asked(&tracking, READER), Some(Status::Success));
    assert_eq!(asked(&stats, READER), Some(Status::Unauthorised));
    assert_eq!(asked(&stats, Requester::Local), Some(Status::Success));
    assert_eq!(asked(&shutdown, READER), Some(Status::Unauthorised));
    assert_eq!(asked(&shutdown, Requester::Local), Some(Status::Success));
    assert_eq!(state.ordered, 1);
}

#[test]
fn a_client_that_resets_changes_something() {
    struct Open(Fake);
    impl State for Open {
        fn ask(&mut self, question: &Question) -> Result<Reply, Status> {
            self.0.ask(question)
        }
        fn order(&mut self, order: &Order) -> Result<Reply, Status> {
            self.0.order(order)
        }
        fn is_open(&self, _: &str) -> bool {
            true
        }
    }
    let mut state = Open(Fake::default());
    let reset = packet(&Request::Ask(Question::Clients(ClientsQuestion {
        resets: true,
        ..ClientsQuestion::default()
    })));
    let outcome = status_of(answer(&reset, READER, &mut state));
    assert_eq!(outcome, Some(Status::Unauthorised));
    assert_eq!(state.0.asked, 0);
}

#[test]
fn versions_codes_and_lengths() {
    let mut state = Fake::default();
    let good = packet(&Request::Ask(Question::Tracking));
    let mut asked = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        status_of(answer(&bytes, READER, &mut state))
    };
    assert_eq!(asked(&|_| ()), Some(Status::Success));
    assert_eq!(asked(&|bytes| bytes[0] = 5), Some(Status::BadVersion));
    assert_eq!(asked(&|bytes| bytes[0] = 7), Some(Status::BadVersion));
    assert_eq!(asked(&|bytes| bytes[0] = 4), None);
    assert_eq!(asked(&|bytes| bytes[1] = 2), None);
    assert_eq!(asked(&|bytes| bytes[5] = 200), Some(Status::Invalid));
    assert_eq!(asked(&|bytes| bytes.truncate(103)), Some(Status::BadLength));
    assert_eq!(asked(&|bytes| bytes.truncate(27)), None);
    assert_eq!(asked(&|bytes| bytes.resize(424, 0)), Some(Status::Success));
    assert_eq!(asked(&|bytes| bytes.resize(861, 0)), None);
}

#[test]
fn the_reply_is_of_the_requests_edition() {
    let mut state = Fake::default();
    for (length, code, reply_length) in [(48, 14, 48), (60, 22, 60), (72, 24, 72), (196, 25, 196)] {
        let mut bytes = packet(&Request::Ask(Question::ServerStats));
        bytes.resize(length, 0);
        let reply = answer(&bytes, Requester::Local, &mut state).expect("a reply");
        assert_eq!(reply.len(), reply_length);
        assert_eq!(ReplyHeader::parse(&reply).expect("a reply").reply, code);
    }
}

proptest! {
    #[test]
    fn any_bytes_change_nothing_and_get_no_more(
        code in 0..80u16,
        data in prop::collection::vec(any::<u8>(), 0..900),
        length in 20..900usize,
    ) {
        let mut bytes = packet(&Request::Null);
        bytes.truncate(20);
        bytes[4..6].copy_from_slice(&code.to_be_bytes());
        bytes.extend(data);
        bytes.resize(length, 0);
        let mut state = Fake::default();
        if let Some(reply) = answer(&bytes, READER, &mut state) {
            prop_assert!(reply.len() <= bytes.len());
            prop_assert_eq!(ReplyHeader::parse(&reply).map(|header| header.sequence), Ok(0x0102_0304));
        }
        prop_assert_eq!(state.ordered, 0);
        if let Some(reply) = answer(&bytes, Requester::Local, &mut state) {
            prop_assert!(reply.len() <= bytes.len());
        }
        prop_assert!(answer(&bytes, STRANGER, &mut state).is_none());
    }

    #[test]
    fn what_is_no_request_is_silence_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..1000)) {
        let mut state = Fake::default();
        if let Some(reply) = answer(&bytes, READER, &mut state) {
            prop_assert!(reply.len() <= bytes.len());
        }
        prop_assert_eq!(state.ordered, 0);
    }
}
