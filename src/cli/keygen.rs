//! `maser keygen`: a new key as a line for the key files of both ends (chronyc(1), `keygen`).

use std::io;

use super::{Exit, complain, print};
use crate::auth::{self, KeyType};
use crate::node;
use crate::wire::KeyId;

/// Print a new key, a line for the key files of server and client.
#[derive(Debug, clap::Args)]
pub(super) struct Keygen {
    /// The key's number.
    #[arg(value_name = "ID", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    id: u32,
    /// The key's type, as in the key file. AES128 is the one to use.
    #[arg(value_name = "TYPE", default_value = "SHA1", value_parser = key_type)]
    key_type: KeyType,
    /// Its length in bits, 80 to 4096; an AES key has its own.
    #[arg(value_name = "BITS", default_value_t = 160)]
    bits: u32,
}

impl Keygen {
    pub(super) fn run(&self) -> Exit {
        let mut failed: Option<io::Error> = None;
        let random = |bytes: &mut [u8]| failed = node::random::fill(bytes).err();
        let line = auth::generate(KeyId(self.id), self.key_type, self.bits, random);
        match (line, failed) {
            // Written in two pieces: a joined copy would stay in memory unwiped.
            (Ok(line), None) => match print(&line) {
                Exit::Success => print("\n"),
                other => other,
            },
            (Err(error), _) => complain(&format!("maser keygen: {error}"), Exit::Failure),
            (_, Some(error)) => complain(
                &format!("maser keygen: no randomness: {error}"),
                Exit::Failure,
            ),
        }
    }
}

fn key_type(name: &str) -> Result<KeyType, String> {
    let known = KeyType::from_name(name).filter(|key_type| key_type.is_supported());
    known.ok_or_else(|| {
        let names = KeyType::ALL
            .into_iter()
            .filter(|known| known.is_supported());
        let names: Vec<_> = names.map(KeyType::name).collect();
        format!("expected one of {}", names.join(" "))
    })
}
