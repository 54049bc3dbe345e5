//! Requests: every code there is, who may ask it, and what it says.

mod layout;
mod table;

pub use table::{May, REQUESTS, RequestRow};

use super::address::{Matching, SourceAddress};
use super::edition::Edition;
use super::fields::{Reader, Writer};
use super::packet::{REQUEST_HEADER_LEN, RequestHeader};
use super::status::Status;
use crate::client::SelectOptions;
use crate::server::Subnet;

/// A request.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Nothing: whether anybody is there.
    Null,
    /// Something is to be told.
    Ask(Question),
    /// Something is to be done.
    Do(Order),
}

/// What can be asked. Sources have places, from 0 on.
#[derive(Clone, Debug, PartialEq)]
pub enum Question {
    /// How many sources there are.
    SourceCount,
    /// A line of `sources`.
    Source(u32),
    /// `tracking`
    Tracking,
    /// A line of `sourcestats`.
    Sourcestats(u32),
    /// `rtcdata`
    Rtc,
    /// `manual list`
    ManualList,
    /// `activity`
    Activity,
    /// `smoothing`
    Smoothing,
    /// The name of a source.
    SourceName(SourceAddress),
    /// `serverstats`
    ServerStats,
    /// `ntpdata` of a source.
    NtpData(SourceAddress),
    /// `authdata` of a source.
    Auth(SourceAddress),
    /// A page of `clients`.
    Clients(ClientsQuestion),
    /// A line of `selectdata`.
    SelectData(u32),
    /// `accheck`, `cmdaccheck`: whether an address may ask.
    Access(Whom, SourceAddress),
}

/// Which clients are to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ClientsQuestion {
    /// The first place.
    pub first: u32,
    /// How many at most.
    pub count: u32,
    /// Those with fewer requests are left out.
    pub hits_min: u32,
    /// What was counted of them begins anew.
    pub resets: bool,
}

/// For whom a rule of access is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    /// Clients of NTP.
    Ntp,
    /// chronyc on other machines.
    Command,
}

/// What can be ordered. Only somebody on this machine may, by the socket in the file system.
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    /// `online`
    Online(Matching),
    /// `offline`
    Offline(Matching),
    /// `onoffline`: as the routes say.
    OnOffline,
    /// `burst GOOD/TOTAL`
    Burst(Matching, u32, u32),
    /// `minpoll`
    MinPoll(SourceAddress, i32),
    /// `maxpoll`
    MaxPoll(SourceAddress, i32),
    /// `maxdelay`, in seconds.
    MaxDelay(SourceAddress, f64),
    /// `maxdelayratio`
    MaxDelayRatio(SourceAddress, f64),
    /// `maxdelaydevratio`
    MaxDelayDevRatio(SourceAddress, f64),
    /// `minstratum`
    MinStratum(SourceAddress, i32),
    /// `polltarget`
    PollTarget(SourceAddress, i32),
    /// `offset`, in seconds.
    Offset(SourceAddress, f64),
    /// `selectopts`: of those options that are set in the first, what the second says.
    SelectOptions(SourceAddress, SelectOptions, SelectOptions),
    /// `maxupdateskew`, in parts per million.
    MaxUpdateSkew(f64),
    /// `settime`: seconds since the Unix epoch and nanoseconds.
    SetTime((i64, u32)),
    /// `manual`: 0 off, 1 on, 2 reset.
    Manual(u32),
    /// `manual delete`
    ManualDelete(u32),
    /// `rekey`
    Rekey,
    /// `allow`, `deny` and their like.
    Access(AccessOrder),
    /// `delete`
    DeleteSource(SourceAddress),
    /// `add server`, `add peer`, `add pool`
    AddSource(Box<NewSource>),
    /// `writertc`
    WriteRtc,
    /// `trimrtc`
    TrimRtc,
    /// `dfreq`: the clock's own frequency, in parts per million.
    ChangeFrequency(f64),
    /// `doffset`, in seconds.
    ChangeOffset(f64),
    /// `dump`
    Dump,
    /// `cyclelogs`
    CycleLogs,
    /// `makestep`: now.
    MakeStep,
    /// `makestep THRESHOLD LIMIT`
    ModifyMakeStep(i32, f64),
    /// `reselect`
    Reselect,
    /// `reselectdist`, in seconds.
    ReselectDistance(f64),
    /// `smoothtime reset` (0) and `smoothtime activate` (1).
    SmoothTime(u32),
    /// `refresh`
    Refresh,
    /// `reset sources`
    ResetSources,
    /// `reload sources`
    ReloadSources,
    /// `local`
    Local(LocalOrder),
    /// `shutdown`
    Shutdown,
}

