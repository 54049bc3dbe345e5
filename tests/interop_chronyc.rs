//! Debian's chronyc asks and steers a running node, over UDP and over the socket in the file system.

#[expect(dead_code, reason = "other tests ask how far ahead it is")]
#[path = "impaired/skewed.rs"]
mod skewed;
#[expect(dead_code, reason = "other tests use the rest of it")]
mod support;

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Duration;

use maser::auth::KeyStore;
use skewed::{Skew, SkewedServer};
use support::keys::AES128;
use support::node::{Folder, Port};
use support::seen::within;
use support::tool::{self, need, run};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A node with a server that answers, one that does not, and a name that nobody has.
struct Asked {
    node: Child,
    folder: Folder,
    commands: Port,
    port: Port,
    chronyc: PathBuf,
    source: SkewedServer,
}

impl Drop for Asked {
    fn drop(&mut self) {
        let _ = self.node.kill();
        let _ = self.node.wait();
    }
}

impl Asked {
    fn start(lines: &str) -> Option<Self> {
        let chronyc = need("chronyc")?;
        let skew = Skew {
            offset_s: 0.25,
            ..Skew::default()
        };
        let source = SkewedServer::start(LOOPBACK, 0, skew, KeyStore::default());
        let (folder, commands, port) = (Folder::new(), Port::free(), Port::free());
        let socket = folder.write("mark", "").with_file_name("sock");
        let own = socket.parent().expect("a folder");
        std::fs::set_permissions(own, std::fs::Permissions::from_mode(0o700)).expect("ours");
        let directory = socket.with_file_name("sources").display().to_string();
        let lines = lines.replace("DIRECTORY", &directory);
        let lines = lines.replace("KEYS", &folder.write("keys", "").display().to_string());
        let text = format!(
            "port {}\ncmdport {}\nbindcmdaddress {}\npidfile /\nallow 127.0.0.0/8\n\
             server 127.0.0.1 port {} iburst minpoll 0 maxpoll 0\nserver 192.0.2.1 offline\n{lines}\n",
            port.number,
            commands.number,
            socket.display(),
            source.address().port(),
        );
        let conf = folder.write("conf", &text);
        let mut command = Command::new(env!("CARGO_BIN_EXE_maser"));
        let node = folder.spawn(command.args(["serve", "-x", "-f"]).arg(conf));
        let asked = Self {
            node,
            folder,
            commands,
            port,
            chronyc,
            source,
        };
        within(Duration::from_secs(30), "it follows the server", || {
            asked.udp("tracking").contains("7F000001,127.0.0.1,2,")
        });
        Some(asked)
    }

    /// `chronyc -n -c` over UDP.
    fn udp(&self, command: &str) -> String {
        let port = self.commands.number.to_string();
        self.chronyc(&["-h", "127.0.0.1", "-p", &port], command)
    }

    /// The same over the socket in the file system.
    fn local(&self, command: &str) -> String {
        let socket = self.folder.write("mark", "").with_file_name("sock");
        self.chronyc(&["-h", &socket.display().to_string()], command)
    }

    fn chronyc(&self, place: &[&str], command: &str) -> String {
        let mut chronyc = Command::new(&self.chronyc);
        chronyc.args(["-n", "-c"]).args(place);
        let output = run(chronyc.args(command.split(' ')));
        let text = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&text).into_owned()
    }
}

/// Both kinds of responder: with a thread of its own, and without.
const RESPONDERS: [&str; 2] = ["workers 1", "workers 0"];

/// The columns of the line that begins with this.
fn line(text: &str, start: &str) -> Vec<String> {
    let found = text.lines().find(|line| line.starts_with(start));
    let found = found.unwrap_or_else(|| panic!("no line {start} in:\n{text}"));
    found.split(',').map(str::to_owned).collect()
}

fn number(column: &str) -> f64 {
    column
        .parse()
        .unwrap_or_else(|_| panic!("{column} is no number"))
}

