//! The data of requests, field by field.

use super::{LocalOrder, NewSource, Order, Question, Request};
use crate::client::SelectOptions;
use crate::control::address::layout_subnet;
use crate::control::fields::Fields;
use crate::control::report::{options_bits, options_of};
use crate::control::status::Status;

impl Request {
    pub(super) fn layout(&mut self, fields: &mut impl Fields, code: u16) -> Result<(), Status> {
        match self {
            Self::Null => Ok(()),
            Self::Ask(question) => question.layout(fields),
            Self::Do(order) => order.layout(fields, code),
        }
    }
}

impl Question {
    fn layout(&mut self, fields: &mut impl Fields) -> Result<(), Status> {
        match self {
            Self::SourceCount
            | Self::Tracking
            | Self::Rtc
            | Self::ManualList
            | Self::Activity
            | Self::Smoothing
            | Self::ServerStats => Ok(()),
            Self::Source(place) | Self::Sourcestats(place) | Self::SelectData(place) => {
                fields.u32(place)
            }
            Self::SourceName(source) | Self::NtpData(source) | Self::Auth(source) => {
                source.layout(fields)
            }
            Self::Access(_, address) => address.layout(fields),
            Self::Clients(clients) => {
                fields.u32(&mut clients.first)?;
                fields.u32(&mut clients.count)?;
                fields.u32(&mut clients.hits_min)?;
                fields.flag(&mut clients.resets)
            }
        }
    }
}

impl Order {
    fn layout(&mut self, fields: &mut impl Fields, code: u16) -> Result<(), Status> {
        match self {
            Self::Online(matching) | Self::Offline(matching) => matching.layout(fields),
            Self::Burst(matching, good, total) => {
                matching.layout(fields)?;
                fields.u32(good)?;
                fields.u32(total)
            }
            Self::MinPoll(source, value)
            | Self::MaxPoll(source, value)
            | Self::MinStratum(source, value)
            | Self::PollTarget(source, value) => {
                source.layout(fields)?;
                fields.i32(value)
            }
            Self::MaxDelay(source, value)
            | Self::MaxDelayRatio(source, value)
            | Self::MaxDelayDevRatio(source, value) => {
                source.layout(fields)?;
                fields.float(value)
            }
            Self::Offset(source, offset_s) => {
                source.layout_then_id(fields)?;
                fields.float(offset_s)
            }
            Self::SelectOptions(source, which, set) => {
                source.layout_then_id(fields)?;
                layout_options(which, fields)?;
                layout_options(set, fields)
            }
            Self::MaxUpdateSkew(value)
            | Self::ChangeFrequency(value)
            | Self::ChangeOffset(value)
            | Self::ReselectDistance(value) => fields.float(value),
            Self::SetTime(time) => fields.moment(time),
            Self::Manual(option) | Self::ManualDelete(option) | Self::SmoothTime(option) => {
                fields.u32(option)
            }
            Self::Access(rule) => layout_subnet(&mut rule.subnet, fields),
            Self::DeleteSource(source) => source.layout(fields),
            Self::AddSource(source) => source.layout(fields),
            Self::ModifyMakeStep(limit, threshold_s) => {
                fields.i32(limit)?;
                fields.float(threshold_s)
            }
            Self::Local(local) => local.layout(fields, code),
            Self::OnOffline
            | Self::Rekey
            | Self::WriteRtc
            | Self::TrimRtc
            | Self::Dump
            | Self::CycleLogs
            | Self::MakeStep
            | Self::Reselect
            | Self::Refresh
            | Self::ResetSources
            | Self::ReloadSources
            | Self::Shutdown => Ok(()),
        }
    }
}

fn layout_options(options: &mut SelectOptions, fields: &mut impl Fields) -> Result<(), Status> {
    let mut bits = u32::from(options_bits(*options));
    fields.u32(&mut bits)?;
    *options = options_of(bits);
    Ok(())
}

impl LocalOrder {
    fn layout(&mut self, fields: &mut impl Fields, code: u16) -> Result<(), Status> {
        fields.flag(&mut self.on)?;
        fields.i32(&mut self.stratum)?;
        fields.float(&mut self.distance_s)?;
        fields.flag(&mut self.orphan)?;
        if code < LOCAL_WITH_WAITS {
            return Ok(());
        }
        fields.float(&mut self.activate_s)?;
        fields.float(&mut self.wait_synced_s)?;
        fields.float(&mut self.wait_unsynced_s)
    }
}

/// The code whose data have all the options of `local`.
const LOCAL_WITH_WAITS: u16 = 74;

impl NewSource {
    fn layout(&mut self, fields: &mut impl Fields) -> Result<(), Status> {
        fields.u32(&mut self.kind)?;
        fields.name(&mut self.name)?;
        fields.u32(&mut self.port)?;
        fields.i32(&mut self.min_poll)?;
        fields.i32(&mut self.max_poll)?;
        fields.i32(&mut self.presend)?;
        fields.u32(&mut self.min_stratum)?;
        fields.u32(&mut self.poll_target)?;
        fields.u32(&mut self.version)?;
        fields.u32(&mut self.sources_max)?;
        fields.i32(&mut self.samples_min)?;
        fields.i32(&mut self.samples_max)?;
        fields.u32(&mut self.key)?;
        fields.u32(&mut self.nts_port)?;
        fields.float(&mut self.max_delay_s)?;
        fields.float(&mut self.max_delay_ratio)?;
        fields.float(&mut self.max_delay_dev_ratio)?;
        fields.float(&mut self.min_delay_s)?;
        fields.float(&mut self.asymmetry)?;
        fields.float(&mut self.offset_s)?;
        fields.u32(&mut self.flags)?;
        fields.i32(&mut self.filter)?;
        fields.u32(&mut self.cert_set)?;
        fields.float(&mut self.max_delay_quantile)?;
        fields.u32(&mut self.max_unreach)
    }
}
