//! The table of all requests.

use super::{AccessOrder, ClientsQuestion, LocalOrder, Order, Question, Request, Whom};
use crate::client::SelectOptions;
use crate::control::address::{Matching, SourceAddress};
use crate::control::edition::Edition;
use crate::server::Subnet;

/// Who may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum May {
    /// Everybody whom `cmdallow` lets ask, where `opencommands` has this word.
    Ask(&'static str),
    /// Everybody whom `cmdallow` lets ask.
    Always,
    /// Somebody on this machine, by the socket in the file system.
    Local,
}

/// A form of a request.
#[derive(Debug)]
pub struct RequestRow {
    /// The number.
    pub code: u16,
    /// What chronyc calls it.
    pub name: &'static str,
    /// Who may.
    pub may: May,
    /// The least bytes in all, padding included, by the edition that brought the form.
    pub lengths: &'static [(Edition, usize)],
    /// `None`: chronyd knew it once, and refuses it now.
    pub(super) blank: Option<fn() -> Request>,
}

const fn ask(
    code: u16,
    name: &'static str,
    may: May,
    lengths: &'static [(Edition, usize)],
    blank: fn() -> Request,
) -> RequestRow {
    RequestRow {
        code,
        name,
        may,
        lengths,
        blank: Some(blank),
    }
}

const fn order(
    code: u16,
    name: &'static str,
    lengths: &'static [(Edition, usize)],
    blank: fn() -> Request,
) -> RequestRow {
    ask(code, name, May::Local, lengths, blank)
}

const fn retired(code: u16, name: &'static str) -> RequestRow {
    RequestRow {
        code,
        name,
        may: May::Local,
        lengths: &[],
        blank: None,
    }
}

const fn access(code: u16, name: &'static str, blank: fn() -> Request) -> RequestRow {
    order(code, name, &[(Edition::V3, 44)], blank)
}

const fn rule(whom: Whom, allow: bool, all: bool) -> Request {
    Request::Do(Order::Access(AccessOrder {
        whom,
        allow,
        all,
        subnet: Subnet::Any,
    }))
}

const NO_SOURCE: SourceAddress = SourceAddress::Unspecified;
const EVERY: Matching = Matching {
    mask: NO_SOURCE,
    address: NO_SOURCE,
};
const NO_OPTIONS: SelectOptions = SelectOptions {
    noselect: false,
    prefer: false,
    trust: false,
    require: false,
};

