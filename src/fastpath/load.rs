//! The program in the kernel: loaded, told what it needs to know, asked what it has counted.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::fd::{AsFd as _, OwnedFd};

use libbpf_rs::{
    MapCore as _, MapFlags, MapHandle, Object, ObjectBuilder, OpenObject, ProgramInput, ProgramMut,
};

use super::layout::{self, CLIENT_HITS, InForce, RECORDS, mapped, record};
use super::prefixes::{Prefix, everybody, prefixes};
use super::{FastPathError, ProgramCounts, ProgramOptions, Terms};
use crate::auth::CipherKey;
use crate::server::{AccessTable, Client};
use crate::wire::{KeyId, SystemVariables};

/// What the program makes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameVerdict {
    /// Nobody sees it.
    Dropped,
    /// The stack gets it.
    Passed,
    /// It goes back out where it came in.
    Answered,
    /// Another number than those.
    Other(u32),
}

/// The loaded program with its maps.
pub struct Program {
    object: Object,
    maps: Maps,
    options: ProgramOptions,
    /// The place of the record in force.
    current: u32,
    numbers: InForce,
    /// The keys in force by their slots.
    in_force: BTreeMap<u32, KeyId>,
    /// The keys before; they go when nobody can use them any more.
    former: BTreeMap<u32, KeyId>,
    /// How often keys were used that have no slot any more.
    former_uses: BTreeMap<KeyId, u64>,
    /// Slots for keys; the next generation takes those that this one has not.
    slots: u32,
    admitted: BTreeMap<Prefix, u8>,
    served: Vec<[u8; 16]>,
}

struct Maps {
    records: MapHandle,
    current: MapHandle,
    counters: MapHandle,
    served: MapHandle,
    access: MapHandle,
    clients: MapHandle,
    /// `None`: nothing is signed here.
    keys: Option<(MapHandle, MapHandle)>,
}

impl Program {
    /// Loads it. It answers nothing until a record is published, addresses are served and somebody may ask.
    ///
    /// # Errors
    /// The kernel does not take it, or we may not.
    pub fn load(options: ProgramOptions) -> Result<Self, FastPathError> {
        if options.signs {
            // A kernel without ciphers for programs knows neither the type nor the functions.
            match Self::load_as(options) {
                Err(error) if !error.is_lack_of_rights() => {
                    log::info!("fastpath: without keys: {error}");
                }
                loaded => return loaded,
            }
        }
        Self::load_as(ProgramOptions {
            signs: false,
            ..options
        })
    }

    fn load_as(options: ProgramOptions) -> Result<Self, FastPathError> {
        libbpf_rs::set_print(None);
        let mut builder = ObjectBuilder::default();
        let mut open = builder
            .open_memory(OBJECT)
            .map_err(failed("opening the program"))?;
        // Twice: one generation comes while the other is still in force.
        let slots = options.keys.max(1).saturating_mul(2);
        fit(&mut open, options, slots).map_err(failed("sizing its tables"))?;
        let object = open.load().map_err(failed("loading the program"))?;
        let keys = options
            .signs
            .then(|| Ok((map(&object, "keys")?, map(&object, "uses")?)));
        let maps = Maps {
            records: map(&object, "records")?,
            current: map(&object, ".data.current")?,
            counters: map(&object, "counters")?,
            served: map(&object, "served")?,
            access: map(&object, "access")?,
            clients: map(&object, "clients")?,
            keys: keys.transpose()?,
        };
        Ok(Self {
            object,
            maps,
            options,
            current: 0,
            numbers: InForce {
                addresses: 1,
                ..InForce::default()
            },
            in_force: BTreeMap::new(),
            former: BTreeMap::new(),
            former_uses: BTreeMap::new(),
            slots,
            admitted: BTreeMap::new(),
            served: Vec::new(),
        })
    }

    /// Whether it can sign.
    pub const fn signs(&self) -> bool {
        self.options.signs
    }

    /// To be linked to an interface.
    ///
    /// # Errors
    /// It is not there.
    pub fn descriptor(&self) -> Result<OwnedFd, FastPathError> {
        let mut programs = self.object.progs_mut();
        let program = programs.find(|program| program.name() == RESPOND);
        let program = program.ok_or_else(|| failed(RESPOND)(none()))?;
        let fd = program.as_fd().try_clone_to_owned();
        fd.map_err(|error| failed(RESPOND)(error.into()))
    }

