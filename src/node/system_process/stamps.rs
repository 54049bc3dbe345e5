//! The best moments that kernel and card have noted of an exchange.

use std::net::IpAddr;
use std::time::Duration;

use super::{OpenPort, now, raw_time};
use crate::client::StampSource;
use crate::discipline::{Moment, RawStamp, System};
use crate::node::cards::{self, Card, Cards, ThisMachine};
use crate::node::kernel_form::Kernel;
use crate::sys::{Burst, ReceiveStamp, Timespec};
use crate::wire::RawTime;

/// When the last request of a port left.
pub(super) struct Departure<'a> {
    open: &'a OpenPort,
    own: Option<IpAddr>,
    /// By a card's clock, until it is known which.
    by_card: Option<Timespec>,
}

impl<'a> Departure<'a> {
    pub(super) fn of(open: &'a OpenPort) -> Self {
        Self {
            open,
            own: open.port.own_address(),
            by_card: None,
        }
    }

    /// Takes the stamps that have come.
    pub(super) fn take(&mut self, burst: &mut Burst, system: &mut System<Kernel>) {
        let OpenPort {
            port,
            source,
            request,
            ..
        } = self.open;
        let (own, by_card) = (self.own, &mut self.by_card);
        port.departures(burst, |left| {
            *by_card = left.hardware.or(*by_card);
            if let Some(left) = left.software {
                let stamp = exactly(raw_time(left), StampSource::Kernel);
                system.departed(*source, *request, stamp, own);
            }
        });
    }

    /// Tells of the card's stamp, for which it waits so long.
    pub(super) fn settle(
        &mut self,
        card: &Card,
        timeout_ns: u64,
        burst: &mut Burst,
        system: &mut System<Kernel>,
    ) {
        let end_ns = cards::now_ns().saturating_add(timeout_ns);
        while self.by_card.is_none() && cards::now_ns() < end_ns {
            std::thread::sleep(STAMP_WAIT);
            self.take(burst, system);
        }
        let Some(left) = self.by_card.take() else {
            return;
        };
        let found = system.card_time(card.clock, card.left_ns(left));
        if let Some((at, error_s)) = found.filter(|(at, _)| cards::is_near(*at, now().raw)) {
            let stamp = RawStamp {
                at,
                error_s,
                source: StampSource::Hardware,
            };
            system.departed(self.open.source, self.open.request, stamp, self.own);
        }
    }
}

/// The best stamp of an arrival there is.
pub(super) fn arrival(
    stamp: &ReceiveStamp,
    cards: &Cards<ThisMachine>,
    system: &System<Kernel>,
    now: Moment,
) -> RawStamp {
    let by_kernel = stamp.software.map(raw_time);
    let by_card = || -> Option<RawStamp> {
        let card = cards.of(stamp)?;
        let arrived_ns = card.arrived_ns(stamp.hardware?, stamp.frame_len);
        let (at, error_s) = system.card_time(card.clock, arrived_ns)?;
        cards::is_near(at, by_kernel.unwrap_or(now.raw)).then_some(RawStamp {
            at,
            error_s,
            source: StampSource::Hardware,
        })
    };
    by_card().unwrap_or_else(|| match by_kernel {
        Some(at) => exactly(at, StampSource::Kernel),
        None => exactly(now.raw, StampSource::Daemon),
    })
}

const fn exactly(at: RawTime, source: StampSource) -> RawStamp {
    RawStamp {
        at,
        error_s: 0.0,
        source,
    }
}

/// How often a stamp is looked for that is waited for.
const STAMP_WAIT: Duration = Duration::from_micros(50);
