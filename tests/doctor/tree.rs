//! Folders with `proc` and `sys` as Linux writes them: a machine to look at.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Such a folder; gone when dropped.
pub(crate) struct Tree(PathBuf);

impl Tree {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("maser-doctor-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("room for a folder");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes files, and makes the folders above them.
    pub(crate) fn write(&self, files: &[(&str, &str)]) -> &Self {
        for (path, text) in files {
            let path = self.0.join(path);
            fs::create_dir_all(path.parent().expect("below the folder")).expect("room");
            fs::write(path, text).expect("room");
        }
        self
    }

    pub(crate) fn link(&self, path: &str, to: &str) -> &Self {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().expect("below the folder")).expect("room");
        symlink(to, path).expect("our folder");
        self
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.0.join(path)).expect("written before")
    }

    /// A machine on which nothing is amiss: four cores, a card with a queue for each, maser at work.
    pub(crate) fn good() -> Self {
        let tree = Self::new();
        tree.write(&COMMON).write(&GOOD);
        for core in 0..4 {
            let cpu = format!("sys/devices/system/cpu/cpu{core}");
            tree.write(&[
                (&format!("{cpu}/cpufreq/scaling_governor"), "performance\n"),
                (
                    &format!("{cpu}/topology/thread_siblings_list"),
                    &format!("{core}\n"),
                ),
                (&format!("{cpu}/cpuidle/state0/name"), "POLL\n"),
                (&format!("{cpu}/cpuidle/state0/latency"), "0\n"),
                (&format!("{cpu}/cpuidle/state1/name"), "C1\n"),
                (&format!("{cpu}/cpuidle/state1/latency"), "2\n"),
                (&format!("{cpu}/cpuidle/state1/disable"), "0\n"),
                (&format!("{cpu}/cpuidle/state2/name"), "C6\n"),
                (&format!("{cpu}/cpuidle/state2/latency"), "133\n"),
                (&format!("{cpu}/cpuidle/state2/disable"), "1\n"),
                (
                    &format!("sys/class/net/eth0/queues/rx-{core}/rps_cpus"),
                    "0\n",
                ),
                (
                    &format!("sys/class/net/eth0/device/msi_irqs/6{core}"),
                    "msix\n",
                ),
                (
                    &format!("proc/irq/6{core}/effective_affinity_list"),
                    &format!("{core}\n"),
                ),
            ]);
        }
        tree.link(
            "sys/class/net/eth0/device/driver",
            "../../../bus/pci/drivers/ixgbe",
        );
        tree.link("proc/700/fd/7", "socket:[4242]")
            .link("proc/700/fd/8", "socket:[4243]");
        tree.link("proc/800/fd/3", "socket:[99]");
        tree
    }

    /// A machine on which nothing is as it should be.
    pub(crate) fn bad() -> Self {
        let tree = Self::new();
        tree.write(&COMMON).write(&BAD);
        for core in 0..8 {
            let cpu = format!("sys/devices/system/cpu/cpu{core}");
            let pair = format!("{},{}\n", core % 4, core % 4 + 4);
            tree.write(&[
                (&format!("{cpu}/cpufreq/scaling_governor"), "powersave\n"),
                (&format!("{cpu}/cpufreq/cpuinfo_min_freq"), "800000\n"),
                (&format!("{cpu}/cpufreq/cpuinfo_max_freq"), "3600000\n"),
                (&format!("{cpu}/topology/thread_siblings_list"), &pair),
                (&format!("{cpu}/cpuidle/state3/name"), "C6\n"),
                (&format!("{cpu}/cpuidle/state3/latency"), "133\n"),
                (&format!("{cpu}/cpuidle/state3/disable"), "0\n"),
            ]);
        }
        tree.link(
            "sys/class/net/eth0/device/driver",
            "../../../bus/pci/drivers/i40e",
        );
        tree.link(
            "sys/class/net/eth1/device/driver",
            "../../../bus/virtio/drivers/virtio_net",
        );
        tree.link("proc/500/fd/5", "socket:[4242]");
        tree
    }

    /// A small virtual machine as it comes: no cpufreq, one queue, nobody keeps the clock.
    pub(crate) fn guest() -> Self {
        let tree = Self::new();
        tree.write(&COMMON).write(&GUEST);
        for core in 0..2 {
            let cpu = format!("sys/devices/system/cpu/cpu{core}");
            tree.write(&[
                (
                    &format!("{cpu}/topology/thread_siblings_list"),
                    &format!("{core}\n"),
                ),
                (&format!("{cpu}/cpuidle/state1/name"), "haltpoll idle\n"),
                (&format!("{cpu}/cpuidle/state1/latency"), "1\n"),
                (&format!("{cpu}/cpuidle/state1/disable"), "0\n"),
            ]);
        }
        // virtio's device stands below the one on the bus, which has the interrupts.
        let bus = "sys/devices/pci0000:00/0000:00:03.0";
        tree.write(&[
            (&format!("{bus}/msi_irqs/37"), "msix\n"),
            (&format!("{bus}/msi_irqs/38"), "msix\n"),
            (
                &format!("{bus}/virtio2/modalias"),
                "virtio:d00000001v00001AF4\n",
            ),
        ]);
        tree.link(
            "sys/class/net/eth0/device",
            "../../../devices/pci0000:00/0000:00:03.0/virtio2",
        );
        let driver = "../../../../bus/virtio/drivers/virtio_net";
        tree.link(&format!("{bus}/virtio2/driver"), driver);
        tree
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        // What is left is in the folder for temporary files; nothing depends on it.
        let _ = fs::remove_dir_all(&self.0);
    }
}