    /// Puts a record in force. The place that it is written to has not been in force for as long as it takes to
    /// publish several.
    ///
    /// # Errors
    /// The kernel's.
    pub fn publish(
        &mut self,
        system: &SystemVariables,
        terms: &Terms,
    ) -> Result<(), FastPathError> {
        let next = (self.current + 1) % RECORDS;
        let bytes = record(system, terms, &self.numbers);
        set(&self.maps.records, &next.to_ne_bytes(), &bytes)?;
        set(
            &self.maps.current,
            &0_u32.to_ne_bytes(),
            &next.to_ne_bytes(),
        )?;
        self.current = next;
        Ok(())
    }

    /// The addresses at which we serve, in place of those before; those that go, go with the next record.
    ///
    /// # Errors
    /// The kernel's.
    pub fn serve(&mut self, addresses: &[IpAddr]) -> Result<(), FastPathError> {
        let new: Vec<_> = addresses.iter().map(|address| mapped(*address)).collect();
        for address in new.iter().filter(|one| !self.served.contains(one)) {
            set(&self.maps.served, address, &[1])?;
        }
        for address in self.served.iter().filter(|one| !new.contains(one)) {
            remove(&self.maps.served, address)?;
        }
        if self.served != new {
            self.numbers.addresses = self.numbers.addresses.wrapping_add(1);
        }
        self.served = new;
        Ok(())
    }

    /// Who may ask, and who only signed, in place of those before: in force with the next record, at the latest. Nobody is
    /// refused in between who may ask before and after.
    ///
    /// # Errors
    /// The kernel's.
    pub fn admit(
        &mut self,
        access: &AccessTable,
        require_auth: &AccessTable,
    ) -> Result<(), FastPathError> {
        let new = prefixes(access, require_auth);
        for (prefix, may) in &new {
            if self.admitted.get(prefix) != Some(may) {
                set(&self.maps.access, &prefix_key(*prefix), &[*may])?;
            }
        }
        for prefix in self.admitted.keys() {
            if !new.contains_key(prefix) {
                remove(&self.maps.access, &prefix_key(*prefix))?;
            }
        }
        self.numbers.everybody = everybody(&new);
        self.change_rights()?;
        self.admitted = new;
        Ok(())
    }

    /// What clients are remembered to may is not true any more. Numbers come again, long after; then all are forgotten.
    fn change_rights(&mut self) -> Result<(), FastPathError> {
        self.numbers.rights = self.numbers.rights.wrapping_add(1);
        if self.numbers.rights == 0 {
            self.numbers.rights = 1;
            let map = &self.maps.clients;
            let blank = vec![0; map.value_size() as usize];
            for place in 0..map.max_entries() {
                set(map, &place.to_ne_bytes(), &blank)?;
            }
        }
        Ok(())
    }

    /// Makes other keys, which come into force with the next record. Those that there is no room for are left to the
    /// sockets; how many.
    ///
    /// # Errors
    /// The kernel's: then those before stay in force.
    pub fn rekey(&mut self, keys: &[CipherKey]) -> Result<usize, FastPathError> {
        if !self.signs() {
            return Ok(keys.len());
        }
        self.forget_former()?;
        let next = self.numbers.keys.wrapping_add(1);
        let free = (0..self.slots).filter(|slot| !self.in_force.contains_key(slot));
        let free: Vec<u32> = free.take(self.slots as usize / 2).collect();
        let mut in_force = BTreeMap::new();
        for (key, slot) in keys.iter().zip(free) {
            self.clear_uses(slot)?;
            self.make_key(key, next, slot)?;
            in_force.insert(slot, key.id);
        }
        let left = keys.len() - in_force.len();
        self.former = std::mem::replace(&mut self.in_force, in_force);
        self.numbers.keys = next;
        Ok(left)
    }

    /// Frees the keys that were in force before. A frame that was on its way when others came into force must have left:
    /// it is there for some microseconds, and this is called a second later at the earliest.
    ///
    /// # Errors
    /// The kernel's.
    pub fn forget_former(&mut self) -> Result<(), FastPathError> {
        let Some((keys, _)) = &self.maps.keys else {
            return Ok(());
        };
        let generation = self.numbers.keys.wrapping_sub(1);
        for id in self.former.values() {
            remove(keys, &key_name(*id, generation))?;
        }
        let uses = self.uses_of(&self.former)?;
        for (id, count) in uses.into_iter().filter(|(_, count)| *count > 0) {
            *self.former_uses.entry(id).or_default() += count;
        }
        self.former.clear();
        Ok(())
    }

    /// How often each key was used.
    ///
    /// # Errors
    /// The kernel's.
    pub fn key_uses(&self) -> Result<BTreeMap<KeyId, u64>, FastPathError> {
        let mut uses = self.former_uses.clone();
        let mut counted = self.uses_of(&self.in_force)?;
        counted.extend(self.uses_of(&self.former)?);
        for (id, count) in counted {
            *uses.entry(id).or_default() += count;
        }
        Ok(uses)
    }