/// Every code of chronyd 4.8, and those that it has given up. Numbers that are missing were never used.
pub static REQUESTS: [RequestRow; 75] = [
    ask(0, "null", May::Always, &[(Edition::V3, 28)], || {
        Request::Null
    }),
    order(1, "online", &[(Edition::V3, 60)], || {
        Request::Do(Order::Online(EVERY))
    }),
    order(2, "offline", &[(Edition::V3, 60)], || {
        Request::Do(Order::Offline(EVERY))
    }),
    order(3, "burst", &[(Edition::V3, 68)], || {
        Request::Do(Order::Burst(EVERY, 0, 0))
    }),
    order(4, "minpoll", &[(Edition::V3, 44)], || {
        Request::Do(Order::MinPoll(NO_SOURCE, 0))
    }),
    order(5, "maxpoll", &[(Edition::V3, 44)], || {
        Request::Do(Order::MaxPoll(NO_SOURCE, 0))
    }),
    order(6, "dump", &[(Edition::V3, 28)], || Request::Do(Order::Dump)),
    order(7, "maxdelay", &[(Edition::V3, 44)], || {
        Request::Do(Order::MaxDelay(NO_SOURCE, 0.0))
    }),
    order(8, "maxdelayratio", &[(Edition::V3, 44)], || {
        Request::Do(Order::MaxDelayRatio(NO_SOURCE, 0.0))
    }),
    order(9, "maxupdateskew", &[(Edition::V3, 28)], || {
        Request::Do(Order::MaxUpdateSkew(0.0))
    }),
    retired(10, "logon"),
    order(11, "settime", &[(Edition::V3, 40)], || {
        Request::Do(Order::SetTime((0, 0)))
    }),
    retired(12, "local"),
    order(13, "manual", &[(Edition::V3, 28)], || {
        Request::Do(Order::Manual(0))
    }),
    ask(
        14,
        "sources",
        May::Ask("sources"),
        &[(Edition::V3, 32)],
        || Request::Ask(Question::SourceCount),
    ),
    ask(
        15,
        "sources",
        May::Ask("sources"),
        &[(Edition::V3, 76)],
        || Request::Ask(Question::Source(0)),
    ),
    order(16, "rekey", &[(Edition::V3, 28)], || {
        Request::Do(Order::Rekey)
    }),
    access(17, "allow", || rule(Whom::Ntp, true, false)),
    access(18, "allow all", || rule(Whom::Ntp, true, true)),
    access(19, "deny", || rule(Whom::Ntp, false, false)),
    access(20, "deny all", || rule(Whom::Ntp, false, true)),
    access(21, "cmdallow", || rule(Whom::Command, true, false)),
    access(22, "cmdallow all", || rule(Whom::Command, true, true)),
    access(23, "cmddeny", || rule(Whom::Command, false, false)),
    access(24, "cmddeny all", || rule(Whom::Command, false, true)),
    order(25, "accheck", &[(Edition::V3, 40)], || {
        Request::Ask(Question::Access(Whom::Ntp, NO_SOURCE))
    }),
    order(26, "cmdaccheck", &[(Edition::V3, 40)], || {
        Request::Ask(Question::Access(Whom::Command, NO_SOURCE))
    }),
    retired(27, "add server"),
    retired(28, "add peer"),
    order(29, "delete", &[(Edition::V3, 40)], || {
        Request::Do(Order::DeleteSource(NO_SOURCE))
    }),
    order(30, "writertc", &[(Edition::V3, 28)], || {
        Request::Do(Order::WriteRtc)
    }),
    order(31, "dfreq", &[(Edition::V3, 28)], || {
        Request::Do(Order::ChangeFrequency(0.0))
    }),
    retired(32, "doffset"),
    ask(
        33,
        "tracking",
        May::Ask("tracking"),
        &[(Edition::V3, 104)],
        || Request::Ask(Question::Tracking),
    ),
    ask(
        34,
        "sourcestats",
        May::Ask("sourcestats"),
        &[(Edition::V3, 84)],
        || Request::Ask(Question::Sourcestats(0)),
    ),
    ask(
        35,
        "rtcdata",
        May::Ask("rtcdata"),
        &[(Edition::V3, 56)],
        || Request::Ask(Question::Rtc),
    ),
    order(36, "trimrtc", &[(Edition::V3, 28)], || {
        Request::Do(Order::TrimRtc)
    }),
    order(37, "cyclelogs", &[(Edition::V3, 28)], || {
        Request::Do(Order::CycleLogs)
    }),
    retired(38, "subnets accessed"),
    retired(39, "clients"),
    retired(40, "clients"),
    ask(
        41,
        "manual list",
        May::Ask("manual"),
        &[(Edition::V3, 416)],
        || Request::Ask(Question::ManualList),
    ),
    order(42, "manual delete", &[(Edition::V3, 28)], || {
        Request::Do(Order::ManualDelete(0))
    }),
    order(43, "makestep", &[(Edition::V3, 28)], || {
        Request::Do(Order::MakeStep)
    }),
    ask(
        44,
        "activity",
        May::Ask("activity"),
        &[(Edition::V3, 48)],
        || Request::Ask(Question::Activity),
    ),
    order(45, "minstratum", &[(Edition::V3, 44)], || {
        Request::Do(Order::MinStratum(NO_SOURCE, 0))
    }),
    order(46, "polltarget", &[(Edition::V3, 44)], || {
        Request::Do(Order::PollTarget(NO_SOURCE, 0))
    }),
    order(47, "maxdelaydevratio", &[(Edition::V3, 44)], || {
        Request::Do(Order::MaxDelayDevRatio(NO_SOURCE, 0.0))
    }),
    order(48, "reselect", &[(Edition::V3, 28)], || {
        Request::Do(Order::Reselect)
    }),
    order(49, "reselectdist", &[(Edition::V3, 28)], || {
        Request::Do(Order::ReselectDistance(0.0))
    }),
    order(50, "makestep", &[(Edition::V3, 28)], || {
        Request::Do(Order::ModifyMakeStep(0, 0.0))
    }),
    ask(
        51,
        "smoothing",
        May::Ask("smoothing"),
        &[(Edition::V3, 52)],
        || Request::Ask(Question::Smoothing),
    ),
    order(52, "smoothtime", &[(Edition::V3, 28)], || {
        Request::Do(Order::SmoothTime(0))
    }),
    order(53, "refresh", &[(Edition::V3, 28)], || {
        Request::Do(Order::Refresh)
    }),
    ask(
        54,
        "serverstats",
        May::Ask("serverstats"),
        &[
            (Edition::V3, 48),
            (Edition::V4_0, 60),
            (Edition::V4_2, 72),
            (Edition::V4_4, 196),
        ],
        || Request::Ask(Question::ServerStats),
    ),
    retired(55, "clients"),
    order(56, "local", &[(Edition::V3, 36)], || {
        Request::Do(Order::Local(LocalOrder::default()))
    }),
    ask(
        57,
        "ntpdata",
        May::Ask("ntpdata"),
        &[(Edition::V3, 152), (Edition::V4_6, 172)],
        || Request::Ask(Question::NtpData(NO_SOURCE)),
    ),
    retired(58, "add server"),
    retired(59, "add peer"),
    retired(60, "add server"),
    retired(61, "add peer"),
    order(62, "shutdown", &[(Edition::V3, 28)], || {
        Request::Do(Order::Shutdown)
    }),
    order(63, "onoffline", &[(Edition::V3, 28)], || {
        Request::Do(Order::OnOffline)
    }),
    order(64, "add", &[(Edition::V4_0, 372)], || {
        Request::Do(Order::AddSource(Box::default()))
    }),
    ask(
        65,
        "sourcename",
        May::Ask("sourcename"),
        &[(Edition::V4_0, 284)],
        || Request::Ask(Question::SourceName(NO_SOURCE)),
    ),
    order(66, "reset sources", &[(Edition::V4_0, 28)], || {
        Request::Do(Order::ResetSources)
    }),
    ask(
        67,
        "authdata",
        May::Ask("authdata"),
        &[(Edition::V4_0, 52)],
        || Request::Ask(Question::Auth(NO_SOURCE)),
    ),
    ask(
        68,
        "clients",
        May::Ask("clients"),
        &[(Edition::V4_0, 520)],
        || Request::Ask(Question::Clients(ClientsQuestion::default())),
    ),
    ask(
        69,
        "selectdata",
        May::Ask("selectdata"),
        &[(Edition::V4_0, 76)],
        || Request::Ask(Question::SelectData(0)),
    ),
    order(70, "reload sources", &[(Edition::V4_0, 28)], || {
        Request::Do(Order::ReloadSources)
    }),
    order(71, "doffset", &[(Edition::V4_0, 28)], || {
        Request::Do(Order::ChangeOffset(0.0))
    }),
    order(72, "selectopts", &[(Edition::V4_4, 52)], || {
        Request::Do(Order::SelectOptions(NO_SOURCE, NO_OPTIONS, NO_OPTIONS))
    }),
    order(73, "offset", &[(Edition::V4_4, 48)], || {
        Request::Do(Order::Offset(NO_SOURCE, 0.0))
    }),
    order(74, "local", &[(Edition::V4_6, 48)], || {
        Request::Do(Order::Local(LocalOrder::default()))
    }),
];