const UDP_HEAD: &str = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout \
                        inode ref pointer drops            \n";

/// What all three machines have alike.
const COMMON: [(&str, &str); 14] = [
    ("proc/self/comm", "maser\n"),
    ("proc/sys/net/ipv4/ip_unprivileged_port_start", "1024\n"),
    ("proc/sys/net/core/rmem_default", "212992\n"),
    ("proc/sys/net/core/netdev_budget", "300\n"),
    ("proc/sys/net/core/netdev_budget_usecs", "2000\n"),
    ("proc/net/udp6", UDP_HEAD),
    ("sys/class/net/lo/type", "772\n"),
    ("sys/class/net/lo/flags", "0x9\n"),
    ("sys/class/net/lo/operstate", "unknown\n"),
    ("sys/class/net/eth0/type", "1\n"),
    ("sys/class/net/eth0/flags", "0x1003\n"),
    ("sys/class/net/eth0/operstate", "up\n"),
    (
        "proc/net/if_inet6",
        "00000000000000000000000000000001 01 80 10 80       lo\n",
    ),
    (
        "proc/net/fib_trie",
        "Local:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 192.0.2.1\n        /32 host LOCAL\n",
    ),
];

const GOOD: [(&str, &str); 35] = [
    ("proc/sys/kernel/osrelease", "6.12.9+deb13-amd64\n"),
    (
        "proc/kallsyms",
        "0000000000000000 T bpf_ktime_get_tai_ns\n0000000000000000 T bpf_crypto_ctx_create\n0000000000000000 t \
         nothing\t[of_a_module]\n0000000000000000 T bpf_crypto_encrypt\n0000000000000000 t bpf_crypto_lskcipher_encrypt\t[bpf_crypto_skcipher]\n",
    ),
    (
        "proc/crypto",
        "name         : __cbc(aes)\ndriver       : x\n\nname         : cbc(aes)\ndriver       : cbc-aes-aesni\n",
    ),
    ("sys/kernel/btf/vmlinux", ""),
    ("proc/sys/net/core/bpf_jit_enable", "1\n"),
    (
        "proc/mounts",
        "sysfs /sys/fs/bpf sysfs rw 0 0\nbpf /sys/fs/bpf bpf rw,mode=700 0 0\n",
    ),
    (
        "sys/kernel/security/lockdown",
        "none [integrity] confidentiality\n",
    ),
    ("sys/class/net/eth0/mtu", "1500\n"),
    ("proc/700/comm", "maser\n"),
    (
        "proc/700/status",
        "Name:\tmaser\nCapEff:\t000001ffffffffff\n",
    ),
    (
        "proc/700/limits",
        "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 65536                files\n",
    ),
    ("proc/800/comm", "chronyd\n"),
    (
        "proc/net/udp",
        "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref \
         pointer drops\n \
         1: 00000000:007B 00000000:0000 07 00000000:00000000 00:00000000 00000000   0   0 4242 2 ffff 0\n \
         2: 00000000:007B 00000000:0000 07 00000000:00000000 00:00000000 00000000   0   0 4243 2 ffff 0\n \
         3: 0100007F:0143 00000000:0000 07 00000000:00000000 00:00000000 00000000   0   0 99 2 ffff 7\n",
    ),
    ("proc/sys/net/core/rmem_max", "8388608\n"),
    ("proc/sys/net/core/wmem_max", "16777216\n"),
    ("proc/sys/net/core/busy_poll", "0\n"),
    ("proc/sys/net/core/netdev_max_backlog", "16384\n"),
    ("proc/sys/net/ipv4/conf/all/rp_filter", "0\n"),
    ("proc/sys/net/ipv4/conf/eth0/rp_filter", "2\n"),
    (
        "proc/net/snmp",
        "Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors IgnoredMulti \
         MemErrors\nUdp: 5000000 0 0 5000000 0 0 0 0 0\n",
    ),
    (
        "proc/net/softnet_stat",
        "004c4b40 00000000 00000000\n004c4b40 00000000 00000002\n",
    ),
    (
        "proc/net/netstat",
        "TcpExt: IPReversePathFilter\nTcpExt: 0\n",
    ),
    ("proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu aes\n"),
    ("proc/stat", "cpu  1000 0 1000 8000 0 0 10 0 0 0\n"),
    (
        "proc/interrupts",
        "  CPU0\n  59: 1 PCI-MSIX 0-edge eth0\n  60: 9 PCI-MSIX 1-edge eth0-TxRx-0\n  61: 9 PCI-MSIX 2-edge \
         eth0-TxRx-1\n  62: 9 PCI-MSIX 3-edge eth0-TxRx-2\n  63: 9 PCI-MSIX 4-edge eth0-TxRx-3\nNMI: 0 x\n",
    ),
    ("sys/devices/system/cpu/online", "0-3\n"),
    ("sys/devices/system/cpu/isolated", "\n"),
    (
        "sys/devices/system/cpu/cpuidle/current_driver",
        "intel_idle\n",
    ),
    (
        "sys/devices/system/cpu/vulnerabilities/meltdown",
        "Not affected\n",
    ),
    (
        "sys/devices/system/cpu/vulnerabilities/spectre_v2",
        "Mitigation: Enhanced / Automatic RSB; IBPB: conditional; RSB filling\n",
    ),
    (
        "sys/devices/system/clocksource/clocksource0/current_clocksource",
        "tsc\n",
    ),
    ("sys/devices/system/node/online", "0\n"),
    ("sys/class/net/eth0/statistics/rx_missed_errors", "0\n"),
    ("sys/class/net/eth0/statistics/rx_packets", "5000000\n"),
    // Down: not looked at unless it is named.
    ("sys/class/net/eth7/flags", "0x1002\n"),
];

