//! Reports about those we serve.

use core::net::IpAddr;

use crate::control::address::SourceAddress;
use crate::control::edition::Edition;
use crate::control::fields::Fields;
use crate::control::status::Status;

/// chronyc's `serverstats`. Before chrony 4.4 counts had 32 bits: larger ones are shown as the largest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ServerStatsReport {
    /// NTP requests received.
    pub ntp_hits: u64,
    /// NTS key exchanges accepted. From 4.0 on.
    pub nke_hits: u64,
    /// Requests of chronyc received.
    pub command_hits: u64,
    /// NTP requests not answered because of the rate limit.
    pub ntp_drops: u64,
    /// NTS key exchanges refused. From 4.0 on.
    pub nke_drops: u64,
    /// Requests of chronyc not answered because of the rate limit.
    pub command_drops: u64,
    /// Records of clients that made room for others.
    pub log_drops: u64,
    /// NTP requests that were authenticated. From 4.0 on.
    pub ntp_auth_hits: u64,
    /// NTP requests in interleaved mode. From 4.2 on.
    pub ntp_interleaved_hits: u64,
    /// Pairs of timestamps kept for clients in interleaved mode. From 4.2 on.
    pub ntp_timestamps: u64,
    /// Seconds from the oldest of them to the newest. From 4.2 on.
    pub ntp_span_s: u64,
    /// NTP requests whose arrival the program noted. This and what follows: from 4.4 on.
    pub ntp_daemon_received: u64,
    /// Replies whose departure the program noted.
    pub ntp_daemon_sent: u64,
    /// Requests whose arrival the kernel noted.
    pub ntp_kernel_received: u64,
    /// Replies whose departure the kernel noted.
    pub ntp_kernel_sent: u64,
    /// Requests whose arrival the network card noted.
    pub ntp_hardware_received: u64,
    /// Replies whose departure the network card noted.
    pub ntp_hardware_sent: u64,
}

impl ServerStatsReport {
    pub(in crate::control) fn layout(
        &mut self,
        fields: &mut impl Fields,
        edition: Edition,
    ) -> Result<(), Status> {
        let all = [
            (&mut self.ntp_hits, Edition::V3),
            (&mut self.nke_hits, Edition::V4_0),
            (&mut self.command_hits, Edition::V3),
            (&mut self.ntp_drops, Edition::V3),
            (&mut self.nke_drops, Edition::V4_0),
            (&mut self.command_drops, Edition::V3),
            (&mut self.log_drops, Edition::V3),
            (&mut self.ntp_auth_hits, Edition::V4_0),
            (&mut self.ntp_interleaved_hits, Edition::V4_2),
            (&mut self.ntp_timestamps, Edition::V4_2),
            (&mut self.ntp_span_s, Edition::V4_2),
            (&mut self.ntp_daemon_received, Edition::V4_4),
            (&mut self.ntp_daemon_sent, Edition::V4_4),
            (&mut self.ntp_kernel_received, Edition::V4_4),
            (&mut self.ntp_kernel_sent, Edition::V4_4),
            (&mut self.ntp_hardware_received, Edition::V4_4),
            (&mut self.ntp_hardware_sent, Edition::V4_4),
        ];
        for (count, _) in all.into_iter().filter(|(_, since)| *since <= edition) {
            if edition < Edition::V4_4 {
                fields.count(count)?;
            } else {
                fields.u64(count)?;
            }
        }
        if edition < Edition::V4_4 {
            return Ok(());
        }
        fields.padding::<32>(u8::MAX)
    }
}

/// One answer to `clients`: those of some of the places where clients are remembered.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ClientsPage {
    /// How many places there are; a place may be empty.
    pub places: u32,
    /// The place to go on with; all have been looked at when it is not below [`places`](Self::places).
    pub next: u32,
    /// Those found, at most [`CLIENTS_PER_PAGE`]: more are not told.
    pub clients: Vec<ClientReport>,
}

/// One line of chronyc's `clients`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientReport {
    /// Whose.
    pub address: IpAddr,
    /// NTP requests.
    pub ntp: Accesses,
    /// NTS key exchanges. From chrony 4.0 on.
    pub nke: Accesses,
    /// Requests of chronyc.
    pub command: Accesses,
    /// Mean interval of NTP requests after one that was not answered, log2 of seconds; `None`: not known.
    pub ntp_interval_unanswered: Option<i8>,
}