#[test]
fn reports_print_what_is() {
    let Some(asked) = Asked::start("workers 1") else {
        return;
    };
    let tracking = asked.udp("tracking");
    let columns = line(&tracking, "7F000001");
    assert_eq!(columns.len(), 14, "{tracking}");
    // The clock is left alone, so all of it is still to be corrected.
    assert!((number(&columns[4]) - 0.25).abs() < 0.05, "{tracking}");
    assert_eq!(columns[13], "Normal");
    let sources = asked.udp("sources");
    let good = line(&sources, "^,*,127.0.0.1");
    assert_eq!(
        (good[3].as_str(), good[4].as_str()),
        ("1", "0"),
        "{sources}"
    );
    assert!(number(&good[9]) < 0.01, "{sources}");
    let silent = line(&sources, "^,?,192.0.2.1");
    assert_eq!(silent[5], "0", "{sources}");
    let statistics = line(&asked.udp("sourcestats"), "127.0.0.1");
    assert!(number(&statistics[1]) >= 3.0 && number(&statistics[5]) > 0.0);
    assert_eq!(asked.udp("activity").trim(), "1,1,0,0,0");
    let data = asked.local("ntpdata 127.0.0.1");
    assert_eq!(line(&data, "127.0.0.1").len(), 34, "{data}");
    let selection = line(&asked.local("selectdata"), "*,127.0.0.1");
    assert_eq!(selection.len(), 18);
    assert_eq!(line(&asked.local("authdata"), "127.0.0.1")[1], "-");
}

#[test]
fn what_is_served_is_counted() {
    let Some(asked) = Asked::start("workers 1") else {
        return;
    };
    let server = std::net::SocketAddr::new(LOOPBACK, asked.port.number);
    for _ in 0..25 {
        support::seen::ask(server).expect("it answers");
    }
    let stats = asked.local("serverstats");
    let columns: Vec<&str> = stats.trim().split(',').collect();
    assert_eq!(columns[0], "25", "{stats}");
    assert!(number(columns[2]) >= 1.0, "{stats}");
    // chronyd in interleaved mode, from the second request on.
    let mut chronyd = Command::new(need("chronyd").expect("it was there"));
    let source = format!(
        "server 127.0.0.1 port {} xleave iburst minpoll -2 maxpoll -2",
        asked.port.number
    );
    chronyd.args(["-Q", "-t", "3", "-U", "-u", &tool::user("-un")]);
    let pid_file = asked.folder.write("pid", "");
    let pid_file = format!("pidfile {}", pid_file.display());
    let lines = ["port 0", "cmdport 0", "bindcmdaddress /", "maxjitter 0"];
    run(chronyd.args(lines).arg(pid_file).arg(&source));
    let stats = asked.local("serverstats");
    let columns: Vec<&str> = stats.trim().split(',').collect();
    assert!(
        number(columns[8]) >= 1.0 && number(columns[9]) >= 1.0,
        "{stats}"
    );
}

#[test]
fn orders_come_by_the_socket_alone() {
    let Some(mut asked) = Asked::start("workers 1") else {
        return;
    };
    for order in ["offline", "makestep", "burst 1/2", "shutdown", "reselect"] {
        let refused = asked.udp(order);
        assert!(refused.contains("501 Not authorised"), "{order}: {refused}");
    }
    assert_eq!(asked.udp("activity").trim(), "1,1,0,0,0");
    assert!(asked.local("offline").contains("200 OK"));
    assert_eq!(asked.udp("activity").trim(), "0,2,0,0,0");
    assert!(asked.local("online 127.0.0.1").contains("200 OK"));
    assert_eq!(asked.udp("activity").trim(), "1,1,0,0,0");
    assert!(asked.local("minpoll 127.0.0.1 1").contains("200 OK"));
    assert!(
        asked
            .local("maxpoll 198.51.100.1 1")
            .contains("503 No such source")
    );
    assert!(
        asked
            .local("accheck 127.0.0.1")
            .contains("208 Access allowed")
    );
    assert!(
        asked
            .local("accheck 192.0.2.1")
            .contains("209 Access denied")
    );
    for order in [
        "makestep",
        "reselect",
        "reselectdist 1e-4",
        "cyclelogs",
        "dump",
    ] {
        let done = asked.local(order);
        assert!(done.contains("200 OK"), "{order}: {done}");
    }
    asked.source.change(|skew| skew.is_silent = true);
    assert!(asked.local("shutdown").contains("200 OK"));
    within(Duration::from_secs(10), "it ends", || {
        asked.node.try_wait().is_ok_and(|status| status.is_some())
    });
}

