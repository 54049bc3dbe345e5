//! Replies: what data there is, its code and its bytes, in each edition.

use super::edition::Edition;
use super::fields::{Fields, Reader, Writer};
use super::packet::{BadReply, REPLY_HEADER_LEN, ReplyHeader};
use super::report::{
    ActivityReport, AuthReport, ClientsPage, ManualSample, ManualTimestamp, NtpDataReport,
    RtcReport, SelectDataReport, ServerStatsReport, SmoothingReport, SourceReport,
    SourcestatsReport, TrackingReport,
};
use super::status::Status;

/// A reply that is no refusal.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// Done; there is nothing to say.
    Done,
    /// Whether an address may ask.
    Access(bool),
    /// How many sources there are.
    SourceCount(u32),
    /// `sources`
    Source(SourceReport),
    /// `tracking`
    Tracking(TrackingReport),
    /// `sourcestats`
    Sourcestats(SourcestatsReport),
    /// `rtcdata`
    Rtc(RtcReport),
    /// `activity`
    Activity(ActivityReport),
    /// `smoothing`
    Smoothing(SmoothingReport),
    /// `serverstats`
    ServerStats(ServerStatsReport),
    /// `ntpdata`
    NtpData(NtpDataReport),
    /// `settime`
    ManualTimestamp(ManualTimestamp),
    /// `manual list`
    ManualList(Vec<ManualSample>),
    /// The name of a source, as it is configured: up to 255 letters.
    SourceName(String),
    /// `authdata`
    Auth(AuthReport),
    /// `clients`
    Clients(ClientsPage),
    /// `selectdata`
    SelectData(SelectDataReport),
}

/// A form of a reply.
struct Row {
    code: u16,
    /// The edition that brought it.
    since: Edition,
    /// Bytes in all.
    length: usize,
    /// The reply, with nothing in it.
    blank: fn() -> Reply,
}

const fn row(code: u16, since: Edition, length: usize, blank: fn() -> Reply) -> Row {
    Row {
        code,
        since,
        length,
        blank,
    }
}

/// Every code, those of one reply in the order of their editions. Codes that are missing here belong to requests
/// that chronyd no longer knows.
const ROWS: [Row; 21] = [
    row(CODE_NONE, Edition::V3, 28, || Reply::Done),
    row(2, Edition::V3, 32, || Reply::SourceCount(0)),
    row(
        3,
        Edition::V3,
        76,
        || Reply::Source(SourceReport::default()),
    ),
    row(5, Edition::V3, 104, || {
        Reply::Tracking(TrackingReport::default())
    }),
    row(6, Edition::V3, 84, || {
        Reply::Sourcestats(SourcestatsReport::default())
    }),
    row(7, Edition::V3, 56, || Reply::Rtc(RtcReport::default())),
    row(12, Edition::V3, 48, || {
        Reply::Activity(ActivityReport::default())
    }),
    row(13, Edition::V3, 52, || {
        Reply::Smoothing(SmoothingReport::default())
    }),
    row(14, Edition::V3, 48, || {
        Reply::ServerStats(ServerStatsReport::default())
    }),
    row(22, Edition::V4_0, 60, || {
        Reply::ServerStats(ServerStatsReport::default())
    }),
    row(24, Edition::V4_2, 72, || {
        Reply::ServerStats(ServerStatsReport::default())
    }),
    row(25, Edition::V4_4, 196, || {
        Reply::ServerStats(ServerStatsReport::default())
    }),
    row(15, Edition::V3, 424, || {
        Reply::Clients(ClientsPage::default())
    }),
    row(21, Edition::V4_0, 520, || {
        Reply::Clients(ClientsPage::default())
    }),
    row(16, Edition::V3, 152, || {
        Reply::NtpData(NtpDataReport::default())
    }),
    row(26, Edition::V4_6, 172, || {
        Reply::NtpData(NtpDataReport::default())
    }),
    row(17, Edition::V3, 40, || {
        Reply::ManualTimestamp(ManualTimestamp::default())
    }),
    row(18, Edition::V3, 416, || Reply::ManualList(Vec::new())),
    row(19, Edition::V4_0, 284, || Reply::SourceName(String::new())),
    row(20, Edition::V4_0, 52, || Reply::Auth(AuthReport::default())),
    row(23, Edition::V4_0, 76, || {
        Reply::SelectData(SelectDataReport::default())
    }),
];

