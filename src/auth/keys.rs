//! The keys, ready to use: expanded, sorted by identifier, in one table.

use core::fmt;

use aes::{Aes128Enc, Aes256Enc};
use subtle::{Choice, ConstantTimeEq};
use thiserror::Error;
use zeroize::Zeroizing;

use super::KeyType;
use super::cmac::{Cipher, CmacKey};
use super::digest::DigestAlgorithm;
use crate::wire::{DIGEST_LEN_MAX_V4, HEADER_LEN, KEY_ID_LEN, KeyId};

/// All keys of a node. Built by the control plane, read by every worker, replaced as a whole.
///
/// The identifiers stand apart from the keys, so that looking for one of 10^5 touches 400 KB and not
/// 25 MB.
#[derive(Default)]
pub struct KeyStore {
    /// Ascending, each once.
    ids: Box<[u32]>,
    /// In the order of `ids`.
    entries: Box<[Entry]>,
}

/// Where a key is in its store: what [`KeyStore::find`] found. Means nothing to another store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyIndex(u32);

impl KeyIndex {
    /// Which of the store's keys, ascending by identifier, from 0.
    #[inline]
    pub const fn place(self) -> usize {
        self.0 as usize
    }
}

/// What became of a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// It is the digest of the message under the key.
    Good,
    /// It is shorter than the key's digests are in this version.
    Short,
    /// It is longer, or another digest.
    Bad,
}

impl KeyStore {
    /// Expands the keys. Of several with one identifier the first is kept; the answer's second half
    /// names the others by their positions in `keys`, ascending by identifier.
    pub fn new(keys: &[Key]) -> (Self, Vec<usize>) {
        let mut order: Vec<usize> = (0..keys.len()).collect();
        order.sort_by_key(|at| keys[*at].id);

        let mut kept: Vec<usize> = Vec::with_capacity(keys.len());
        let mut left_out = Vec::new();
        for at in order {
            match kept.last() {
                Some(last) if keys[*last].id == keys[at].id => left_out.push(at),
                _ => kept.push(at),
            }
        }
        // Of the final size from the start: what a growing vector leaves behind is not wiped.
        let entries: Box<[Entry]> = kept.iter().map(|at| Entry::new(&keys[*at])).collect();
        let ids = entries.iter().map(|entry| entry.id.0).collect();
        let store = Self { ids, entries };
        (store, left_out)
    }

    /// Looks a key up. A binary search without unpredictable branches; key 0 is a key like any other.
    #[inline]
    pub fn find(&self, id: KeyId) -> Option<KeyIndex> {
        let at = self.ids.binary_search(&id.0).ok()?;
        Some(KeyIndex(u32::try_from(at).ok()?))
    }

    /// Whether `digest`, all that follows the key identifier, is the one of `message`, all that comes
    /// before it.
    ///
    /// Its length must be exactly the natural one, in NTPv4 at most [`DIGEST_LEN_MAX_V4`]: a prefix
    /// is not accepted (RFC 7822, chrony). The comparison takes the same time for every digest of
    /// the right length.
    #[inline]
    pub fn verify(&self, at: KeyIndex, version: u8, message: &[u8], digest: &[u8]) -> Verdict {
        let Some(entry) = self.entries.get(at.0 as usize) else {
            return Verdict::Bad;
        };
        match &entry.material {
            Material::Aes128(key) => verify_cmac(key, message, digest),
            Material::Aes256(key) => verify_cmac(&**key, message, digest),
            Material::Digest(algorithm, secret) => {
                let expected = algorithm.digest(secret, message);
                let expected = cut(expected.as_bytes(), version);
                if digest.len() != expected.len() {
                    return Verdict::of_length(digest.len(), expected.len());
                }
                Verdict::of(expected.ct_eq(digest))
            }
        }
    }

    /// Writes key identifier and digest behind the first `message_len` bytes of `packet`, and answers
    /// with the length of the whole.
    ///
    /// `None`, and nothing written, when the packet has no room: it needs [`mac_len`](Self::mac_len)
    /// bytes behind the message.
    #[inline]
    pub fn sign(
        &self,
        at: KeyIndex,
        version: u8,
        packet: &mut [u8],
        message_len: usize,
    ) -> Option<usize> {
        let entry = self.entries.get(at.0 as usize)?;
        let (message, mac) = packet.split_at_mut_checked(message_len)?;
        let (id, digest) = mac.split_first_chunk_mut::<KEY_ID_LEN>()?;
        let digest_len = match &entry.material {
            Material::Aes128(key) => sign_cmac(key, message, digest)?,
            Material::Aes256(key) => sign_cmac(&**key, message, digest)?,
            Material::Digest(algorithm, secret) => {
                let whole = algorithm.digest(secret, message);
                let whole = cut(whole.as_bytes(), version);
                digest.get_mut(..whole.len())?.copy_from_slice(whole);
                whole.len()
            }
        };
        *id = entry.id.0.to_be_bytes();
        Some(message_len + KEY_ID_LEN + digest_len)
    }