#[test]
fn clients_are_listed_and_reset() {
    for workers in RESPONDERS {
        let Some(asked) = Asked::start(workers) else {
            return;
        };
        let server = std::net::SocketAddr::new(LOOPBACK, asked.port.number);
        for number in 2..22 {
            let client = UdpSocket::bind((Ipv4Addr::new(127, 0, 0, number), 0)).expect("loopback");
            for _ in 0..number {
                client.send_to(&[0x23; 48], server).expect("loopback");
                client.recv(&mut [0; 48]).expect("an answer");
            }
        }
        let clients = asked.local("clients");
        assert_eq!(clients.lines().count(), 21, "{clients}");
        for number in 2..22 {
            let columns = line(&clients, &format!("127.0.0.{number},"));
            assert_eq!(columns[1], number.to_string(), "{clients}");
            assert_eq!((columns.len(), columns[6].as_str()), (10, "0"), "{clients}");
        }
        // Where chronyc asks from.
        let commander = line(&clients, "127.0.0.1,");
        assert!(number(&commander[6]) >= 1.0, "{clients}");
        let often = asked.local("clients -p 20");
        let often = often.lines().filter(|line| !line.starts_with("127.0.0.1,"));
        assert_eq!(often.count(), 2, "{workers}");
        asked.local("clients -r");
        let columns = line(&asked.local("clients"), "127.0.0.9,");
        assert_eq!(columns[1], "0");
    }
}

/// Whether a signed request gets a signed reply.
fn answers_signed(server: std::net::SocketAddr) -> bool {
    let client = UdpSocket::bind("127.0.0.1:0").expect("loopback");
    let wait = Some(Duration::from_millis(500));
    client.set_read_timeout(wait).expect("not zero");
    client
        .send_to(&AES128.sign(&[0x23; 48]), server)
        .expect("loopback");
    let mut reply = [0; 100];
    client
        .recv(&mut reply)
        .is_ok_and(|len| AES128.verifies(&reply[..len]))
}

#[test]
fn access_and_keys_and_local_change_while_it_serves() {
    for workers in RESPONDERS {
        let Some(asked) = Asked::start(&format!("{workers}\nkeyfile KEYS\nlocal")) else {
            return;
        };
        let server = std::net::SocketAddr::new(LOOPBACK, asked.port.number);
        let done = |order: &str| {
            let said = asked.local(order);
            assert!(said.contains("200 OK"), "{order}: {said}");
        };
        assert!(support::seen::ask(server).is_some());
        done("deny 127.0.0.0/8");
        assert!(support::seen::ask(server).is_none());
        done("allow 127.0.0.1");
        assert!(support::seen::ask(server).is_some());
        done("deny all 127/8");
        assert!(support::seen::ask(server).is_none());
        assert!(asked.local("accheck 127.0.0.1").contains("209"));
        done("allow 127");
        // IPv6 was not allowed when the ports were opened.
        assert!(asked.local("allow ::1").contains("500 Failure"));
        done("cmdallow 192.0.2.0/24");
        assert!(asked.local("cmdaccheck 192.0.2.7").contains("208"));
        done("cmddeny all");
        assert!(asked.local("cmdaccheck 192.0.2.7").contains("209"));

        let signed = || answers_signed(server);
        assert!(!signed());
        asked.folder.write("keys", &AES128.line());
        assert!(!signed());
        done("rekey");
        assert!(signed());
        asked.folder.write("keys", "");
        done("rekey");
        assert!(!signed());

        asked.source.change(|skew| skew.is_silent = true);
        done("local stratum 7 distance 0.0");
        within(Duration::from_secs(10), "it is its own reference", || {
            asked.udp("tracking").contains("7F7F0101,,7,")
        });
        done("local off");
        within(Duration::from_secs(10), "it is so no more", || {
            !asked.udp("tracking").contains("7F7F0101,,7,")
        });
    }
}

