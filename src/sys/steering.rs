//! Programs that choose the socket of a reuse-port group for each datagram (classic BPF).
//!
//! The kernel runs the program attached by `SO_ATTACH_REUSEPORT_CBPF` on every datagram and takes its
//! result as the number of the socket, in the order they were bound. The network header is reached at
//! `SKF_NET_OFF`.

/// An instruction, as the kernel has it.
pub(super) type Instruction = libc::sock_filter;

/// A program, ready to be attached.
pub struct Program(Vec<Instruction>);

/// Which headers the group's datagrams have. A group is of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4
    V4,
    /// IPv6
    V6,
}

const LOAD_WORD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const LOAD_X_MEMORY: u16 = 0x61; // BPF_LDX | BPF_MEM
const STORE: u16 = 0x02; // BPF_ST
const ADD_X: u16 = 0x0c; // BPF_ALU | BPF_ADD | BPF_X
const MULTIPLY: u16 = 0x24; // BPF_ALU | BPF_MUL | BPF_K
const SHIFT_RIGHT: u16 = 0x74; // BPF_ALU | BPF_RSH | BPF_K
const MODULO: u16 = 0x94; // BPF_ALU | BPF_MOD | BPF_K
const XOR: u16 = 0xa4; // BPF_ALU | BPF_XOR | BPF_K
const XOR_X: u16 = 0xac; // BPF_ALU | BPF_XOR | BPF_X
const COPY_TO_X: u16 = 0x07; // BPF_MISC | BPF_TAX
pub(super) const JUMP_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
pub(super) const RETURN_VALUE: u16 = 0x06; // BPF_RET | BPF_K
const RETURN: u16 = 0x16; // BPF_RET | BPF_A

/// Where `SKF_AD_CPU` answers the number of the core that runs the program.
#[expect(
    clippy::cast_sign_loss,
    reason = "ancillary offsets are negative numbers in an unsigned field"
)]
const CURRENT_CPU: u32 = (libc::SKF_AD_OFF + libc::SKF_AD_CPU) as u32;
#[expect(clippy::cast_sign_loss, reason = "as above")]
pub(super) const NETWORK_HEADER: u32 = libc::SKF_NET_OFF as u32;

impl Program {
    /// A keyed hash of the source address: a client meets the same socket from every port.
    ///
    /// Each word of the address is xor-ed with a key and multiplied by a random odd number; the sum's
    /// upper half decides. Without the key nobody can choose addresses that meet one socket.
    pub fn source_address(family: Family, key: &[u8; 40], sockets: u32) -> Self {
        // Source address: bytes 12..16 of the IPv4 header, 8..24 of the IPv6 header.
        let words: &[u32] = match family {
            Family::V4 => &[12],
            Family::V6 => &[8, 12, 16, 20],
        };
        let mut keys = key
            .as_chunks()
            .0
            .iter()
            .map(|word| u32::from_ne_bytes(*word));
        let mut next_key = || keys.next().unwrap_or(1);
        let mut program = Vec::new();
        for (at, offset) in words.iter().enumerate() {
            program.push(step(LOAD_WORD, NETWORK_HEADER.wrapping_add(*offset)));
            program.push(step(XOR, next_key()));
            program.push(step(MULTIPLY, next_key() | 1));
            if at > 0 {
                program.push(step(LOAD_X_MEMORY, 0));
                program.push(step(ADD_X, 0));
            }
            program.push(step(STORE, 0));
        }
        program.extend([
            step(COPY_TO_X, 0),
            step(SHIFT_RIGHT, 15),
            step(XOR_X, 0),
            step(MULTIPLY, next_key() | 1),
            step(SHIFT_RIGHT, 16),
            step(MODULO, sockets.max(1)),
            step(RETURN, 0),
        ]);
        Self(program)
    }

    /// The socket of the worker on the core that received the datagram: socket `i` belongs to
    /// `cpus[i]`. A core without a worker shares by its number.
    ///
    /// More than 255 cores are beyond a classic program's jumps; those above share by number as well.
    pub fn receiving_cpu(cpus: &[u32]) -> Self {
        let mut program = vec![step(LOAD_WORD, CURRENT_CPU)];
        for (socket, cpu) in (0u32..).zip(cpus.iter().take(255)) {
            let skip_return = Instruction {
                code: JUMP_EQUAL,
                jt: 0,
                jf: 1,
                k: *cpu,
            };
            program.extend([skip_return, step(RETURN_VALUE, socket)]);
        }
        let sockets = u32::try_from(cpus.len()).unwrap_or(u32::MAX).max(1);
        program.extend([step(MODULO, sockets), step(RETURN, 0)]);
        Self(program)
    }

    pub(super) fn instructions(&self) -> &[Instruction] {
        &self.0
    }
}

pub(super) const fn step(code: u16, k: u32) -> Instruction {
    Instruction {
        code,
        jt: 0,
        jf: 0,
        k,
    }
}