    /// Bytes of a MAC by this key in a packet of `version`: identifier and digest.
    ///
    /// # Panics
    /// For an index that a longer store gave.
    pub fn mac_len(&self, at: KeyIndex, version: u8) -> usize {
        let digest_len = self.entry(at).key_type.digest_len();
        KEY_ID_LEN + digest_len.min(digest_len_max(version))
    }

    /// The key's identifier.
    ///
    /// # Panics
    /// For an index that a longer store gave.
    pub fn id(&self, at: KeyIndex) -> KeyId {
        self.entry(at).id
    }

    /// The key's type.
    ///
    /// # Panics
    /// For an index that a longer store gave.
    pub fn key_type(&self, at: KeyIndex) -> KeyType {
        self.entry(at).key_type
    }

    /// The keys' identifiers, ascending.
    pub fn identifiers(&self) -> impl Iterator<Item = KeyId> {
        self.ids.iter().map(|id| KeyId(*id))
    }

    /// Bits of the secret: 128 or 256 for a cipher, what the file holds for a hash. chrony warns of a
    /// source whose key has less than 80.
    ///
    /// # Panics
    /// For an index that a longer store gave.
    pub fn key_bits(&self, at: KeyIndex) -> usize {
        8 * match &self.entry(at).material {
            Material::Aes128(_) => 16,
            Material::Aes256(_) => 32,
            Material::Digest(_, secret) => secret.len(),
        }
    }

    /// Bytes of a key on the heap, without what an AES-256 key or a hash's secret takes beside.
    pub const KEY_BYTES: usize = size_of::<u32>() + size_of::<Entry>();

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is none: then every MAC is one by an unknown key.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Bytes on the heap.
    pub fn memory_bytes(&self) -> usize {
        let behind = |entry: &Entry| match &entry.material {
            Material::Aes128(_) => 0,
            Material::Aes256(_) => size_of::<CmacKey<Aes256Enc>>(),
            Material::Digest(_, secret) => secret.len(),
        };
        size_of_val(&*self.ids)
            + size_of_val(&*self.entries)
            + self.entries.iter().map(behind).sum::<usize>()
    }

    fn entry(&self, at: KeyIndex) -> &Entry {
        &self.entries[at.0 as usize]
    }
}

impl fmt::Debug for KeyStore {
    /// Identifiers and types.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = self
            .entries
            .iter()
            .map(|entry| (entry.id.0, entry.key_type));
        f.debug_map().entries(named).finish()
    }
}

/// One key as it was read, found to be usable.
pub struct Key {
    id: KeyId,
    key_type: KeyType,
    secret: Zeroizing<Box<[u8]>>,
}

impl Key {
    /// Checks a secret's length, and for a cipher our MACs against those of the `cmac` crate.
    ///
    /// # Errors
    /// Why there can be no such key.
    pub fn new(id: KeyId, key_type: KeyType, secret: &[u8]) -> Result<Self, KeyError> {
        let tested = match key_type {
            KeyType::Aes128 => self_test::<Aes128Enc>(secret),
            KeyType::Aes256 => self_test::<Aes256Enc>(secret),
            _ if DigestAlgorithm::of(key_type).is_none() => {
                return Err(KeyError::Unsupported(key_type));
            }
            _ if secret.is_empty() => return Err(KeyError::Empty),
            _ => Some(true),
        };
        match tested {
            None => Err(KeyError::Length {
                key_type,
                bits: 8 * key_type.key_len().unwrap_or_default(),
                actual_bits: 8 * secret.len(),
            }),
            Some(false) => Err(KeyError::SelfTest(key_type)),
            Some(true) => Ok(Self {
                id,
                key_type,
                secret: Zeroizing::new(secret.into()),
            }),
        }
    }

    /// The key's identifier.
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// For somebody else's AES; `None` where the key is a hash's.
    pub fn cipher(&self) -> Option<CipherKey> {
        let subkey = match self.key_type {
            KeyType::Aes128 => *CmacKey::<Aes128Enc>::new(&self.secret)?.subkey(),
            KeyType::Aes256 => *CmacKey::<Aes256Enc>::new(&self.secret)?.subkey(),
            _ => return None,
        };
        Some(CipherKey {
            id: self.id,
            secret: self.secret.clone(),
            subkey: Zeroizing::new(subkey),
        })
    }
}