#[test]
fn sources_come_and_go() {
    let Some(asked) = Asked::start("workers 1\nsourcedir DIRECTORY") else {
        return;
    };
    let done = |order: &str| {
        let said = asked.local(order);
        assert!(said.contains("200 OK"), "{order}: {said}");
    };
    let sources = || asked.udp("sources");
    assert_eq!(sources().lines().count(), 2);
    done("add server 192.0.2.9 minpoll 4 maxpoll 5 noselect offline");
    assert_eq!(line(&sources(), "^,?,192.0.2.9")[4], "4");
    assert!(
        asked
            .local("add server 192.0.2.9")
            .contains("511 Source already present")
    );
    done("delete 192.0.2.9");
    assert!(asked.local("delete 192.0.2.9").contains("503"));
    assert_eq!(sources().lines().count(), 2);

    let directory = asked.folder.write("mark", "").with_file_name("sources");
    std::fs::create_dir(&directory).expect("ours");
    let file = directory.join("a.sources");
    std::fs::write(
        &file,
        "server 192.0.2.20 offline\nserver 192.0.2.21\nnonsense\n",
    )
    .expect("ours");
    done("reload sources");
    assert_eq!(sources().lines().count(), 4, "{}", sources());
    std::fs::write(&file, "server 192.0.2.21\nserver 192.0.2.22 noselect\n").expect("ours");
    done("reload sources");
    let after = sources();
    assert!(!after.contains("192.0.2.20"), "{after}");
    assert!(after.contains("192.0.2.21") && after.contains("192.0.2.22"));
    done("refresh");
    // There is a way to this machine; whether there is one to 192.0.2.1 is the machine's own matter.
    done("offline 127.0.0.1");
    done("onoffline");
    assert!(
        number(
            asked
                .udp("activity")
                .trim()
                .split(',')
                .next()
                .expect("a column")
        ) >= 1.0
    );
}

#[test]
fn times_are_typed_and_the_clock_is_changed() {
    let Some(asked) = Asked::start("workers 1\nmanual\nsmoothtime 400 0.01 leaponly") else {
        return;
    };
    let done = |order: &str| {
        let said = asked.local(order);
        assert!(said.contains("200 OK"), "{order}: {said}");
    };
    let offset_s = |asked: &Asked| number(&line(&asked.udp("tracking"), "7F")[4]);
    done("offline");
    let before_s = offset_s(&asked);
    // chrony's sign: the clock is ahead.
    done("doffset -0.5");
    let moved_s = offset_s(&asked) - before_s;
    assert!((moved_s - 0.5).abs() < 0.05, "{moved_s}");
    let frequency_ppm = |asked: &Asked| number(&line(&asked.udp("tracking"), "7F")[7]);
    let before_ppm = frequency_ppm(&asked);
    done("dfreq 12.5");
    let moved_ppm = frequency_ppm(&asked) - before_ppm;
    assert!((moved_ppm - 12.5).abs() < 0.1, "{moved_ppm}");

    let mut date = Command::new("date");
    let typed = run(date.args(["-u", "-d", "+5 seconds", "+%b %d, %Y %H:%M:%S"]));
    let typed = String::from_utf8_lossy(&typed.stdout).trim().to_owned();
    let said = asked.local(&format!("settime {typed}"));
    assert!(said.starts_with("200 OK"), "{typed}: {said}");
    let list = asked.udp("manual list");
    assert_eq!(list.lines().count(), 1, "{list}");
    done("manual delete 0");
    assert!(
        asked
            .local("manual delete 0")
            .contains("516 Sample index out of range")
    );
    done("manual off");
    assert!(asked.local(&format!("settime {typed}")).contains("505"));
    assert!(
        asked
            .local("writertc")
            .contains("513 RTC driver not running")
    );
    assert!(asked.local("trimrtc").contains("513"));
    done("smoothtime activate");
    done("smoothtime reset");
    assert!(
        asked.udp("smoothing").contains("Yes"),
        "{}",
        asked.udp("smoothing")
    );
}