const BAD: [(&str, &str); 52] = [
    ("proc/sys/kernel/osrelease", "6.1.0-9-generic\n"),
    (
        "proc/kallsyms",
        "0000000000000000 T bpf_ktime_get_tai_ns\n0000000000000000 T bpf_ktime_get_ns\n",
    ),
    ("proc/sys/net/core/bpf_jit_enable", "0\n"),
    ("proc/mounts", "sysfs /sys/fs/bpf sysfs rw 0 0\n"),
    ("sys/class/net/eth0/mtu", "9000\n"),
    (
        "proc/self/status",
        "Name:\tmaser\nCapEff:\t0000000000000000\n",
    ),
    (
        "proc/self/limits",
        "Max open files            64                   100                  files\n",
    ),
    ("proc/500/comm", "chronyd\n"),
    ("proc/600/comm", "irqbalance\n"),
    ("etc/chrony/chrony.conf", "pool pool.ntp.org\n"),
    (
        "proc/net/udp",
        "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref \
         pointer drops\n \
         1: 00000000:007B 00000000:0000 07 00000000:00000000 00:00000000 00000000   0   0 4242 2 ffff 70000\n",
    ),
    ("proc/sys/net/core/rmem_max", "212992\n"),
    ("proc/sys/net/core/wmem_max", "212992\n"),
    ("proc/sys/net/core/busy_poll", "50\n"),
    ("proc/sys/net/core/netdev_max_backlog", "1000\n"),
    ("proc/sys/net/ipv4/conf/all/rp_filter", "1\n"),
    ("proc/sys/net/netfilter/nf_conntrack_count", "65000\n"),
    ("proc/sys/net/netfilter/nf_conntrack_max", "65536\n"),
    (
        "proc/net/nf_conntrack",
        "ipv4     2 udp      17 30 src=198.51.100.7 dst=192.0.2.1 sport=33996 dport=123 src=192.0.2.1 \
         dst=198.51.100.7 sport=123 dport=33996 mark=0 use=2\n\
         ipv4     2 udp      17 30 src=192.0.2.1 dst=203.0.113.1 sport=40000 dport=123 src=203.0.113.1 \
         dst=192.0.2.1 sport=123 dport=40000 mark=0 use=2\n\
         ipv4     2 tcp      6 30 ESTABLISHED src=198.51.100.7 dst=192.0.2.1 sport=33996 dport=123 \
         src=192.0.2.1 dst=198.51.100.7 sport=123 dport=33996 mark=0 use=2\n",
    ),
    (
        "proc/net/stat/nf_conntrack",
        "entries  clashres found drop early_drop\n00000003  0 0 00000010 0\n00000003  0 0 00000001 0\n",
    ),
    (
        "proc/net/snmp",
        "Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors IgnoredMulti \
         MemErrors\nUdp: 900000 0 0 900000 70000 0 0 0 30000\n",
    ),
    (
        "proc/net/snmp6",
        "Udp6InDatagrams 100\nUdp6RcvbufErrors 5\nUdp6MemErrors 1\n",
    ),
    (
        "proc/net/softnet_stat",
        "000f4240 00000100 0000ffff\n000f4240 00000000 00000001\n",
    ),
    (
        "proc/net/netstat",
        "TcpExt: SyncookiesSent IPReversePathFilter\nTcpExt: 0 12\n",
    ),
    (
        "proc/cpuinfo",
        "processor\t: 0\nflags\t\t: fpu hypervisor\n",
    ),
    ("proc/stat", "cpu  1000 0 1000 7300 0 0 0 700 0 0\n"),
    (
        "proc/interrupts",
        "  CPU0\n  59: 1 PCI-MSIX 0-edge i40e-0000:01:00.0:misc\n  60: 9 PCI-MSIX 1-edge i40e-eth0-TxRx-0\n  61: 9 \
         PCI-MSIX 2-edge i40e-eth0-TxRx-1\n",
    ),
    ("proc/irq/60/smp_affinity_list", "0-7\n"),
    ("proc/irq/60/effective_affinity_list", "0\n"),
    ("proc/irq/61/smp_affinity_list", "0\n"),
    ("sys/devices/system/cpu/online", "0-7\n"),
    ("sys/devices/system/cpu/isolated", "6-7\n"),
    (
        "sys/devices/system/cpu/cpuidle/current_driver",
        "intel_idle\n",
    ),
    (
        "sys/devices/system/cpu/vulnerabilities/meltdown",
        "Mitigation: PTI\n",
    ),
    (
        "sys/devices/system/cpu/vulnerabilities/spectre_v2",
        "Mitigation: Retpolines; IBPB: conditional\n",
    ),
    (
        "sys/devices/system/cpu/vulnerabilities/mds",
        "Vulnerable: Clear CPU buffers attempted, no microcode; SMT vulnerable\n",
    ),
    (
        "sys/devices/system/clocksource/clocksource0/current_clocksource",
        "hpet\n",
    ),
    (
        "sys/devices/system/clocksource/clocksource0/available_clocksource",
        "hpet acpi_pm tsc \n",
    ),
    ("sys/devices/system/node/online", "0-1\n"),
    ("sys/devices/system/node/node1/cpulist", "4-7\n"),
    ("sys/class/net/eth0/device/numa_node", "1\n"),
    ("sys/class/net/eth0/statistics/rx_missed_errors", "4000\n"),
    ("sys/class/net/eth0/statistics/rx_packets", "996000\n"),
    ("sys/class/net/eth0/queues/rx-0/rps_cpus", "00000000\n"),
    ("sys/class/net/eth0/queues/rx-1/rps_cpus", "00000000\n"),
    ("sys/class/net/eth1/flags", "0x1003\n"),
    ("sys/class/net/eth1/operstate", "up\n"),
    ("sys/class/net/eth1/type", "1\n"),
    ("sys/class/net/eth1/queues/rx-0/rps_cpus", "00000000\n"),
    ("sys/class/net/br0/flags", "0x1003\n"),
    ("sys/class/net/br0/operstate", "up\n"),
    ("sys/class/net/br0/type", "1\n"),
];

