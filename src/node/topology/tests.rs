use super::*;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A tree of files in place of `/`, gone when dropped.
pub(in crate::node) struct Tree(PathBuf);

impl Tree {
    pub(in crate::node) fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("maser-tree-{}-{number}", std::process::id());
        let root = std::env::temp_dir().join(name);
        fs::create_dir_all(&root).unwrap();
        Self(root)
    }

    pub(in crate::node) fn root(&self) -> &Path {
        &self.0
    }

    pub(in crate::node) fn write(&self, path: &str, text: &str) {
        let file = self.0.join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, format!("{text}\n")).unwrap();
    }

    pub(in crate::node) fn link(&self, path: &str, target: &str) {
        let (link, target) = (self.0.join(path), self.0.join(target));
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        fs::create_dir_all(&target).unwrap();
        symlink(target, link).unwrap();
    }

    /// Two sockets of 32 cores, two hardware threads each: core c of socket s is 32 s + c and, its second
    /// thread, 64 more. Each socket is a node.
    pub(in crate::node) fn two_sockets() -> Self {
        let tree = Self::new();
        tree.write("sys/devices/system/cpu/online", "0-127");
        for cpu in 0..128 {
            let folder = format!("sys/devices/system/cpu/cpu{cpu}/topology");
            let siblings = format!("{},{}", cpu % 64, cpu % 64 + 64);
            tree.write(&format!("{folder}/thread_siblings_list"), &siblings);
        }
        let node = "sys/devices/system/node";
        tree.write(&format!("{node}/node0/cpulist"), "0-31,64-95");
        tree.write(&format!("{node}/node1/cpulist"), "32-63,96-127");
        tree.write(&format!("{node}/node0/distance"), "10 21");
        tree.write(&format!("{node}/node1/distance"), "21 10");
        tree.write(&format!("{node}/has_cpu"), "0-1");
        tree
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

#[test]
fn two_sockets_are_two_nodes_of_cores_with_two_threads() {
    let topology = Topology::read(Tree::two_sockets().root());
    let siblings = |cpus: std::ops::Range<usize>| cpus.map(|cpu| topology.sibling(cpu));
    assert!(siblings(0..64).all(|sibling| sibling == 0));
    assert!(siblings(64..128).all(|sibling| sibling == 1));
    for (node, cpu, distance) in [(0, 31, 10), (0, 32, 21), (1, 31, 21), (1, 127, 10)] {
        assert_eq!(topology.distance(node, cpu), distance, "{node} to {cpu}");
    }
    assert!(topology.is_online(127) && !topology.is_online(128));
}

#[test]
fn a_processor_that_is_offline_has_no_topology() {
    let tree = Tree::new();
    tree.write("sys/devices/system/cpu/online", "0,2-3");
    tree.write("sys/devices/system/cpu/cpu1/online", "0");
    for cpu in [2, 3] {
        let file = format!("sys/devices/system/cpu/cpu{cpu}/topology/core_cpus_list");
        tree.write(&file, "2-3");
    }
    let topology = Topology::read(tree.root());
    let online: Vec<_> = (0..5).filter(|cpu| topology.is_online(*cpu)).collect();
    assert_eq!(online, [0, 2, 3]);
    // Processor 0 is a core of its own, for all we know.
    assert_eq!([0, 2, 3].map(|cpu| topology.sibling(cpu)), [0, 0, 1]);
    assert_eq!(topology.distance(0, 2), FAR);
}

#[test]
fn without_sysfs_all_processors_are_alike() {
    let topology = Topology::read(Tree::new().root());
    assert_eq!(topology, Topology::default());
    assert!(topology.is_online(5));
    assert_eq!((topology.sibling(5), topology.distance(1, 5)), (0, FAR));
}

#[test]
fn this_machine_is_understood() {
    let topology = Topology::read(Path::new("/"));
    let first = core_affinity::get_core_ids().unwrap()[0].id;
    assert!(topology.is_online(first), "{topology:?}");
}

#[test]
fn lists_and_masks_read_as_the_kernel_writes_them() {
    assert_eq!(cpu_list("0-2,7\n"), Some(vec![0, 1, 2, 7]));
    assert_eq!(cpu_list("\n"), Some(Vec::new()));
    for nonsense in ["a", "1-", "-1", "0-99999999999"] {
        assert_eq!(cpu_list(nonsense), None, "{nonsense}");
    }
    assert_eq!(cpu_mask("00000001,80000005\n"), [0, 2, 31, 32]);
    assert_eq!(cpu_mask("00000000"), [0; 0]);
    assert_eq!(cpu_mask(""), [0; 0]);
    for cpus in [&[0][..], &[1, 31, 32, 63], &[64], &[5, 100]] {
        assert_eq!(cpu_mask(&mask_of(cpus)), cpus, "{}", mask_of(cpus));
    }
    assert_eq!(mask_of(&[64]), "00000001,00000000,00000000");
}
