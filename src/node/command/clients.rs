//! `clients`: those that the workers remember, and those that have asked us by chronyc's protocol, as one list.
//!
//! Places are counted through all tables, those who command first. Whoever is in both kinds is told of there, with
//! the requests of both.

use std::net::IpAddr;

use super::crew::Crew;
use crate::control::{
    Accesses, CLIENTS_PER_PAGE, ClientReport, ClientsPage, ClientsQuestion, Status,
};
use crate::node::Worker;
use crate::server::{Client, ClientTable, ClientsAsked, ClientsListing};

/// All that is remembered of clients.
pub(super) struct Remembered<'a> {
    /// Who has commanded.
    pub(super) commanders: &'a mut ClientTable,
    pub(super) crew: &'a Crew,
    /// A responder without a thread of its own.
    pub(super) inline: Option<&'a mut Worker>,
    pub(super) now_ns: u64,
}

impl Remembered<'_> {
    /// One page.
    ///
    /// # Errors
    /// Clients are not remembered, or a worker does not answer.
    pub(super) fn page(&mut self, question: &ClientsQuestion) -> Result<ClientsPage, Status> {
        let room = usize::try_from(question.count)
            .map_or(CLIENTS_PER_PAGE, |count| count.clamp(1, CLIENTS_PER_PAGE));
        let mut tables = vec![self.commanders.capacity()];
        for worker in 0..self.crew.len() {
            let nobody = ClientsListing::new(ClientsAsked::From(usize::MAX), 0);
            tables.push(self.ask(worker, nobody)?.places);
        }
        if tables[1..].iter().all(|places| *places == 0) {
            return Err(Status::NotEnabled);
        }
        let fast_paths = &self.crew.fast_paths;
        tables.push(fast_paths.clients(question.first == 0).len());
        let places = tables.iter().sum::<usize>();
        let mut place = usize::try_from(question.first).unwrap_or(usize::MAX);
        let mut clients = Vec::new();
        while place < places && clients.len() < room {
            let (table, begin) = place_in(&tables, place);
            let asked = ClientsAsked::From(place - begin);
            let mut listing = ClientsListing::new(asked, room - clients.len());
            listing.resets = question.resets && table == 0;
            let listing = if table == 0 {
                self.commanders.fill(&mut listing);
                self.with_requests(&listing, question, &mut clients)?;
                listing
            } else if table <= self.crew.len() {
                let listing = self.ask(table - 1, listing)?;
                for client in &listing.found {
                    let address = client.address();
                    let by_kernel = self.crew.fast_paths.client(address, false);
                    let client = by_kernel.map_or(*client, |other| client.joined(other));
                    if client.hits < question.hits_min || self.commands(address) {
                        continue;
                    }
                    if question.resets {
                        self.by_workers(address, true)?;
                        self.crew.fast_paths.client(address, true);
                    }
                    clients.push(self.report(address, Some(&client), None));
                }
                listing
            } else {
                self.fill_by_kernel(&mut listing, question)?;
                let listed = listing.found.iter();
                clients
                    .extend(listed.map(|client| self.report(client.address(), Some(client), None)));
                listing
            };
            place = begin + listing.next.max(place - begin + 1);
        }
        Ok(ClientsPage {
            places: u32::try_from(places).unwrap_or(u32::MAX),
            next: u32::try_from(place).unwrap_or(u32::MAX),
            clients,
        })
    }

    /// Of those whom the kernel has answered, who was never answered by a worker and does not command.
    fn fill_by_kernel(
        &mut self,
        listing: &mut ClientsListing,
        question: &ClientsQuestion,
    ) -> Result<(), Status> {
        let ClientsAsked::From(first) = listing.asked else {
            return Ok(());
        };
        let crew = self.crew;
        let all = crew.fast_paths.clients(false);
        listing.next = all.len();
        for (place, client) in all.iter().enumerate().skip(first) {
            if listing.found.len() == listing.found.capacity() {
                listing.next = place;
                break;
            }
            let address = client.address();
            if client.hits < question.hits_min || self.commands(address) {
                continue;
            }
            if self.by_workers(address, false)?.is_none() {
                // What is told is of now, and counted from zero again if that is asked for.
                let now = crew.fast_paths.client(address, question.resets);
                listing.found.extend(now);
            }
        }
        Ok(())
    }

    /// A client as the first worker that remembers it does.
    fn by_workers(&mut self, address: IpAddr, resets: bool) -> Result<Option<Client>, Status> {
        for worker in 0..self.crew.len() {
            let mut listing = ClientsListing::new(ClientsAsked::Of(address), 1);
            listing.resets = resets;
            if let Some(client) = self.ask(worker, listing)?.found.pop() {
                return Ok(Some(client));
            }
        }
        Ok(None)
    }

    /// Of those who command, what else they have asked.
    fn with_requests(
        &mut self,
        listing: &ClientsListing,
        question: &ClientsQuestion,
        clients: &mut Vec<ClientReport>,
    ) -> Result<(), Status> {
        for commander in &listing.found {
            let address = commander.address();
            let by_workers = self.by_workers(address, question.resets)?;
            let by_kernel = self.crew.fast_paths.client(address, question.resets);
            let served = match (by_workers, by_kernel) {
                (Some(one), Some(other)) => Some(one.joined(other)),
                (one, other) => one.or(other),
            };
            let hits = commander.hits.max(served.map_or(0, |client| client.hits));
            if hits >= question.hits_min {
                clients.push(self.report(address, served.as_ref(), Some(commander)));
            }
        }
        Ok(())
    }

    fn commands(&mut self, address: IpAddr) -> bool {
        let mut listing = ClientsListing::new(ClientsAsked::Of(address), 1);
        self.commanders.fill(&mut listing);
        !listing.found.is_empty()
    }

    fn ask(&mut self, worker: usize, listing: ClientsListing) -> Result<ClientsListing, Status> {
        self.crew
            .list(worker, listing, self.inline.as_deref_mut())
            .map_err(|error| {
                log::warn!("clients: worker {worker}: {error}");
                Status::Failed
            })
    }

    fn report(
        &self,
        address: IpAddr,
        served: Option<&Client>,
        commander: Option<&Client>,
    ) -> ClientReport {
        let accesses = |client: Option<&Client>| {
            client.map_or_else(Accesses::default, |client| Accesses {
                hits: client.hits,
                drops: client.drops,
                interval: client.interval.log2_s(),
                age_s: u32::try_from(self.now_ns.saturating_sub(client.last_hit_ns) / NANOS_PER_S)
                    .ok(),
            })
        };
        ClientReport {
            address,
            ntp: accesses(served),
            nke: Accesses::default(),
            command: accesses(commander),
            ntp_interval_unanswered: served.and_then(|c| c.interval_unanswered.log2_s()),
        }
    }
}

/// The table that a place is in, and that table's first place.
fn place_in(tables: &[usize], place: usize) -> (usize, usize) {
    let mut begin = 0;
    for (number, places) in tables.iter().enumerate() {
        if place < begin + places {
            return (number, begin);
        }
        begin += places;
    }
    (tables.len(), begin)
}

const NANOS_PER_S: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_through_all_tables() {
        let tables = [10, 0, 5, 20];
        let found = [0, 9, 10, 14, 15, 34].map(|place| place_in(&tables, place));
        assert_eq!(found, [(0, 0), (0, 0), (2, 10), (2, 10), (3, 15), (3, 15)]);
    }
}