/// The code of a reply without data.
pub(super) const CODE_NONE: u16 = 1;

impl Row {
    fn is_of(&self, reply: &Reply) -> bool {
        core::mem::discriminant(&(self.blank)()) == core::mem::discriminant(reply)
    }
}

impl Reply {
    /// The newest form that an edition knows.
    fn row(&self, edition: Edition) -> &'static Row {
        // An answer about access is a status without data.
        let mut forms = ROWS.iter().filter(|row| row.is_of(self));
        let newest = forms.rfind(|row| row.since <= edition);
        newest.unwrap_or(&ROWS[0])
    }

    /// What kind of data it carries.
    pub fn code(&self, edition: Edition) -> u16 {
        self.row(edition).code
    }

    /// The edition that brought a kind of data.
    pub(super) fn edition(code: u16) -> Option<Edition> {
        let row = ROWS.iter().find(|row| row.code == code);
        row.map(|row| row.since)
    }

    /// How the request was taken.
    const fn status(&self) -> Status {
        match self {
            Self::Access(true) => Status::AccessAllowed,
            Self::Access(false) => Status::AccessDenied,
            _ => Status::Success,
        }
    }

    /// The bytes of the reply to a request for `command` that carried `sequence`.
    ///
    /// # Errors
    /// A report cannot be written, as with nanoseconds that are a second or more.
    pub fn emit(&self, command: u16, sequence: u32, edition: Edition) -> Result<Vec<u8>, Status> {
        let row = self.row(edition);
        let header = ReplyHeader {
            command,
            reply: row.code,
            status: self.status(),
            sequence,
        };
        let mut packet = Vec::with_capacity(row.length);
        packet.extend(header.emit());
        self.clone().layout(&mut Writer(&mut packet), row.since)?;
        packet.resize(row.length, 0);
        Ok(packet)
    }

    /// Reads a reply whose header was read.
    ///
    /// # Errors
    /// [`BadReply::Refused`] of a refusal, [`BadReply::Kind`] of data that nobody knows, [`BadReply::Malformed`].
    pub(super) fn parse(header: ReplyHeader, packet: &[u8]) -> Result<Self, BadReply> {
        match header.status {
            Status::Success => {}
            Status::AccessAllowed => return Ok(Self::Access(true)),
            Status::AccessDenied => return Ok(Self::Access(false)),
            refusal => return Err(BadReply::Refused(refusal)),
        }
        let row = ROWS.iter().find(|row| row.code == header.reply);
        let row = row.ok_or(BadReply::Kind(header.reply))?;
        let data = packet.get(REPLY_HEADER_LEN..row.length);
        let mut reply = (row.blank)();
        reply
            .layout(&mut Reader(data.ok_or(BadReply::Malformed)?), row.since)
            .map_err(|_| BadReply::Malformed)?;
        Ok(reply)
    }

    fn layout(&mut self, fields: &mut impl Fields, edition: Edition) -> Result<(), Status> {
        match self {
            Self::Done | Self::Access(_) => Ok(()),
            Self::SourceCount(count) => fields.u32(count),
            Self::Source(report) => report.layout(fields),
            Self::Tracking(report) => report.layout(fields),
            Self::Sourcestats(report) => report.layout(fields),
            Self::Rtc(report) => report.layout(fields),
            Self::Activity(report) => report.layout(fields),
            Self::Smoothing(report) => report.layout(fields),
            Self::ServerStats(report) => report.layout(fields, edition),
            Self::NtpData(report) => report.layout(fields, edition),
            Self::ManualTimestamp(report) => report.layout(fields),
            Self::ManualList(samples) => ManualSample::layout_all(samples, fields),
            Self::SourceName(name) => fields.name(name),
            Self::Auth(report) => report.layout(fields),
            Self::Clients(page) => page.layout(fields, edition),
            Self::SelectData(report) => report.layout(fields),
        }
    }
}

/// A refusal.
pub(super) fn refusal(status: Status, command: u16, sequence: u32) -> Vec<u8> {
    let header = ReplyHeader {
        command,
        reply: CODE_NONE,
        status,
        sequence,
    };
    header.emit().to_vec()
}
