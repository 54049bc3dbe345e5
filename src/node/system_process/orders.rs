//! What people order with chronyc.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use super::{SystemProcess, now};
use crate::auth::KeyStore;
use crate::client::SourceOptions;
use crate::control::{Order, SourceAddress, Status};
use crate::discipline::Local;
use crate::node::command::{make_step, matches};

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
                true
            }
            Order::Dump => self.dump(),
            order => return self.change_source(order),
        };
        self.act().map_err(failed)?;
        Ok(done)
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

fn failed(error: io::Error) -> Status {
    log::warn!("a command failed: {error}");
    Status::Failed
}
