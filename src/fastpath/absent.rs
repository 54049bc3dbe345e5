//! In the place of the program where it was not built in: there is none, so nothing can be asked of it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::fd::OwnedFd;

use super::{FastPathError, ProgramCounts, ProgramOptions, Terms};
use crate::auth::CipherKey;
use crate::server::{AccessTable, Client};
use crate::wire::{KeyId, SystemVariables};

/// There is none.
pub enum Program {}

type Done<T> = Result<T, FastPathError>;

#[expect(missing_docs, reason = "as those of the program that is there")]
#[expect(clippy::missing_errors_doc, reason = "likewise")]
impl Program {
    pub const fn load(_: ProgramOptions) -> Done<Self> {
        Err(FastPathError::NotBuilt)
    }

    pub const fn signs(&self) -> bool {
        match *self {}
    }

    pub const fn descriptor(&self) -> Done<OwnedFd> {
        match *self {}
    }

    pub const fn publish(&mut self, _: &SystemVariables, _: &Terms) -> Done<()> {
        match *self {}
    }

    pub const fn serve(&mut self, _: &[IpAddr]) -> Done<()> {
        match *self {}
    }

    pub const fn admit(&mut self, _: &AccessTable, _: &AccessTable) -> Done<()> {
        match *self {}
    }

    pub const fn rekey(&mut self, _: &[CipherKey]) -> Done<usize> {
        match *self {}
    }

    pub const fn forget_former(&mut self) -> Done<()> {
        match *self {}
    }

    pub const fn key_uses(&self) -> Done<BTreeMap<KeyId, u64>> {
        match *self {}
    }

    pub const fn counts(&self) -> Done<ProgramCounts> {
        match *self {}
    }

    pub const fn clients(&self) -> Done<Vec<Client>> {
        match *self {}
    }

    pub const fn client(&self, _: IpAddr) -> Done<Option<Client>> {
        match *self {}
    }

    pub const fn reset_client(&self, _: IpAddr) -> Done<()> {
        match *self {}
    }
}
