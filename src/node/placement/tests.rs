use super::*;
use crate::config::Config;
use crate::node::interface::tests::card;
use crate::node::topology::tests::Tree;

fn runtime(workers: Option<usize>, cpus: &[usize], steer: Steer) -> RuntimeConfig {
    RuntimeConfig {
        workers,
        cpus: cpus.into(),
        steer,
        ..Config::default().runtime
    }
}

fn place(
    tree: &Tree,
    allowed: impl IntoIterator<Item = usize>,
    config: &RuntimeConfig,
) -> Result<Placement, PlacementError> {
    let allowed: Vec<usize> = allowed.into_iter().collect();
    let interface = Interface::find(tree.root(), &Config::default().server);
    let machine = Machine {
        allowed: &allowed,
        topology: &Topology::read(tree.root()),
        interface: interface.as_ref(),
    };
    Placement::new(config, &machine)
}

/// A card on node 1 of the machine of two sockets.
fn farm(queues: usize, first_cpu: usize) -> Tree {
    let tree = Tree::two_sockets();
    card(&tree, "eth0", queues, first_cpu);
    tree
}

#[test]
fn the_cards_node_comes_first_and_siblings_last() {
    let placed = place(&farm(64, 0), 0..128, &runtime(None, &[], Steer::Source)).unwrap();
    let expected: Vec<usize> = [32..64, 96..128, 0..32, 64..96]
        .into_iter()
        .flatten()
        .collect();
    assert_eq!(placed.cores, expected);
    assert_eq!(
        placed.to_string(),
        "workers on cores 32-63,96-127,0-31,64-95: nearest to eth0 on node 1, then one hardware thread of \
         each core before its siblings, then by number"
    );
    assert!(placed.warnings.is_empty());
    let few = place(&farm(64, 0), 0..128, &runtime(Some(40), &[], Steer::Hash)).unwrap();
    assert_eq!(few.cores, expected[..40]);
}

#[test]
fn without_a_card_one_thread_of_each_core_comes_first() {
    let placed = place(
        &Tree::two_sockets(),
        (0..128).rev(),
        &runtime(None, &[], Steer::Source),
    );
    assert_eq!(placed.unwrap().cores, (0..128).collect::<Vec<_>>());
    let half = place(
        &Tree::two_sockets(),
        [0, 64, 1, 65],
        &runtime(None, &[], Steer::Cpu),
    );
    let half = half.unwrap();
    assert_eq!(half.cores, [0, 1, 64, 65]);
    assert_eq!(
        half.to_string(),
        "workers on cores 0-1,64-65: one hardware thread of each core before its siblings, then by number"
    );
}

#[test]
fn what_is_offline_or_forbidden_gets_no_worker() {
    let tree = Tree::new();
    tree.write("sys/devices/system/cpu/online", "0,2-3");
    let config = runtime(None, &[], Steer::Source);
    assert_eq!(place(&tree, [0, 1, 3], &config).unwrap().cores, [0, 3]);
    let nowhere = place(&tree, [0, 1, 3], &runtime(None, &[3, 1], Steer::Source));
    let text = "cpus: core 1 is not among those this process may use (0, 3): change `cpus`";
    assert_eq!(nowhere.unwrap_err().to_string(), text);
    // A machine that tells nothing.
    assert_eq!(place(&Tree::new(), [1, 0], &config).unwrap().cores, [0, 1]);
}

#[test]
fn the_operators_order_is_kept() {
    for steer in [Steer::Source, Steer::Cpu, Steer::Hash] {
        let placed = place(&farm(64, 0), 0..128, &runtime(None, &[7, 3, 40], steer)).unwrap();
        assert_eq!(placed.cores, [7, 3, 40]);
        assert!(
            placed
                .to_string()
                .starts_with("workers on cores 7,3,40: as `cpus` says")
        );
    }
    let twice = place(
        &farm(64, 0),
        0..128,
        &runtime(Some(3), &[7, 3], Steer::Source),
    );
    assert_eq!(twice.unwrap().cores, [7, 3, 7]);
    let twice = place(&farm(64, 0), 0..128, &runtime(Some(3), &[7, 3], Steer::Cpu));
    assert_eq!(
        twice.unwrap_err(),
        PlacementError::SteerCpu {
            workers: 3,
            cores: 2
        }
    );
}

#[test]
fn steered_by_core_there_is_a_worker_for_each_core_that_receives() {
    let auto = runtime(None, &[], Steer::Cpu);
    let placed = place(&farm(8, 40), 0..128, &auto).unwrap();
    assert_eq!(placed.cores, (40..48).collect::<Vec<_>>());
    assert!(placed.warnings.is_empty());
    assert!(
        placed
            .to_string()
            .contains(": those that receive from eth0, then nearest")
    );
    // By source it is as if nothing were known.
    let source = place(&farm(8, 40), 0..128, &runtime(None, &[], Steer::Source));
    assert_eq!(source.unwrap().cores.len(), 128);
    // An interrupt that may go anywhere: it cannot be told, so all cores have a worker.
    let tree = farm(8, 40);
    tree.write("proc/irq/103/effective_affinity_list", "0-7");
    let untold = place(&tree, 0..128, &auto).unwrap();
    assert_eq!((untold.cores.len(), untold.warnings.len()), (128, 0));
    // None of those that receive may be used.
    assert_eq!(
        place(&farm(8, 40), 0..4, &auto).unwrap().cores,
        [0, 1, 2, 3]
    );
}

#[test]
fn a_worker_that_gets_nothing_is_told_of_with_the_command() {
    // Three queues, the third on the core of the second.
    let tree = farm(3, 0);
    tree.write("proc/irq/103/effective_affinity_list", "1");
    let placed = place(&tree, 0..4, &runtime(Some(4), &[], Steer::Cpu)).unwrap();
    assert_eq!(placed.cores, [0, 1, 2, 3]);
    assert_eq!(
        placed.warnings,
        [
            "worker 2: core 2 receives nothing from eth0, so with `steer cpu` it gets no request: `echo 2 \
             >/proc/irq/103/smp_affinity_list` moves a queue there; or lower `workers`",
            "worker 3: core 3 receives nothing from eth0, so with `steer cpu` it gets no request: `echo \
             0000000f >/sys/class/net/eth0/queues/rx-0/rps_cpus` spreads a queue over all workers; or lower \
             `workers`",
        ]
    );
    // Done as it says, nothing is left to say.
    tree.write("proc/irq/103/effective_affinity_list", "2");
    tree.write("sys/class/net/eth0/queues/rx-0/rps_cpus", "0000000f");
    let placed = place(&tree, 0..4, &runtime(Some(4), &[], Steer::Cpu)).unwrap();
    assert_eq!((placed.cores.len(), placed.warnings.len()), (4, 0));
}

#[test]
fn a_core_that_receives_and_has_no_worker_is_told_of() {
    let placed = place(&farm(4, 0), 0..128, &runtime(None, &[2, 9], Steer::Cpu)).unwrap();
    assert_eq!(placed.cores, [2, 9]);
    assert_eq!(placed.warnings.len(), 2);
    assert!(
        placed.warnings[0].starts_with("worker 1: core 9 receives nothing")
            && placed.warnings[0].contains("`echo 9 >/proc/irq/101/smp_affinity_list`")
    );
    assert!(placed.warnings[1].starts_with("steer cpu: cores 0-1,3 receive from eth0"));
}