/// A rule of access.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AccessOrder {
    /// For whom.
    pub whom: Whom,
    /// `allow` or `deny`.
    pub allow: bool,
    /// `all`: rules of subnets within it go.
    pub all: bool,
    /// Where.
    pub subnet: Subnet,
}

/// What `local` is to be from now on.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct LocalOrder {
    /// On or off.
    pub on: bool,
    /// 1 to 15.
    pub stratum: i32,
    /// In seconds.
    pub distance_s: f64,
    /// `orphan`
    pub orphan: bool,
    /// `activate` in seconds. From chrony 4.6 on.
    pub activate_s: f64,
    /// `waitsynced` in seconds. From 4.7 on.
    pub wait_synced_s: f64,
    /// `waitunsynced` in seconds. From 4.7 on.
    pub wait_unsynced_s: f64,
}

/// A source that is to be added, with the options of its line.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct NewSource {
    /// 1 `server`, 2 `peer`, 3 `pool`.
    pub kind: u32,
    /// A name or an address.
    pub name: String,
    /// `port`
    pub port: u32,
    /// `minpoll`
    pub min_poll: i32,
    /// `maxpoll`
    pub max_poll: i32,
    /// `presend`
    pub presend: i32,
    /// `minstratum`
    pub min_stratum: u32,
    /// `polltarget`
    pub poll_target: u32,
    /// `version`
    pub version: u32,
    /// `maxsources`
    pub sources_max: u32,
    /// `minsamples`; -1: not given.
    pub samples_min: i32,
    /// `maxsamples`; -1: not given.
    pub samples_max: i32,
    /// `key`; 0: none.
    pub key: u32,
    /// `ntsport`
    pub nts_port: u32,
    /// `maxdelay` in seconds.
    pub max_delay_s: f64,
    /// `maxdelayratio`
    pub max_delay_ratio: f64,
    /// `maxdelaydevratio`
    pub max_delay_dev_ratio: f64,
    /// `mindelay` in seconds.
    pub min_delay_s: f64,
    /// `asymmetry`
    pub asymmetry: f64,
    /// `offset` in seconds.
    pub offset_s: f64,
    /// Bits of [`SOURCE_FLAGS`].
    pub flags: u32,
    /// `filter`
    pub filter: i32,
    /// `certset`
    pub cert_set: u32,
    /// `maxdelayquant`; 0: none.
    pub max_delay_quantile: f64,
    /// `maxunreach`; 0: as by default.
    pub max_unreach: u32,
}

/// The flags of a new source, by their bits from the lowest on.
pub const SOURCE_FLAGS: [&str; 15] = [
    "online",
    "auto_offline",
    "iburst",
    "prefer",
    "noselect",
    "trust",
    "require",
    "xleave",
    "burst",
    "nts",
    "copy",
    "extfield 1",
    "extfield 2",
    "ipv4",
    "ipv6",
];

impl RequestRow {
    /// The row of a code; the numbers have no holes.
    pub fn of(code: u16) -> Option<&'static Self> {
        REQUESTS.get(usize::from(code))
    }

    /// The newest form that fits into a request of so many bytes.
    fn edition(&self, length: usize) -> Option<Edition> {
        let mut forms = self.lengths.iter();
        forms
            .rfind(|(_, least)| *least <= length)
            .map(|(edition, _)| *edition)
    }

    /// What a request of this code says, and the edition of the reply that its length has room for.
    ///
    /// # Errors
    /// [`Status::Invalid`] of one that is not known any more, [`Status::BadLength`] of one that is too short for its
    /// reply, or what is wrong with its data.
    pub fn decode(&self, packet: &[u8]) -> Result<(Request, Edition), Status> {
        let blank = self.blank.ok_or(Status::Invalid)?;
        let edition = self.edition(packet.len()).ok_or(Status::BadLength)?;
        let mut request = blank();
        let data = packet.get(REQUEST_HEADER_LEN..).ok_or(Status::BadLength)?;
        request.layout(&mut Reader(data), self.code)?;
        Ok((request, edition))
    }
}

