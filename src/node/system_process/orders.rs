//! What people order with chronyc.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use super::{SystemProcess, now, served_unix};
use crate::auth::KeyStore;
use crate::client::{SourceName, SourceOptions};
use crate::control::{ManualTimestamp, Order, SourceAddress, Status};
use crate::discipline::{CannotAdd, Local};
use crate::node::command::{make_step, matches, source_spec};
use crate::node::source_port::SourcePort;
use crate::node::{Files, log as log_lines};
use crate::wire::NtpTimestamp;

impl SystemProcess {
    /// Does what is ordered; whether there is anything that it is about.
    ///
    /// # Errors
    /// It cannot be done, or not yet by this program.
    pub(in crate::node) fn order(&mut self, order: &Order) -> Result<bool, Status> {
        let now = now();
        let system = &mut self.system;
        let done = match order {
            Order::Online(matching) => system.online(matches(*matching), now) > 0,
            Order::Offline(matching) => system.offline(matches(*matching)) > 0,
            Order::Burst(matching, good, total) => {
                system.burst(matches(*matching), (*good, *total), now) > 0
            }
            Order::MakeStep => system.make_step(now).map(|()| true).map_err(failed)?,
            Order::ModifyMakeStep(limit, threshold_s) => {
                system.set_make_step(make_step(*limit, *threshold_s));
                true
            }
            Order::MaxUpdateSkew(ppm) => {
                system.set_skew_max(ppm * 1e-6);
                true
            }
            Order::Reselect => system.reselect(now).map(|()| true).map_err(failed)?,
            Order::ReselectDistance(seconds) => {
                system.set_reselect_distance(*seconds);
                true
            }
            Order::ResetSources => {
                system.reset_sources();
                true
            }
            Order::CycleLogs => {
                self.logs.cycle();
                log_lines::cycle();
                true
            }
            Order::Dump => self.dump(),
            order => return self.change_sources(order),
        };
        self.act().map_err(failed)?;
        Ok(done)
    }

    /// Orders about which sources there are.
    fn change_sources(&mut self, order: &Order) -> Result<bool, Status> {
        let done = match order {
            Order::OnOffline => {
                self.follow_routes();
                true
            }
            Order::AddSource(new) => {
                let spec = source_spec(new)?;
                log::info!("{} was added by a command", spec.host);
                self.system.add(spec, now()).map_err(refused)?;
                true
            }
            Order::DeleteSource(address) => {
                let address = address.ip().ok_or(Status::NoSuchSource)?;
                self.system.remove(address)
            }
            Order::Refresh => {
                self.system.refresh(now());
                true
            }
            Order::ReloadSources => {
                self.reload_sources();
                true
            }
            order => return self.change_clock(order),
        };
        self.act().map_err(failed)?;
        Ok(done)
    }

    /// Orders about the clock.
    fn change_clock(&mut self, order: &Order) -> Result<bool, Status> {
        let now = now();
        let system = &mut self.system;
        match order {
            // chrony's sign is the other: that of a clock that gains, or is ahead.
            Order::ChangeFrequency(ppm) => {
                log::info!("the frequency is changed by {ppm:.3} ppm by a command");
                system.change_clock(-ppm * 1e-6, 0.0, now).map_err(failed)?;
            }
            Order::ChangeOffset(seconds) => {
                log::info!("the offset is changed by {seconds:.6} s by a command");
                system.change_clock(0.0, -seconds, now).map_err(failed)?;
            }
            Order::SmoothTime(what) => {
                let is_configured = match what {
                    0 => system.reset_smoothing(now),
                    1 => system.activate_smoothing(now),
                    _ => return Err(Status::Invalid),
                };
                return is_configured.then_some(true).ok_or(Status::NotEnabled);
            }
            Order::Manual(what) => match what {
                0 => system.manual().enable(false),
                1 => system.manual().enable(true),
                2 => system.manual().reset(),
                _ => return Err(Status::Invalid),
            },
            Order::ManualDelete(place) => {
                let place = usize::try_from(*place).unwrap_or(usize::MAX);
                if !system.manual().delete(place) {
                    return Err(Status::NoSuchSample);
                }
            }
            Order::WriteRtc => {
                let rtc = self.rtc.as_ref().ok_or(Status::NoRtc)?;
                if let Some(found) = system.rtc_coefficients() {
                    rtc.write(&found);
                }
            }
            Order::TrimRtc => {
                let (_, nanos) = served_unix(system, now.raw);
                let rtc = self.rtc.as_mut().ok_or(Status::NoRtc)?;
                rtc.trim(now.monotonic_ns, nanos);
            }
            order => return self.change_source(order),
        }
        self.act().map_err(failed)?;
        Ok(true)
    }

