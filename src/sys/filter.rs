//! Programs that choose which frames a packet socket takes (classic BPF).

use std::ops::RangeInclusive;

use super::steering::{Family, Instruction, JUMP_EQUAL, NETWORK_HEADER, RETURN_VALUE, step};

/// A program, ready to be attached.
pub(super) struct Filter(Vec<Instruction>);

const LOAD_HALF: u16 = 0x28; // BPF_LD | BPF_H | BPF_ABS
const LOAD_BYTE: u16 = 0x30; // BPF_LD | BPF_B | BPF_ABS
const JUMP_GREATER: u16 = 0x25; // BPF_JMP | BPF_JGT | BPF_K
const JUMP_NOT_LESS: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
const JUMP_ANY_BIT: u16 = 0x45; // BPF_JMP | BPF_JSET | BPF_K

/// A frame is taken as far as this many bytes.
const WHOLE: u32 = 0xffff;
/// Where `SKF_AD_PROTOCOL` answers the protocol of a frame.
#[expect(
    clippy::cast_sign_loss,
    reason = "ancillary offsets are negative numbers in an unsigned field"
)]
const PROTOCOL: u32 = (libc::SKF_AD_OFF + libc::SKF_AD_PROTOCOL) as u32;
/// More fragments follow, or this is not the first.
const FRAGMENT: u32 = 0x3fff;

/// When a test sends a frame away.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Refuse {
    IfTrue,
    IfFalse,
}

impl Filter {
    /// UDP from this port to one of these. No header options, no fragments: an NTP reply has neither.
    pub(super) fn udp(
        family: Family,
        from_port: Option<u16>,
        to_ports: RangeInclusive<u16>,
    ) -> Self {
        use Refuse::{IfFalse, IfTrue};
        // Where the byte is that tells UDP, and where the UDP header begins.
        let (protocol_at, udp_at) = match family {
            Family::V4 => (9, 20),
            Family::V6 => (6, 40),
        };
        let ethertype = match family {
            Family::V4 => libc::ETH_P_IP,
            Family::V6 => libc::ETH_P_IPV6,
        };
        let udp = libc::IPPROTO_UDP.cast_unsigned();
        // The frame's protocol is not reached by the network header, but by an offset of its own.
        let protocol = PROTOCOL.wrapping_sub(NETWORK_HEADER);
        let mut tests = vec![
            (
                (LOAD_HALF, protocol),
                (JUMP_EQUAL, ethertype.cast_unsigned()),
                IfFalse,
            ),
            ((LOAD_BYTE, protocol_at), (JUMP_EQUAL, udp), IfFalse),
        ];
        if family == Family::V4 {
            tests.push(((LOAD_BYTE, 0), (JUMP_EQUAL, 0x45), IfFalse));
            tests.push(((LOAD_HALF, 6), (JUMP_ANY_BIT, FRAGMENT), IfTrue));
        }
        if let Some(port) = from_port {
            tests.push(((LOAD_HALF, udp_at), (JUMP_EQUAL, u32::from(port)), IfFalse));
        }
        let (least, most) = to_ports.into_inner();
        let to = (LOAD_HALF, udp_at + 2);
        tests.push((to, (JUMP_NOT_LESS, u32::from(least)), IfFalse));
        tests.push((to, (JUMP_GREATER, u32::from(most)), IfTrue));

        let mut program = Vec::new();
        for ((load, at), (jump, value), refuse) in tests {
            program.push(step(load, NETWORK_HEADER.wrapping_add(at)));
            // Over the next instruction, which refuses, or into it.
            let (jt, jf) = if refuse == IfTrue { (0, 1) } else { (1, 0) };
            program.push(Instruction {
                code: jump,
                jt,
                jf,
                k: value,
            });
            program.push(step(RETURN_VALUE, 0));
        }
        program.push(step(RETURN_VALUE, WHOLE));
        Self(program)
    }

    pub(super) fn instructions(&self) -> &[Instruction] {
        &self.0
    }
}