    /// What it has counted.
    ///
    /// # Errors
    /// The kernel's.
    pub fn counts(&self) -> Result<ProgramCounts, FastPathError> {
        let mut counts = ProgramCounts::default();
        for processor in per_processor(&self.maps.counters, 0)? {
            layout::add(&mut counts, &processor);
        }
        Ok(counts)
    }

    /// All clients that it remembers.
    ///
    /// # Errors
    /// The kernel's.
    pub fn clients(&self) -> Result<Vec<Client>, FastPathError> {
        let sets = &self.maps.clients;
        let batches = sets.lookup_batch(SETS_AT_ONCE, MapFlags::ANY, MapFlags::ANY);
        let batches = batches.map_err(failed("clients"))?;
        let clients = batches.flat_map(|(_, set)| {
            let clients = layout::clients(&set).map(|(_, client)| client);
            clients.collect::<Vec<_>>()
        });
        Ok(clients.collect())
    }

    /// One client.
    ///
    /// # Errors
    /// The kernel's.
    pub fn client(&self, address: IpAddr) -> Result<Option<Client>, FastPathError> {
        let (_, set) = self.client_set(address)?;
        let mut clients = layout::clients(&set).map(|(_, client)| client);
        Ok(clients.find(|client| client.address() == address))
    }

    /// Counts a client's requests from zero again.
    ///
    /// # Errors
    /// The kernel's.
    pub fn reset_client(&self, address: IpAddr) -> Result<(), FastPathError> {
        let (place, mut set) = self.client_set(address)?;
        let mut clients = layout::clients(&set);
        let found = clients.find(|(_, client)| client.address() == address);
        drop(clients);
        let Some((at, _)) = found else {
            return Ok(());
        };
        if let Some(hits) = set.get_mut(at + CLIENT_HITS.start..at + CLIENT_HITS.end) {
            hits.fill(0);
        }
        self::set(&self.maps.clients, &place.to_ne_bytes(), &set)
    }

    /// The set of a client, and its place.
    fn client_set(&self, address: IpAddr) -> Result<(u32, Vec<u8>), FastPathError> {
        let (map, sets) = (&self.maps.clients, layout::sets(self.options.clients));
        let place = layout::set_of(address, self.options.seed, sets);
        let found = map.lookup(&place.to_ne_bytes(), MapFlags::ANY);
        let found = found.map_err(failed("clients"))?;
        Ok((place, found.unwrap_or_default()))
    }

    /// What the program makes of one frame, and the frame as it leaves it: the kernel runs it without an interface.
    ///
    /// # Errors
    /// The kernel's.
    pub fn run(&mut self, frame: &[u8]) -> Result<(FrameVerdict, Vec<u8>), FastPathError> {
        let mut out = vec![0; frame.len() + 256];
        let input = ProgramInput {
            data_in: Some(frame),
            data_out: Some(&mut out),
            ..ProgramInput::default()
        };
        let program = program(&mut self.object, RESPOND);
        let done = program.and_then(|program| program.test_run(input));
        let done = done.map_err(failed("running the program"))?;
        let verdict = match done.return_value {
            1 => FrameVerdict::Dropped,
            2 => FrameVerdict::Passed,
            3 => FrameVerdict::Answered,
            other => FrameVerdict::Other(other),
        };
        let left = done.data.map_or_else(Vec::new, |data| data.to_vec());
        Ok((verdict, left))
    }

    fn make_key(
        &mut self,
        key: &CipherKey,
        generation: u32,
        slot: u32,
    ) -> Result<(), FastPathError> {
        let mut new = zeroize::Zeroizing::new([0; NEW_KEY_LEN]);
        let length = u32::try_from(key.secret.len()).unwrap_or(0);
        new[..8].copy_from_slice(&key_name(key.id, generation));
        new[8..12].copy_from_slice(&length.to_ne_bytes());
        new[12..16].copy_from_slice(&slot.to_ne_bytes());
        if let Some(place) = new.get_mut(16..16 + key.secret.len()) {
            place.copy_from_slice(&key.secret);
        }
        new[48..64].copy_from_slice(&*key.subkey);
        let input = ProgramInput {
            context_in: Some(&mut new[..]),
            ..ProgramInput::default()
        };
        let program = program(&mut self.object, "make_key");
        let done = program.and_then(|program| program.test_run(input));
        let doing = || format!("making key {}", key.id.0);
        let done = done.map_err(failed(&doing()))?;
        match done.return_value {
            0 => Ok(()),
            _ => Err(failed(&doing())(libbpf_rs::Error::from_raw_os_error(22))),
        }
    }

