//! What authentication costs per packet: our CMAC against the `cmac` crate's, and each key type through
//! the key store.
//!
//! `count CASE N` does one case N times and nothing else; `scripts/count-cmac` counts instructions with
//! it.

mod harness;

use std::hint::black_box;

use aes::{Aes128, Aes128Enc};
use cmac::digest::FixedOutputReset;
use cmac::{Cmac, KeyInit, Mac};
use maser::auth::{CmacKey, Key, KeyStore, KeyType, Verdict, hardware_accelerated};
use maser::wire::KeyId;

use harness::{Case, compare};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [count, case, macs, ..] = arguments.as_slice()
        && count == "count"
    {
        let macs = macs.parse().expect("count CASE N");
        return println!("{:016x}", counted(case)(macs));
    }
    println!("AES by the processor: {}", hardware_accelerated());
    one_header();
    set_up();
    by_length();
    by_type();
    by_number_of_keys();
}

/// The MAC of 48 bytes, by everyone who can.
fn one_header() {
    let mut cases: Vec<Case> = ONE_HEADER.map(|name| Case::new(name, counted(name))).into();
    compare("AES-128-CMAC of a 48-byte header", &mut cases);
}

const ONE_HEADER: [&str; 4] = ["ours", "cmac-clone", "cmac-clone-enc", "cmac-reset-enc"];

/// A case of [`ONE_HEADER`]; and `store`: a key found, a header verified with it and one signed.
fn counted(case: &str) -> Box<dyn FnMut(u64) -> u64> {
    match case {
        "ours" => {
            let key = CmacKey::<Aes128Enc>::new(&SECRET[..16]).expect("16 bytes");
            Box::new(move |n| chain(n, |header| key.mac48(header)))
        }
        "cmac-clone" => {
            let key = Cmac::<Aes128>::new_from_slice(&SECRET[..16]).expect("16 bytes");
            Box::new(move |n| chain(n, |header| cloned(&key, header)))
        }
        "cmac-clone-enc" => {
            let key = Cmac::<Aes128Enc>::new_from_slice(&SECRET[..16]).expect("16 bytes");
            Box::new(move |n| chain(n, |header| cloned(&key, header)))
        }
        "cmac-reset-enc" => {
            let mut key = Cmac::<Aes128Enc>::new_from_slice(&SECRET[..16]).expect("16 bytes");
            Box::new(move |n| {
                chain(n, |header| {
                    Mac::update(&mut key, header);
                    key.finalize_fixed_reset().0
                })
            })
        }
        "store" => Box::new(exchange(KeyType::Aes128, 4, 48)),
        unknown => panic!("no case {unknown}; there are {ONE_HEADER:?}"),
    }
}

fn cloned<M: Mac<OutputSize = aes::cipher::consts::U16> + Clone>(
    key: &M,
    header: &[u8; 48],
) -> [u8; 16] {
    key.clone().chain_update(header).finalize().into_bytes().0
}

/// Each header begins with the MAC before, so that no two are computed at once.
#[inline(never)]
fn chain(n: u64, mut mac: impl FnMut(&[u8; 48]) -> [u8; 16]) -> u64 {
    let mut header = [0x23; 48];
    for _ in 0..n {
        let mac = mac(black_box(&header));
        header[..16].copy_from_slice(&mac);
    }
    u64::from_be_bytes(*header.first_chunk().expect("48 bytes"))
}

fn set_up() {
    let own = |n: u64| {
        (0..n).fold(0, |sum: u64, at| {
            let mut secret = [0; 16];
            secret[..8].copy_from_slice(&(at ^ sum).to_be_bytes());
            let key = CmacKey::<Aes128Enc>::new(black_box(&secret)).expect("16 bytes");
            sum.wrapping_add(u64::from(key.mac48(&[0; 48])[0]))
        })
    };
    let checked = |n: u64| {
        (0..n).fold(0, |sum: u64, at| {
            let mut secret = [0; 16];
            secret[..8].copy_from_slice(&(at ^ sum).to_be_bytes());
            let key = Key::new(KeyId(1), KeyType::Aes128, black_box(&secret)).expect("16 bytes");
            let (store, _) = KeyStore::new(&[key]);
            sum.wrapping_add(store.len() as u64)
        })
    };
    compare(
        "an AES-128 key made ready",
        &mut [
            Case::new("expanded, and one MAC", own),
            Case::new("tested, expanded and stored", checked),
        ],
    );
}