/// A client's requests of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Accesses {
    /// How many.
    pub hits: u32,
    /// Of which so many were not answered, because of the rate limit.
    pub drops: u32,
    /// Mean interval, log2 of seconds; `None`: not known, as of less than two.
    pub interval: Option<i8>,
    /// Seconds since the last; `None`: there was none.
    pub age_s: Option<u32>,
}

/// The most clients in one answer.
pub const CLIENTS_PER_PAGE: usize = 8;

impl ClientsPage {
    pub(in crate::control) fn layout(
        &mut self,
        fields: &mut impl Fields,
        edition: Edition,
    ) -> Result<(), Status> {
        self.clients.truncate(CLIENTS_PER_PAGE);
        let mut count = u32::try_from(self.clients.len()).map_err(|_| Status::Invalid)?;
        fields.u32(&mut self.places)?;
        fields.u32(&mut self.next)?;
        fields.u32(&mut count)?;
        let written = core::mem::take(&mut self.clients);
        let mut records: [Record; CLIENTS_PER_PAGE] = Default::default();
        for (record, client) in records.iter_mut().zip(&written) {
            *record = Record::from(client);
        }
        for record in &mut records {
            record.layout(fields, edition)?;
        }
        // chronyd leaves a record empty where a client has just made room for another.
        let told = records.iter().zip(0..count);
        self.clients = told.filter_map(|(record, _)| record.client()).collect();
        Ok(())
    }
}

/// A client as it is written; of three figures one is for NTP, one for NTS key exchanges, one for chronyc. All zeros:
/// there is none.
#[derive(Default)]
struct Record {
    address: SourceAddress,
    hits: [u32; 3],
    drops: [u32; 3],
    intervals: [i8; 3],
    interval_unanswered: i8,
    ages_s: [u32; 3],
}

impl From<&ClientReport> for Record {
    fn from(client: &ClientReport) -> Self {
        let all = [client.ntp, client.nke, client.command];
        Self {
            address: SourceAddress::Ip(client.address),
            hits: all.map(|accesses| accesses.hits),
            drops: all.map(|accesses| accesses.drops),
            intervals: all.map(|accesses| accesses.interval.unwrap_or(INTERVAL_UNKNOWN)),
            interval_unanswered: client.ntp_interval_unanswered.unwrap_or(INTERVAL_UNKNOWN),
            ages_s: all.map(|accesses| accesses.age_s.unwrap_or(u32::MAX)),
        }
    }
}

impl Record {
    fn client(&self) -> Option<ClientReport> {
        let known = |interval: i8| Some(interval).filter(|log2_s| *log2_s != INTERVAL_UNKNOWN);
        let accesses = |at: usize| Accesses {
            hits: self.hits[at],
            drops: self.drops[at],
            interval: known(self.intervals[at]),
            age_s: Some(self.ages_s[at]).filter(|age_s| *age_s != u32::MAX),
        };
        Some(ClientReport {
            address: self.address.ip()?,
            ntp: accesses(0),
            nke: accesses(1),
            command: accesses(2),
            ntp_interval_unanswered: known(self.interval_unanswered),
        })
    }

    fn layout(&mut self, fields: &mut impl Fields, edition: Edition) -> Result<(), Status> {
        let has_nke = edition >= Edition::V4_0;
        let kinds: &[usize] = if has_nke { &[0, 1, 2] } else { &[0, 2] };
        self.address.layout(fields)?;
        for at in kinds {
            fields.u32(&mut self.hits[*at])?;
        }
        for at in kinds {
            fields.u32(&mut self.drops[*at])?;
        }
        for at in kinds {
            fields.i8(&mut self.intervals[*at])?;
        }
        fields.i8(&mut self.interval_unanswered)?;
        if !has_nke {
            fields.padding::<1>(0)?;
            self.intervals[1] = INTERVAL_UNKNOWN;
            self.ages_s[1] = u32::MAX;
        }
        for at in kinds {
            fields.u32(&mut self.ages_s[*at])?;
        }
        Ok(())
    }
}

const INTERVAL_UNKNOWN: i8 = i8::MAX;
