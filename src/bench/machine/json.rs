//! All of it as a JSON object.

use serde_json::{Value, json};

use super::{Core, Machine, Network, Process, Server, SocketDrops, Thread, UdpErrors, Whose};

/// What was seen; times are seconds of one core.
pub(in crate::bench) fn object(machine: &Machine) -> Value {
    let drops = &machine.drops;
    json!({
        "seconds": machine.seconds,
        "cores": machine.cores.iter().map(core).collect::<Vec<_>>(),
        "steal": machine.steal(),
        "harness_threads": machine.harness.iter().map(thread).collect::<Vec<_>>(),
        "server": server(machine),
        "others": {
            "seconds": machine.others.seconds,
            "most": machine.others.most.as_ref().map(|(name, seconds)| json!({ "name": name, "seconds": seconds })),
        },
        "server_sockets": drops.sockets.iter().map(socket).collect::<Vec<_>>(),
        "networks": drops.networks.iter().map(network).collect::<Vec<_>>(),
        "softnet": { "dropped": drops.softnet.dropped, "squeezed": drops.softnet.squeezed },
    })
}

fn core(core: &Core) -> Value {
    json!({
        "core": core.id, "user_s": core.user_s, "system_s": core.system_s, "softirq_s": core.softirq_s,
        "idle_s": core.idle_s, "steal_s": core.steal_s,
    })
}

fn thread(thread: &Thread) -> Value {
    json!({
        "id": thread.id, "name": thread.name, "user_s": thread.user_s, "system_s": thread.system_s,
        "voluntary_switches": thread.voluntary, "involuntary_switches": thread.involuntary,
        "core": thread.core,
    })
}

fn server(machine: &Machine) -> Value {
    let processes = match &machine.server {
        Server::Elsewhere => return json!("elsewhere"),
        Server::Hidden => return json!("hidden"),
        Server::Seen(processes) => processes,
    };
    let process = |process: &Process| {
        json!({
            "pid": process.pid, "name": process.name,
            "threads": process.threads.iter().map(thread).collect::<Vec<_>>(),
        })
    };
    let (user, system) = machine.server_cores().unwrap_or_default();
    json!({
        "cpu_cores": { "user": user, "system": system },
        "worker_shares": machine.server_shares(),
        "imbalance": machine.server_imbalance(),
        "processes": processes.iter().map(process).collect::<Vec<_>>(),
    })
}

fn socket(socket: &SocketDrops) -> Value {
    json!({ "inode": socket.inode, "address": socket.address.to_string(), "dropped": socket.dropped })
}

fn network(network: &Network) -> Value {
    let whose = match network.whose {
        Whose::Harness => "harness",
        Whose::Server => "server",
        Whose::Both => "both",
    };
    json!({
        "whose": whose,
        "udp": udp(&network.udp),
        "udp6": udp(&network.udp6),
        "interfaces": network.interfaces.iter().map(|of| json!({
            "name": of.name, "rx_packets": of.rx_packets, "tx_packets": of.tx_packets,
            "rx_dropped": of.rx_dropped, "tx_dropped": of.tx_dropped,
        })).collect::<Vec<_>>(),
    })
}

fn udp(errors: &UdpErrors) -> Value {
    json!({
        "in_errors": errors.in_errors, "receive_buffer": errors.receive_buffer,
        "send_buffer": errors.send_buffer, "checksum": errors.checksum,
    })
}