/// A chronyd with the same source, which serves too.
fn chronyd_beside(asked: &Asked, folder: &Folder) -> (Child, PathBuf) {
    let socket = folder.write("mark", "").with_file_name("sock");
    let own = socket.parent().expect("a folder");
    std::fs::set_permissions(own, std::fs::Permissions::from_mode(0o700)).expect("ours");
    let text = format!(
        "port {}\ncmdport 0\nbindcmdaddress {}\npidfile {}\nallow 127.0.0.0/8\nmanual\n\
         smoothtime 400 0.01\nserver 127.0.0.1 port {} iburst minpoll 0 maxpoll 0\n\
         server 192.0.2.1 offline\nserver nobody.invalid minpoll 3\npool pool.invalid maxsources 2\n",
        Port::free().number,
        socket.display(),
        folder.write("pid", "").display(),
        asked.source.address().port(),
    );
    let mut command = Command::new(need("chronyd").expect("chronyc was there"));
    command.args(["-x", "-d", "-U", "-u", &tool::user("-un"), "-f"]);
    let child = folder.spawn(command.arg(folder.write("conf", &text)));
    (child, socket)
}

/// What scripts rely on: how many columns a line has, and which of them are numbers.
fn shape(text: &str) -> Vec<bool> {
    let first = text.lines().next().unwrap_or_default();
    let columns = first.split(',');
    columns
        .map(|column| column.parse::<f64>().is_ok())
        .collect()
}

/// A line of CSV without the number of a source that has no address.
fn without_number(line: &str) -> String {
    let columns = line.split(',');
    let columns = columns.filter(|column| !column.starts_with("ID#"));
    columns.collect::<Vec<_>>().join(",")
}

/// A node and a chronyd that follow the same server, and where chronyd is asked.
fn beside_each_other() -> Option<(Asked, Beside, PathBuf)> {
    let lines = "workers 1\nmanual\nsmoothtime 400 0.01\nserver nobody.invalid minpoll 3\n\
         pool pool.invalid maxsources 2";
    let asked = Asked::start(lines)?;
    let folder = Folder::new();
    let (chronyd, socket) = chronyd_beside(&asked, &folder);
    let beside = Beside {
        chronyd,
        _folder: folder,
    };
    let theirs = |command: &str| asked.chronyc(&["-h", &socket.display().to_string()], command);
    within(
        Duration::from_secs(30),
        "chronyd follows the server",
        || theirs("tracking").contains("127.0.0.1,2,") && theirs("sources").contains("^,*"),
    );
    Some((asked, beside, socket))
}

/// It ends with the value.
struct Beside {
    chronyd: Child,
    _folder: Folder,
}

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = self.chronyd.kill();
        let _ = self.chronyd.wait();
    }
}

#[test]
fn sources_without_an_address_are_listed_as_chronyds() {
    let Some((asked, _chronyd, socket)) = beside_each_other() else {
        return;
    };
    let theirs = |command: &str| asked.chronyc(&["-h", &socket.display().to_string()], command);
    // Sources without an address: what chronyc shows of them with -a.
    for report in [
        "sources -a",
        "sourcestats -a",
        "selectdata -a",
        "authdata -a",
    ] {
        let unresolved = |text: &str| {
            let is_silent = |line: &&str| line.contains("ID#") || line.contains("192.0.2.1");
            let lines = text.lines().filter(is_silent);
            let mut lines: Vec<String> = lines.map(without_number).collect();
            lines.sort();
            lines
        };
        let (ours, theirs) = (asked.local(report), theirs(report));
        assert_eq!(unresolved(&ours).len(), 6, "{report}:\n{ours}\n{theirs}");
        assert_eq!(unresolved(&ours), unresolved(&theirs), "{report}");
    }
    let activity = [asked.udp("activity"), theirs("activity")];
    assert!(
        activity.iter().all(|text| text.trim().ends_with(",5")),
        "{activity:?}"
    );
    let named = line(&asked.udp("sources -a"), "^,?,ID#")[2].clone();
    let name = asked.udp(&format!("sourcename {named}"));
    assert_eq!(name.trim(), "nobody.invalid");
}