impl Request {
    /// The row that it is written by for an edition: the newest that it knows.
    fn row(&self, edition: Edition) -> Option<&'static RequestRow> {
        let is_known = |row: &&RequestRow| {
            row.lengths
                .first()
                .is_some_and(|(since, _)| *since <= edition)
        };
        let mut rows = REQUESTS.iter().rev().filter(is_known);
        rows.find(|row| row.blank.is_some_and(|blank| blank().is_like(self)))
    }

    /// Whether both have the same code, whatever they say.
    fn is_like(&self, other: &Self) -> bool {
        use core::mem::discriminant;
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Ask(Question::Access(one, _)), Self::Ask(Question::Access(two, _))) => {
                one == two
            }
            (Self::Ask(one), Self::Ask(two)) => discriminant(one) == discriminant(two),
            (Self::Do(Order::Access(one)), Self::Do(Order::Access(two))) => {
                (one.whom, one.allow, one.all) == (two.whom, two.allow, two.all)
            }
            (Self::Do(one), Self::Do(two)) => discriminant(one) == discriminant(two),
            _ => false,
        }
    }

    /// Its number.
    pub(super) fn code(&self, edition: Edition) -> u16 {
        self.row(edition).map_or(0, |row| row.code)
    }

    /// The bytes of the request; `None` where the edition does not know it, or a moment in it is none.
    pub(super) fn emit(&self, edition: Edition, sequence: u32, attempt: u16) -> Option<Vec<u8>> {
        let row = self.row(edition)?;
        let header = RequestHeader {
            version: super::PROTOCOL_VERSION,
            command: row.code,
            attempt,
            sequence,
        };
        let mut packet = header.emit().to_vec();
        self.clone()
            .layout(&mut Writer(&mut packet), row.code)
            .ok()?;
        let forms = row.lengths.iter().filter(|(since, _)| *since <= edition);
        let length = forms.map(|(_, length)| *length).max()?;
        packet.resize(length, 0);
        Some(packet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_for_each_number() {
        for (number, row) in REQUESTS.iter().enumerate() {
            assert_eq!(usize::from(row.code), number, "{}", row.name);
            assert!(row.lengths.is_sorted_by(|a, b| a.0 < b.0 && a.1 < b.1));
            assert!(row.lengths.iter().all(|(_, length)| *length >= 28));
        }
        assert!(RequestRow::of(75).is_none());
    }

    #[test]
    fn every_request_comes_back() {
        for row in &REQUESTS {
            let Some(blank) = row.blank else {
                assert_eq!(row.decode(&[0; 860]).map(|_| ()), Err(Status::Invalid));
                continue;
            };
            let request = blank();
            for edition in [Edition::V3, Edition::V4_2, Edition::NEWEST] {
                let Some(packet) = request.emit(edition, 7, 1) else {
                    continue;
                };
                let header = RequestHeader::parse(&packet).expect("ours");
                let by = RequestRow::of(header.command).expect("a row");
                assert_eq!(by.name, row.name);
                let (read, _) = by.decode(&packet).expect("ours");
                assert!(read.is_like(&request), "{read:?}");
                let short = by.decode(&packet[..by.lengths[0].1 - 1]);
                assert_eq!(short.map(|_| ()), Err(Status::BadLength), "{}", row.name);
            }
        }
    }

    #[test]
    fn the_length_tells_the_edition() {
        let row = RequestRow::of(54).expect("serverstats");
        let edition = |length: usize| row.decode(&vec![0; length]).map(|(_, edition)| edition);
        assert_eq!(edition(47), Err(Status::BadLength));
        assert_eq!(edition(48), Ok(Edition::V3));
        assert_eq!(edition(72), Ok(Edition::V4_2));
        assert_eq!(edition(195), Ok(Edition::V4_2));
        assert_eq!(edition(424), Ok(Edition::V4_4));
    }

    #[test]
    fn a_new_source_has_its_flags_at_their_place() {
        let source = NewSource {
            kind: 1,
            name: "ntp.example".to_owned(),
            port: 123,
            flags: 0x0102_0304,
            max_unreach: 9,
            ..NewSource::default()
        };
        let request = Request::Do(Order::AddSource(Box::new(source)));
        let packet = request.emit(Edition::NEWEST, 1, 0).expect("it is known");
        assert_eq!(packet.len(), 372);
        assert_eq!(packet[20 + 260..20 + 264], 123u32.to_be_bytes());
        assert_eq!(packet[20 + 332..20 + 336], [1, 2, 3, 4]);
        assert_eq!(packet[20 + 348..], 9u32.to_be_bytes());
    }
}
