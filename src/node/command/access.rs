//! `allow` and `deny`, for clients and for chronyc, as they are changed while the node runs.

use std::net::IpAddr;

use crate::control::AccessOrder;
use crate::server::{AccessRule, AccessTable, Subnet};

/// Rules, and the table that they make.
pub(super) struct Access {
    rules: Vec<AccessRule>,
    table: AccessTable,
}

impl Access {
    pub(super) fn new(rules: &[AccessRule]) -> Self {
        Self {
            rules: rules.to_vec(),
            table: AccessTable::new(rules),
        }
    }

    pub(super) fn allows(&self, ip: IpAddr) -> bool {
        self.table.allows(ip)
    }

    pub(super) const fn table(&self) -> &AccessTable {
        &self.table
    }

    /// Takes a rule in, behind those there are.
    pub(super) fn change(&mut self, order: &AccessOrder) {
        let rule = AccessRule {
            subnet: order.subnet,
            allow: order.allow,
            all: order.all,
        };
        rule.join(&mut self.rules);
        self.table = AccessTable::new(&self.rules);
    }
}

/// Whether a subnet has addresses of the family.
pub(super) const fn is_of(subnet: Subnet, is_v6: bool) -> bool {
    match subnet {
        Subnet::Any => true,
        Subnet::V4(..) => !is_v6,
        Subnet::V6(..) => is_v6,
    }
}
