//! Whether clients should be sent to us: what `/readyz` says, for balancers and anycast.

use std::collections::BTreeMap;

use super::about::About;
use super::view::{Lent, root_distance_s};
use super::words;
use crate::node::system_process::{SystemProcess, now};

/// The verdict, and in words why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Readiness {
    /// Whether we are fit to serve.
    pub(super) is_ready: bool,
    /// One line.
    pub(super) why: String,
}

impl Readiness {
    /// Of now.
    pub(super) fn of(lent: Lent<'_>, about: &About) -> Self {
        let root_distance_s = root_distance_s(lent.variables);
        let bound_s = about.ready_distance_s;
        let refuse = |why: String| Self {
            is_ready: false,
            why,
        };
        if lent.drains {
            return refuse("draining: others are to serve".into());
        }
        if about.addresses.is_empty() {
            return refuse("no port is open: nobody is allowed (`allow`), or `port 0`".into());
        }
        if let Some(why) = why_not_synchronised(lent) {
            return refuse(format!("not synchronised: {why}"));
        }
        // The negation holds for what is no number, too.
        let is_near = root_distance_s <= bound_s;
        if !is_near {
            return refuse(format!(
                "the root distance is {root_distance_s:.6} s, more than {bound_s} s (`readydistance`)"
            ));
        }
        Self {
            is_ready: true,
            why: format!(
                "ready: stratum {}, root distance {root_distance_s:.6} s",
                lent.variables.stratum
            ),
        }
    }
}

/// In words; `None`: it is synchronised.
pub(super) fn why_not_synchronised(lent: Lent<'_>) -> Option<String> {
    if lent.variables.is_synchronised() {
        return None;
    }
    let Some(process) = lent.process else {
        return Some(
            "what is followed (`follow`) is not synchronised or silent, or nothing is configured to take the time from"
                .into(),
        );
    };
    Some(of_sources(process))
}

fn of_sources(process: &SystemProcess) -> String {
    let system = process.system();
    let sources = system.sources(now());
    let unresolved = system.unresolved();
    let mut states = BTreeMap::<_, usize>::new();
    for source in &sources {
        *states.entry(words::state(source)).or_default() += 1;
    }
    let mut parts: Vec<String> = states
        .iter()
        .map(|(state, count)| format!("{count} {}", state.replace('_', " ")))
        .collect();
    if unresolved > 0 {
        parts.push(format!("{unresolved} without an address"));
    }
    if parts.is_empty() {
        return "there is no source".into();
    }
    format!("no source is selected: {}", parts.join(", "))
}