#[test]
fn columns_are_chronyds_under_load() {
    let Some((asked, _chronyd, socket)) = beside_each_other() else {
        return;
    };
    let folder = Folder::new();
    let theirs = |command: &str| asked.chronyc(&["-h", &socket.display().to_string()], command);
    let target = format!("127.0.0.1:{}", asked.port.number);
    let mut load = Command::new(env!("CARGO_BIN_EXE_maser"));
    load.args([
        "bench",
        &target,
        "--rate",
        "5k",
        "--duration",
        "4",
        "--quiet",
        "--loss",
        "100",
    ]);
    let mut load = folder.spawn(&mut load);
    std::thread::sleep(Duration::from_secs(1));
    for report in [
        "tracking",
        "sources",
        "sourcestats",
        "selectdata",
        "ntpdata 127.0.0.1",
        "authdata",
        "activity",
        "serverstats",
        "smoothing",
        "rtcdata",
        "sourcename 127.0.0.1",
        "manual list",
    ] {
        let (ours, theirs) = (asked.local(report), theirs(report));
        assert_eq!(shape(&ours), shape(&theirs), "{report}:\n{ours}\n{theirs}");
    }
    let clients = asked.local("clients");
    let asking = line(&clients, "127.0.0.1,");
    assert!(
        asking.len() == 10 && number(&asking[1]) > 1000.0,
        "{clients}"
    );
    let stats = asked.local("serverstats");
    assert!(
        number(stats.split(',').next().expect("a column")) > 1000.0,
        "{stats}"
    );
    load.wait().expect("our child");
}

#[test]
fn a_flood_of_nonsense_writes_no_line_and_changes_nothing() {
    let Some(asked) = Asked::start("workers 1\nratelimit interval 1") else {
        return;
    };
    asked.local("offline 192.0.2.1");
    let lines = || asked.folder.read("stderr").lines().count();
    let (before, sources) = (lines(), asked.udp("sources -a"));
    let sender = UdpSocket::bind("127.0.0.1:0").expect("loopback");
    for number in 0..10_000_u32 {
        let mut packet = [6, 1, 0, 0, 0, 0, 0, 0].repeat(1 + number as usize % 60);
        packet[5] = (number % 80).to_le_bytes()[0];
        packet[number as usize % 8] ^= number.to_le_bytes()[1];
        let command = (LOOPBACK, asked.commands.number);
        sender.send_to(&packet, command).expect("loopback");
        let len = number as usize % packet.len();
        let time = (LOOPBACK, asked.port.number);
        sender.send_to(&packet[..len], time).expect("loopback");
    }
    let columns = |text: &str| {
        text.lines()
            .map(|line| line[..20].to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(columns(&asked.udp("sources -a")), columns(&sources));
    assert_eq!(lines(), before, "{}", asked.folder.read("stderr"));
    // Whoever may order can write lines, and not without end.
    for _ in 0..25 {
        assert!(asked.local("allow ::1").contains("500 Failure"));
    }
    assert_eq!(lines(), before + 10, "{}", asked.folder.read("stderr"));
}

#[test]
fn opencommands_says_what_may_be_asked_over_udp() {
    let Some(asked) = Asked::start("workers 1\nopencommands tracking serverstats") else {
        return;
    };
    assert!(asked.udp("sources").contains("501 Not authorised"));
    assert_eq!(asked.udp("serverstats").trim().split(',').next(), Some("0"));
}
