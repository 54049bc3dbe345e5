//! AES-CMAC (RFC 4493, NIST SP 800-38B), the MAC of RFC 8573.
//!
//! The `cmac` crate derives the subkeys for each message, which costs a fourth AES block beside the
//! three of a 48-byte packet, and asks at each step which AES the processor has. Here the subkeys are
//! kept with the key, and all blocks of a message go through one question. The crate is the second
//! opinion: a key whose MACs differ from the crate's is refused when it is loaded.

use aes::cipher::{
    Array, BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser,
    KeyInit, consts::U16,
};
use aes::{Aes128Enc, Aes256Enc};
use cmac::{Cmac, Mac};
use zeroize::Zeroize;

/// Whether the processor computes AES itself. Without, a MAC costs tens of times more.
pub fn hardware_accelerated() -> bool {
    aes::hardware_accelerated()
}

/// A key's round keys and subkeys: with `Aes128Enc` 208 bytes on x86-64, with `Aes256Enc` 272.
pub struct CmacKey<C> {
    cipher: C,
    /// For a last block that is whole.
    k1: [u8; BLOCK_LEN],
    /// For a last block that had to be padded.
    k2: [u8; BLOCK_LEN],
}

impl<C: Cipher> CmacKey<C> {
    /// Expands a key. `None` when it has not the cipher's length.
    pub fn new(key: &[u8]) -> Option<Self> {
        let cipher = C::new_from_slice(key).ok()?;
        let mut zero = Array([0; BLOCK_LEN]);
        cipher.encrypt_block(&mut zero);
        let k1 = double(zero.0);
        let k2 = double(k1);
        zero.0.zeroize();
        Some(Self { cipher, k1, k2 })
    }

    /// What is added to a last block that is whole (RFC 4493's K1).
    pub const fn subkey(&self) -> &[u8; BLOCK_LEN] {
        &self.k1
    }

    /// The MAC of a header alone: what nearly every packet is.
    #[inline]
    pub fn mac48(&self, message: &[u8; 48]) -> [u8; BLOCK_LEN] {
        let mut mac = [0; BLOCK_LEN];
        self.cipher.encrypt_with_backend(Chain48 {
            message,
            k1: &self.k1,
            mac: &mut mac,
        });
        mac
    }

    /// The MAC of a message of any length, the empty one too.
    pub fn mac(&self, message: &[u8]) -> [u8; BLOCK_LEN] {
        let (blocks, tail) = message.as_chunks();
        let (blocks, last) = match blocks.split_last() {
            Some((last, blocks)) if tail.is_empty() => (blocks, xor(*last, &self.k1)),
            _ => (blocks, xor(padded(tail), &self.k2)),
        };
        let mut mac = [0; BLOCK_LEN];
        self.cipher.encrypt_with_backend(Chain {
            blocks,
            last,
            mac: &mut mac,
        });
        mac
    }

    /// Whether our MACs are those of the `cmac` crate: of a header, and of a message whose last block
    /// is padded. `key` is what this was made of.
    pub fn self_test(&self, key: &[u8]) -> bool {
        let message: [u8; 61] = core::array::from_fn(|at| at.to_le_bytes()[0].wrapping_mul(73));
        let Some((header, _)) = message.split_first_chunk() else {
            return false;
        };
        C::second_opinion(key, header) == Some(self.mac48(header))
            && C::second_opinion(key, &message) == Some(self.mac(&message))
    }
}

impl<C> Drop for CmacKey<C> {
    /// The round keys wipe themselves: feature `zeroize` of `aes`.
    fn drop(&mut self) {
        self.k1.zeroize();
        self.k2.zeroize();
    }
}

/// The ciphers of RFC 8573's MAC and of its longer twin.
pub trait Cipher: BlockCipherEncrypt<BlockSize = U16> + KeyInit {
    /// The MAC by the `cmac` crate. `None` when `key` has not the cipher's length.
    fn second_opinion(key: &[u8], message: &[u8]) -> Option<[u8; BLOCK_LEN]>;
}

impl Cipher for Aes128Enc {
    fn second_opinion(key: &[u8], message: &[u8]) -> Option<[u8; BLOCK_LEN]> {
        let cmac = Cmac::<Self>::new_from_slice(key).ok()?;
        Some(cmac.chain_update(message).finalize().into_bytes().0)
    }
}

impl Cipher for Aes256Enc {
    fn second_opinion(key: &[u8], message: &[u8]) -> Option<[u8; BLOCK_LEN]> {
        let cmac = Cmac::<Self>::new_from_slice(key).ok()?;
        Some(cmac.chain_update(message).finalize().into_bytes().0)
    }
}

/// The three blocks of a header, inlined into the code of the AES that the processor has.
struct Chain48<'a> {
    message: &'a [u8; 48],
    k1: &'a [u8; BLOCK_LEN],
    mac: &'a mut [u8; BLOCK_LEN],
}

impl BlockSizeUser for Chain48<'_> {
    type BlockSize = U16;
}

impl BlockCipherEncClosure for Chain48<'_> {
    // Not inlined, each block would be a call into the backend.
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        let (blocks, _) = self.message.as_chunks();
        let mut state = Array(blocks[0]);
        backend.encrypt_block_inplace(&mut state);
        state.0 = xor(state.0, &blocks[1]);
        backend.encrypt_block_inplace(&mut state);
        state.0 = xor(xor(state.0, &blocks[2]), self.k1);
        backend.encrypt_block_inplace(&mut state);
        *self.mac = state.0;
    }
}

/// Whole blocks, then the last with its subkey already added.
struct Chain<'a> {
    blocks: &'a [[u8; BLOCK_LEN]],
    last: [u8; BLOCK_LEN],
    mac: &'a mut [u8; BLOCK_LEN],
}

impl BlockSizeUser for Chain<'_> {
    type BlockSize = U16;
}

impl BlockCipherEncClosure for Chain<'_> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        let mut state = Array([0; BLOCK_LEN]);
        for block in self.blocks {
            state.0 = xor(state.0, block);
            backend.encrypt_block_inplace(&mut state);
        }
        state.0 = xor(state.0, &self.last);
        backend.encrypt_block_inplace(&mut state);
        *self.mac = state.0;
    }
}

/// Multiplies by x in GF(2^128) (RFC 4493 §2.3), without a branch on the secret.
fn double(block: [u8; BLOCK_LEN]) -> [u8; BLOCK_LEN] {
    let bits = u128::from_be_bytes(block);
    let carry = bits >> 127;
    ((bits << 1) ^ (carry * POLYNOMIAL)).to_be_bytes()
}

#[inline(always)]
fn xor(a: [u8; BLOCK_LEN], b: &[u8; BLOCK_LEN]) -> [u8; BLOCK_LEN] {
    (u128::from_ne_bytes(a) ^ u128::from_ne_bytes(*b)).to_ne_bytes()
}

/// Less than a block, one bit set, zeros (RFC 4493 §2.4).
fn padded(tail: &[u8]) -> [u8; BLOCK_LEN] {
    let mut block = [0; BLOCK_LEN];
    if let Some((start, [bit, ..])) = block.split_at_mut_checked(tail.len()) {
        start.copy_from_slice(tail);
        *bit = 0x80;
    }
    block
}

/// Bytes of a block, and of a MAC.
const BLOCK_LEN: usize = 16;
/// R_128 of NIST SP 800-38B §5.3.
const POLYNOMIAL: u128 = 0x87;

#[cfg(test)]
mod tests;