    /// `settime`
    ///
    /// # Errors
    /// It is not enabled, or the clock cannot be had.
    pub(in crate::node) fn set_time(
        &mut self,
        (seconds, nanos): (i64, u32),
    ) -> Result<ManualTimestamp, Status> {
        if !self.system.manual().is_enabled() {
            return Err(Status::NotEnabled);
        }
        let typed = NtpTimestamp::from_unix(seconds, nanos);
        let update = self.system.set_time(typed, now()).map_err(failed)?;
        self.act().map_err(failed)?;
        Ok(ManualTimestamp {
            offset_s: update.offset_s,
            frequency_change_ppm: -update.frequency * 1e6,
            new_frequency_ppm: -self.system.frequency() * 1e6,
        })
    }

    /// `onoffline`: sources that the routes lead to are asked, others are not.
    fn follow_routes(&mut self) {
        let sources = self.system.sources(now()).into_iter();
        let servers = sources.filter_map(|source| source.server);
        for address in servers.map(|server| server.address) {
            let is_him = |ip| ip == address.ip();
            if SourcePort::leads_to(address, &self.options) {
                self.system.online(is_him, now());
            } else {
                self.system.offline(is_him);
            }
        }
    }

    /// `reload sources`
    fn reload_sources(&mut self) {
        for found in &mut self.directories {
            let (sources, notices) = found.read(&Files);
            for notice in notices {
                log::warn!("{notice}");
            }
            self.system.reload(&found.sources, &sources, now());
            found.sources = sources;
        }
    }

    /// The key file was read again.
    pub(in crate::node) fn rekey(&mut self, keys: &Arc<KeyStore>) {
        self.keys = Arc::clone(keys);
        self.system.set_keys(Arc::clone(keys));
    }

    /// `local`, from now on.
    pub(in crate::node) fn change_local(&mut self, local: Option<Local>) {
        self.system.set_local(local, now());
    }

    fn dump(&self) -> bool {
        let Some(files) = &self.dumps else {
            return true; // chronyd says so too.
        };
        for (source, dump) in self.system.dumps() {
            files.save(source, &dump);
        }
        true
    }

    /// Orders about the options of one source.
    fn change_source(&mut self, order: &Order) -> Result<bool, Status> {
        let small = |value: i32| i8::try_from(value).map_err(|_| Status::Invalid);
        let done = match order {
            Order::MinPoll(source, value) => {
                let value = small(*value)?;
                self.change(*source, |options| options.min_poll = Some(value))?
            }
            Order::MaxPoll(source, value) => {
                let value = small(*value)?;
                self.change(*source, |options| options.max_poll = Some(value))?
            }
            Order::MaxDelay(source, seconds) => {
                self.change(*source, |options| options.max_delay_s = *seconds)?
            }
            Order::MaxDelayRatio(source, ratio) => {
                self.change(*source, |options| options.max_delay_ratio = Some(*ratio))?
            }
            Order::MaxDelayDevRatio(source, ratio) => {
                self.change(*source, |options| options.max_delay_dev_ratio = *ratio)?
            }
            Order::MinStratum(source, stratum) => {
                let stratum = u8::try_from(*stratum).map_err(|_| Status::Invalid)?;
                self.change(*source, |options| options.min_stratum = stratum)?
            }
            Order::PollTarget(source, target) => {
                let target = u32::try_from(*target).map_err(|_| Status::Invalid)?;
                self.change(*source, |options| options.poll_target = target)?
            }
            Order::SelectOptions(source, which, values) => {
                let name = match source {
                    SourceAddress::Ip(ip) => SourceName::Address(*ip),
                    SourceAddress::Refclock(id) => SourceName::Refclock(*id),
                    _ => return Err(Status::NoSuchSource),
                };
                self.system.change_selection(name, |options| {
                    for (is_meant, value, option) in [
                        (which.noselect, values.noselect, &mut options.noselect),
                        (which.prefer, values.prefer, &mut options.prefer),
                        (which.trust, values.trust, &mut options.trust),
                        (which.require, values.require, &mut options.require),
                    ] {
                        if is_meant {
                            *option = value;
                        }
                    }
                })
            }
            Order::Offset(source, seconds) => {
                self.change(*source, |options| options.offset_s = *seconds)?
            }
            _ => return Err(Status::NotEnabled),
        };
        Ok(done)
    }

    fn change(
        &mut self,
        source: SourceAddress,
        change: impl FnOnce(&mut SourceOptions),
    ) -> Result<bool, Status> {
        let address: IpAddr = source.ip().ok_or(Status::NoSuchSource)?;
        Ok(self.system.change_options(address, change))
    }
}

fn refused(why: CannotAdd) -> Status {
    match why {
        CannotAdd::Known => Status::SourceKnown,
        CannotAdd::TooMany => Status::TooManySources,
    }
}

fn failed(error: io::Error) -> Status {
    log::warn!("a command failed: {error}");
    Status::Failed
}