    fn uses_of(&self, slots: &BTreeMap<u32, KeyId>) -> Result<Vec<(KeyId, u64)>, FastPathError> {
        let Some((_, uses)) = &self.maps.keys else {
            return Ok(Vec::new());
        };
        let counted = slots.iter().map(|(slot, id)| {
            let processors = per_processor(uses, *slot)?;
            let counts = processors.iter().filter_map(|bytes| bytes.first_chunk());
            Ok((*id, counts.map(|count| u64::from_ne_bytes(*count)).sum()))
        });
        counted.collect()
    }

    fn clear_uses(&self, slot: u32) -> Result<(), FastPathError> {
        let Some((_, uses)) = &self.maps.keys else {
            return Ok(());
        };
        let zeros: Vec<Vec<u8>> = per_processor(uses, slot)?
            .iter()
            .map(|value| vec![0; value.len()])
            .collect();
        uses.update_percpu(&slot.to_ne_bytes(), &zeros, MapFlags::ANY)
            .map_err(failed("uses"))
    }
}

/// Makes the tables as large as they are to be, and leaves out what the kernel may not know.
fn fit(open: &mut OpenObject, options: ProgramOptions, slots: u32) -> libbpf_rs::Result<()> {
    for mut map in open.maps_mut() {
        match map.name().to_str().unwrap_or_default() {
            "clients" => map.set_max_entries(layout::sets(options.clients))?,
            "keys" | "uses" if !options.signs => map.set_autocreate(false)?,
            "keys" | "uses" => map.set_max_entries(slots)?,
            name if name.ends_with(".rodata") => {
                let bytes = layout::options(&options, layout::sets(options.clients));
                if let Some(place) = map
                    .initial_value_mut()
                    .and_then(|all| all.first_chunk_mut())
                {
                    *place = bytes;
                }
            }
            _ => {}
        }
    }
    for mut program in open.progs_mut() {
        if program.name() == "make_key" && !options.signs {
            program.set_autoload(false);
        }
    }
    Ok(())
}

fn program<'a>(object: &'a mut Object, name: &str) -> libbpf_rs::Result<ProgramMut<'a>> {
    let mut programs = object.progs_mut();
    programs
        .find(|program| program.name() == name)
        .ok_or_else(none)
}

fn map(object: &Object, name: &str) -> Result<MapHandle, FastPathError> {
    let mut maps = object.maps();
    let map = maps.find(|map| map.name() == name).ok_or_else(none);
    map.and_then(|map| MapHandle::try_from(&map))
        .map_err(failed(name))
}

fn set(map: &MapHandle, key: &[u8], value: &[u8]) -> Result<(), FastPathError> {
    let updated = map.update(key, value, MapFlags::ANY);
    updated.map_err(|error| failed(&map.name().to_string_lossy())(error))
}

fn remove(map: &MapHandle, key: &[u8]) -> Result<(), FastPathError> {
    map.delete(key)
        .map_err(|error| failed(&map.name().to_string_lossy())(error))
}

fn per_processor(map: &MapHandle, place: u32) -> Result<Vec<Vec<u8>>, FastPathError> {
    let values = map.lookup_percpu(&place.to_ne_bytes(), MapFlags::ANY);
    let values = values.map_err(|error| failed(&map.name().to_string_lossy())(error))?;
    Ok(values.unwrap_or_default())
}

/// `struct key_name`
fn key_name(id: KeyId, generation: u32) -> [u8; 8] {
    let mut name = [0; 8];
    name[..4].copy_from_slice(&id.0.to_ne_bytes());
    name[4..].copy_from_slice(&generation.to_ne_bytes());
    name
}

/// `struct prefix`
fn prefix_key((first, length): Prefix) -> [u8; 20] {
    let mut key = [0; 20];
    key[..4].copy_from_slice(&length.to_ne_bytes());
    key[4..].copy_from_slice(&first.to_be_bytes());
    key
}

fn failed(doing: &str) -> impl FnOnce(libbpf_rs::Error) -> FastPathError {
    let doing = doing.to_owned();
    |error| FastPathError::kernel(doing, &error)
}

/// The program is not as it was built.
fn none() -> libbpf_rs::Error {
    libbpf_rs::Error::from_raw_os_error(2)
}

const RESPOND: &str = "respond";
/// `struct new_key`
const NEW_KEY_LEN: usize = 72;
const SETS_AT_ONCE: u32 = 1024;

/// The program (`build.rs`).
const OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/respond.bpf.o"));