/// A key found, a message verified with it, and the next one signed: what a server does.
fn exchange(key_type: KeyType, version: u8, message_len: usize) -> impl FnMut(u64) -> u64 {
    let secret = &SECRET[..key_type.key_len().unwrap_or(20)];
    let key = Key::new(KeyId(7), key_type, secret).expect("a good key");
    let (store, _) = KeyStore::new(&[key]);
    move |n| {
        let mut packet = vec![0x23; message_len + 68];
        let at = store.find(KeyId(7)).expect("the only key");
        let mut end = store
            .sign(at, version, &mut packet, message_len)
            .expect("room");
        let mut good = 0;
        for _ in 0..n {
            let (message, mac) = black_box(&packet)[..end].split_at(message_len);
            let at = store.find(KeyId(7)).expect("the only key");
            good += u64::from(store.verify(at, version, message, &mac[4..]) == Verdict::Good);
            packet.copy_within(message_len + 4..message_len + 20, 0);
            end = store
                .sign(at, version, &mut packet, message_len)
                .expect("room");
        }
        assert_eq!(good, n);
        u64::from_be_bytes(*packet.first_chunk().expect("48 bytes and more"))
    }
}

fn by_length() {
    let lengths = [48, 52, 64, 76, 96];
    let names = lengths.map(|length| format!("{length} bytes"));
    let mut cases: Vec<Case> = lengths
        .iter()
        .zip(&names)
        .map(|(length, name)| Case::new(name, exchange(KeyType::Aes128, 4, *length)))
        .collect();
    compare("found, verified and signed, AES128", &mut cases);
}

fn by_type() {
    let types = [
        KeyType::Aes128,
        KeyType::Aes256,
        KeyType::Md5,
        KeyType::Sha1,
        KeyType::Sha256,
        KeyType::Sha512,
        KeyType::Sha3_256,
    ];
    let mut cases = types.map(|key_type| Case::new(key_type.name(), exchange(key_type, 3, 48)));
    compare("found, verified and signed, 48 bytes in NTPv3", &mut cases);
}

/// A key found, and a header verified with it, keys in an order that no cache foresees.
fn by_number_of_keys() {
    let numbers = [1u32, 10, 1000, 100_000];
    let names = numbers.map(|number| format!("{number} keys"));
    let mut cases: Vec<Case> = numbers
        .iter()
        .zip(&names)
        .map(|(number, name)| Case::new(name, verify_among(*number)))
        .collect();
    compare("found and refused, AES128", &mut cases);
}

fn verify_among(number: u32) -> impl FnMut(u64) -> u64 {
    let keys: Vec<Key> = (0..number)
        .map(|at| {
            let mut secret = [0; 16];
            secret[..4].copy_from_slice(&at.to_be_bytes());
            Key::new(KeyId(3 * at), KeyType::Aes128, &secret).expect("16 bytes")
        })
        .collect();
    let (store, _) = KeyStore::new(&keys);
    move |n| {
        let mut state = 1u32;
        (0..n).fold(0, |refused: u64, _| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let id = 3 * ((u64::from(state) * u64::from(number)) >> 32);
            let at = u32::try_from(id).ok().and_then(|id| store.find(KeyId(id)));
            let verdict = store.verify(at.expect("it is there"), 4, &[0; 48], &[0; 16]);
            refused + u64::from(verdict == Verdict::Bad)
        })
    }
}

const SECRET: [u8; 32] = *b"a secret that everyone may know.";
