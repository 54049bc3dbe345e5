use super::*;
use crate::config::Config;
use crate::node::topology::tests::Tree;

const ROUTES: &str = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n";

/// A route as the kernel writes it.
fn route(interface: &str, destination: [u8; 4], gateway: [u8; 4], length: u32) -> String {
    let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0).to_be_bytes();
    let [destination, gateway, mask] = [destination, gateway, mask].map(u32::from_ne_bytes);
    format!("{interface} {destination:08X} {gateway:08X} 0003 0 0 100 {mask:08X} 0 0 0\n")
}

/// A card on node 1 with `queues` interrupts, each to its own processor from `first_cpu` on.
pub(in crate::node) fn card(tree: &Tree, name: &str, queues: usize, first_cpu: usize) {
    let folder = format!("sys/class/net/{name}");
    tree.write(&format!("{folder}/device/numa_node"), "1");
    tree.write(&format!("{folder}/device/msi_irqs/100"), "msix");
    let mut interrupts = format!("           CPU0\n100:  7  PCI-MSIX  0-edge  {name}-misc\n");
    for queue in 0..queues {
        let irq = 101 + queue;
        tree.write(&format!("{folder}/device/msi_irqs/{irq}"), "msix");
        tree.write(
            &format!("{folder}/queues/rx-{queue}/rps_cpus"),
            "00,00000000",
        );
        tree.write(&format!("{folder}/queues/tx-{queue}/xps_cpus"), "0");
        let cpu = (first_cpu + queue).to_string();
        tree.write(&format!("proc/irq/{irq}/effective_affinity_list"), &cpu);
        tree.write(&format!("proc/irq/{irq}/smp_affinity_list"), "0-127");
        interrupts +=
            &format!("{irq}: 5  PCI-MSIX-0000:3b:00.0  {queue}-edge  ice-{name}-TxRx-{queue}\n");
    }
    interrupts += "NMI:          0   Non-maskable interrupts";
    tree.write("proc/interrupts", &interrupts);
    let routes = ROUTES.to_owned()
        + &route(name, [0; 4], [192, 0, 2, 1], 0)
        + &route(name, [192, 0, 2, 0], [0; 4], 24);
    tree.write("proc/net/route", &routes);
}

fn find(tree: &Tree, addresses: &[&str]) -> Option<Interface> {
    let mut config = Config::default().server;
    config.bind_addresses = addresses.iter().map(|one| one.parse().unwrap()).collect();
    Interface::find(tree.root(), &config)
}

fn name(tree: &Tree, addresses: &[&str]) -> Option<String> {
    find(tree, addresses).map(|interface| interface.name)
}

fn receiving(interface: &Interface) -> Option<Vec<usize>> {
    let cpus = interface.receiving_cpus()?;
    Some(cpus.into_iter().collect())
}

#[test]
fn a_card_with_a_queue_for_each_core_of_its_node() {
    let tree = Tree::new();
    card(&tree, "eth0", 32, 32);
    let interface = find(&tree, &[]).unwrap();
    assert_eq!((&*interface.name, interface.node), ("eth0", Some(1)));
    assert_eq!(interface.queues.len(), 32);
    assert_eq!(interface.queues[3].interrupt, Some((104, vec![35])));
    let folder = Path::new("/sys/class/net/eth0/queues/rx-3");
    assert_eq!(interface.queues[3].folder, folder);
    assert_eq!(receiving(&interface), Some((32..64).collect()));
}

#[test]
fn an_interrupt_that_may_go_anywhere_tells_nothing() {
    let tree = Tree::new();
    card(&tree, "eth0", 2, 0);
    tree.write("proc/irq/102/effective_affinity_list", "");
    assert_eq!(receiving(&find(&tree, &[]).unwrap()), None);
    tree.write("proc/irq/102/smp_affinity_list", "7");
    assert_eq!(receiving(&find(&tree, &[]).unwrap()), Some(vec![0, 7]));
}

#[test]
fn packets_that_are_spread_are_received_where_they_are_spread_to() {
    let tree = Tree::new();
    card(&tree, "eth0", 2, 0);
    tree.write("sys/class/net/eth0/queues/rx-1/rps_cpus", "0000000c");
    assert_eq!(receiving(&find(&tree, &[]).unwrap()), Some(vec![0, 2, 3]));
}

#[test]
fn a_virtio_device_has_its_interrupts_on_the_bus() {
    let tree = Tree::new();
    card(&tree, "eth9", 1, 0);
    tree.link("sys/class/net/eth0/device", "sys/devices/pci/virtio2");
    tree.write("sys/class/net/eth0/queues/rx-0/rps_cpus", "0");
    tree.write("sys/devices/pci/numa_node", "-1");
    for (irq, name) in [(37, "config"), (38, "input.0"), (39, "output.0")] {
        tree.write(&format!("sys/devices/pci/msi_irqs/{irq}"), "msix");
        tree.write(
            &format!("proc/irq/{irq}/effective_affinity_list"),
            &(irq % 3).to_string(),
        );
        let line = format!("{irq}:  0 1 PCI-MSIX-0000:00:03.0   0-edge      virtio2-{name}\n");
        let before = fs::read_to_string(tree.root().join("proc/interrupts")).unwrap();
        tree.write("proc/interrupts", &(before + &line));
    }
    let interface = Interface::read(tree.root(), "eth0");
    assert_eq!(interface.node, None);
    assert_eq!(interface.queues[0].interrupt, Some((38, vec![2])));
}