/// A key for CMACs that are not made here.
pub struct CipherKey {
    /// Its identifier.
    pub id: KeyId,
    /// AES's key: 16 or 32 bytes.
    pub secret: Zeroizing<Box<[u8]>>,
    /// What is added to a last block that is whole (RFC 4493's K1).
    pub subkey: Zeroizing<[u8; 16]>,
}

impl fmt::Debug for CipherKey {
    /// The identifier alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CipherKey({})", self.id.0)
    }
}

impl fmt::Debug for Key {
    /// Identifier and type.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({} {})", self.id.0, self.key_type)
    }
}

/// Why a key cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum KeyError {
    /// TIGER and WHIRLPOOL.
    #[error("its type {0} is not supported; make a new one of type AES128 for both ends")]
    Unsupported(KeyType),
    /// A cipher's key has another length than the cipher.
    #[error("a key of type {key_type} has {bits} bits, this one has {actual_bits}; write it as HEX: and {} digits", bits / 4)]
    Length {
        /// The cipher.
        key_type: KeyType,
        /// What it takes.
        bits: usize,
        /// What it was given.
        actual_bits: usize,
    },
    /// A hash needs one byte at least.
    #[error("its secret is empty; make a new one for both ends")]
    Empty,
    /// The two implementations disagree: a faulty processor, or a miscompiled program.
    #[error(
        "{0} gives wrong results on this machine, so the key is refused; do not trust this machine"
    )]
    SelfTest(KeyType),
}

/// `None` when the length is not the cipher's.
fn self_test<C: Cipher>(secret: &[u8]) -> Option<bool> {
    Some(CmacKey::<C>::new(secret)?.self_test(secret))
}

/// A key expanded: four cache lines on x86-64, beginning at one. The round keys and subkeys of AES-128
/// take 208 bytes of the 256; AES-256 does not fit beside and, like the hashes' secrets, is kept apart.
#[repr(align(64))]
struct Entry {
    material: Material,
    id: KeyId,
    key_type: KeyType,
}

#[cfg(target_arch = "x86_64")]
const _: () = assert!(size_of::<CmacKey<Aes128Enc>>() == 208 && size_of::<Entry>() == 256);

enum Material {
    Aes128(CmacKey<Aes128Enc>),
    Aes256(Box<CmacKey<Aes256Enc>>),
    Digest(DigestAlgorithm, Zeroizing<Box<[u8]>>),
}

impl Entry {
    fn new(key: &Key) -> Self {
        let material = match DigestAlgorithm::of(key.key_type) {
            Some(algorithm) => Material::Digest(algorithm, key.secret.clone()),
            None if key.key_type == KeyType::Aes256 => {
                Material::Aes256(Box::new(CmacKey::new(&key.secret).expect(CHECKED)))
            }
            None => Material::Aes128(CmacKey::new(&key.secret).expect(CHECKED)),
        };
        Self {
            material,
            id: key.id,
            key_type: key.key_type,
        }
    }
}

const CHECKED: &str = "Key::new made the same key before";

impl Verdict {
    fn of(equal: Choice) -> Self {
        if bool::from(equal) {
            Self::Good
        } else {
            Self::Bad
        }
    }

    /// Of a digest whose length is not the expected one.
    const fn of_length(actual: usize, expected: usize) -> Self {
        if actual < expected {
            Self::Short
        } else {
            Self::Bad
        }
    }
}

#[inline(always)]
fn verify_cmac<C: Cipher>(key: &CmacKey<C>, message: &[u8], digest: &[u8]) -> Verdict {
    let Ok(digest) = digest.try_into() else {
        return Verdict::of_length(digest.len(), CMAC_LEN);
    };
    let expected = u128::from_ne_bytes(cmac(key, message));
    Verdict::of(expected.ct_eq(&u128::from_ne_bytes(digest)))
}

/// The digest's length; `None` without room for it.
#[inline(always)]
fn sign_cmac<C: Cipher>(key: &CmacKey<C>, message: &[u8], digest: &mut [u8]) -> Option<usize> {
    *digest.first_chunk_mut()? = cmac(key, message);
    Some(CMAC_LEN)
}

#[inline(always)]
fn cmac<C: Cipher>(key: &CmacKey<C>, message: &[u8]) -> [u8; CMAC_LEN] {
    match <&[u8; HEADER_LEN]>::try_from(message) {
        Ok(header) => key.mac48(header),
        Err(_) => key.mac(message),
    }
}

fn cut(digest: &[u8], version: u8) -> &[u8] {
    digest.get(..digest_len_max(version)).unwrap_or(digest)
}

const fn digest_len_max(version: u8) -> usize {
    if version < 4 {
        usize::MAX
    } else {
        DIGEST_LEN_MAX_V4
    }
}

/// Bytes of an AES-CMAC; in every version the whole of it is sent.
const CMAC_LEN: usize = 16;

#[cfg(test)]
mod tests;