const GUEST: [(&str, &str); 25] = [
    ("proc/sys/kernel/osrelease", "6.1.0-37-cloud-amd64\n"),
    ("sys/class/net/eth0/mtu", "1500\n"),
    (
        "proc/self/status",
        "Name:\tmaser\nCapEff:\t000001fffeffffff\n",
    ),
    (
        "proc/self/limits",
        "Max open files            20000                20000                files\n",
    ),
    ("proc/net/udp", UDP_HEAD),
    ("proc/sys/net/core/rmem_max", "4194304\n"),
    ("proc/sys/net/core/wmem_max", "4194304\n"),
    ("proc/sys/net/core/busy_poll", "0\n"),
    ("proc/sys/net/core/netdev_max_backlog", "1000\n"),
    ("proc/sys/net/ipv4/conf/all/rp_filter", "2\n"),
    ("proc/sys/net/netfilter/nf_conntrack_count", "0\n"),
    ("proc/sys/net/netfilter/nf_conntrack_max", "262144\n"),
    (
        "proc/net/snmp",
        "Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors IgnoredMulti \
         MemErrors\nUdp: 1000000 0 0 1000000 3 0 0 0 0\n",
    ),
    ("proc/net/softnet_stat", "0c367327 00000000 00000065\n"),
    (
        "proc/net/netstat",
        "TcpExt: IPReversePathFilter\nTcpExt: 0\n",
    ),
    (
        "proc/cpuinfo",
        "processor\t: 0\nflags\t\t: fpu hypervisor\n",
    ),
    (
        "proc/stat",
        "cpu  1497465 8920 581900 2801632 24565 0 172550 147613 0 0\n",
    ),
    (
        "proc/interrupts",
        "  CPU0 CPU1\n  37: 0 0 PCI-MSIX 0-edge virtio2-config\n  38: 0 9 PCI-MSIX 1-edge virtio2-input.0\n",
    ),
    ("proc/irq/38/smp_affinity_list", "0-1\n"),
    ("sys/devices/system/cpu/online", "0-1\n"),
    ("sys/devices/system/cpu/isolated", "\n"),
    (
        "sys/devices/system/cpu/cpuidle/current_driver",
        "haltpoll\n",
    ),
    (
        "sys/devices/system/clocksource/clocksource0/current_clocksource",
        "kvm-clock\n",
    ),
    ("sys/class/net/eth0/queues/rx-0/rps_cpus", "0\n"),
    ("sys/class/net/eth0/statistics/rx_missed_errors", "0\n"),
];