#[test]
fn what_stands_on_cards_is_their_queues() {
    let tree = Tree::new();
    card(&tree, "eth0", 2, 4);
    tree.write("sys/class/net/bond0/queues/rx-0/rps_cpus", "0");
    tree.link("sys/class/net/bond0/lower_eth0", "sys/class/net/eth0");
    tree.write("sys/class/net/vlan5/queues/rx-0/rps_cpus", "0");
    tree.link("sys/class/net/vlan5/lower_bond0", "sys/class/net/bond0");
    let interface = Interface::read(tree.root(), "vlan5");
    assert_eq!((&*interface.name, interface.node), ("vlan5", Some(1)));
    assert_eq!(receiving(&interface), Some(vec![4, 5]));
    // A second card, on another node: near to neither.
    tree.write("sys/class/net/eth1/device/numa_node", "0");
    tree.link("sys/class/net/bond0/lower_eth1", "sys/class/net/eth1");
    assert_eq!(Interface::read(tree.root(), "vlan5").node, None);
    // A loop, which the kernel does not allow, ends.
    tree.link("sys/class/net/eth0/lower_vlan5", "sys/class/net/vlan5");
    assert!(Interface::read(tree.root(), "vlan5").queues.len() <= 4);
}

#[test]
fn the_interface_is_the_one_the_addresses_lead_to() {
    let tree = Tree::new();
    let routes = ROUTES.to_owned()
        + &route("eth0", [0; 4], [10, 0, 0, 1], 0)
        + &route("eth0", [10, 0, 0, 0], [0; 4], 8)
        + &route("eth1", [10, 9, 0, 0], [0; 4], 16)
        + &route("eth2", [172, 16, 0, 0], [10, 0, 0, 2], 12);
    tree.write("proc/net/route", &routes);
    let held = "20010db8000000000000000000000007 03 40 00 80     eth3\n\
                00000000000000000000000000000001 01 80 10 80       lo";
    tree.write("proc/net/if_inet6", held);
    for (addresses, expected) in [
        (&[][..], "eth0"),
        (&["0.0.0.0"], "eth0"),
        (&["10.1.2.3"], "eth0"),
        (&["10.9.2.3"], "eth1"),
        (&["127.0.0.1", "10.9.2.3"], "eth1"),
        (&["2001:db8::7"], "eth3"),
        // A gateway's network is not ours, and an anycast address is on no network.
        (&["172.16.0.1"], "eth0"),
        (&["198.51.100.1"], "eth0"),
    ] {
        assert_eq!(
            name(&tree, addresses).as_deref(),
            Some(expected),
            "{addresses:?}"
        );
    }
    assert_eq!(name(&tree, &["127.0.0.1", "::1"]), None);
    let mut config = Config::default().server;
    config.bind_device = Some("eth7".to_owned());
    let found = Interface::find(tree.root(), &config).unwrap();
    assert_eq!((&*found.name, receiving(&found)), ("eth7", None));
}

#[test]
fn without_a_route_of_the_old_kind_the_new_one_is_taken() {
    let tree = Tree::new();
    assert_eq!(name(&tree, &[]), None);
    let zero = "00000000000000000000000000000000";
    let routes = format!(
        "20010db8000000000000000000000000 40 {zero} 00 {zero} 00000100 00000001 00000000 00000001 eth5\n\
         {zero} 00 {zero} 00 {zero} ffffffff 00000001 00000000 00200200       lo\n\
         {zero} 00 {zero} 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003 eth4"
    );
    tree.write("proc/net/ipv6_route", &routes);
    assert_eq!(name(&tree, &[]).as_deref(), Some("eth4"));
}

#[test]
fn drivers_name_their_receive_interrupts_in_many_ways() {
    for (name, queue) in [
        ("eth0-TxRx-3", Some(3)),
        ("ice-eth0-TxRx-12", Some(12)),
        ("eth0-Tx-Rx-7", Some(7)),
        ("ens192-rxtx-1", Some(1)),
        ("eth0-rx-0", Some(0)),
        ("mlx5_comp3@pci:0000:3b:00.0", Some(3)),
        ("virtio2-input.1", Some(1)),
        ("virtio2-output.1", None),
        ("virtio2-config", None),
        ("eth0-tx-0", None),
        ("mlx5_async0@pci:0000:3b:00.0", None),
        ("i40e-0000:3b:00.0:misc", None),
        ("ena-mgmnt@pci:0000:00:05.0", None),
    ] {
        assert_eq!(queue_of(name), queue, "{name}");
    }
}
