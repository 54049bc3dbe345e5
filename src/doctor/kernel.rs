//! What no file tells and the kernel must be asked for.

use super::fact::{Fact, Unknown};
use crate::sys::clock::{KernelClock, kernel_clock};
use crate::sys::ethtool::{self, Channels, Coalescing, Feature, Flow, FlowHash, Rings, Stamping};
use crate::sys::netlink::{self, XdpFeatures, XdpProgram};

/// What a card's driver says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Driver {
    /// Its queues.
    pub channels: Fact<Channels>,
    /// Their lengths.
    pub rings: Fact<Rings>,
    /// The delay of its interrupts.
    pub coalescing: Fact<Coalescing>,
    /// By what it spreads UDP over IPv4.
    pub udp4_hash: Fact<FlowHash>,
    /// By what it spreads UDP over IPv6.
    pub udp6_hash: Fact<FlowHash>,
    /// What it can stamp.
    pub stamping: Fact<Stamping>,
    /// What it can do with programs in XDP.
    pub xdp: Fact<XdpFeatures>,
    /// The program in XDP that is there.
    pub program: Fact<Option<XdpProgram>>,
    /// Whether the card joins what it receives: `rx-lro`, `rx-gro-hw`.
    pub joins: Fact<Feature>,
}

/// A kernel that can be asked.
pub trait Kernel {
    /// Its opinion of its clock.
    ///
    /// # Errors
    /// Why it does not say.
    fn clock(&self) -> Fact<KernelClock>;
    /// What the driver of an interface says.
    fn driver(&self, interface: &str) -> Driver;
}

/// The kernel that we run on. It is only read.
#[derive(Clone, Copy, Debug)]
pub struct ThisKernel;

impl Kernel for ThisKernel {
    fn clock(&self) -> Fact<KernelClock> {
        kernel_clock().map_err(|error| Unknown::NotSaid(error.to_string()))
    }

    fn driver(&self, interface: &str) -> Driver {
        fn said<T>(answer: std::io::Result<T>) -> Fact<T> {
            answer.map_err(|error| Unknown::NotSaid(format!("the driver does not say ({error})")))
        }
        Driver {
            channels: said(ethtool::channels(interface)),
            rings: said(ethtool::rings(interface)),
            coalescing: said(ethtool::coalescing(interface)),
            udp4_hash: said(ethtool::flow_hash(interface, Flow::Udp4)),
            udp6_hash: said(ethtool::flow_hash(interface, Flow::Udp6)),
            stamping: said(ethtool::stamping(interface)),
            xdp: said(netlink::xdp_features(interface)),
            program: said(netlink::xdp_program(interface)),
            joins: said(joins(interface)),
        }
    }
}

/// Both ways together: on where one is, and fixed where one that is on is.
fn joins(interface: &str) -> std::io::Result<Feature> {
    let mut all = Feature::default();
    for name in ["rx-lro", "rx-gro-hw"] {
        let one = ethtool::feature(interface, name)?.unwrap_or_default();
        all.on |= one.on;
        all.fixed |= one.on && one.fixed;
    }
    Ok(all)
}

/// The kernel of a machine of which only files are here.
#[derive(Clone, Copy, Debug)]
pub struct KernelElsewhere;

impl Kernel for KernelElsewhere {
    fn clock(&self) -> Fact<KernelClock> {
        Err(elsewhere())
    }

    fn driver(&self, _interface: &str) -> Driver {
        Driver {
            channels: Err(elsewhere()),
            rings: Err(elsewhere()),
            coalescing: Err(elsewhere()),
            udp4_hash: Err(elsewhere()),
            udp6_hash: Err(elsewhere()),
            stamping: Err(elsewhere()),
            xdp: Err(elsewhere()),
            program: Err(elsewhere()),
            joins: Err(elsewhere()),
        }
    }
}

fn elsewhere() -> Unknown {
    Unknown::NotSaid("only the machine's own kernel can say (--root)".into())
}
