//! What the kernel's verifier makes of the programs: `cargo test --features xdp --test verifier -- --nocapture` prints it.
//!
//! A file of its own, because libbpf tells its lines to one listener a process.

#![cfg(feature = "xdp")]

use std::fs;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use libbpf_rs::query::{ProgInfoIter, ProgInfoQueryOptions};
use libbpf_rs::{Object, ObjectBuilder, OpenObject, PrintLevel, Program, set_print};

/// What libbpf says while it loads.
static SAID: Mutex<String> = Mutex::new(String::new());

/// A program, as the kernel took it.
#[derive(Debug)]
struct Taken {
    name: String,
    /// Instructions that the verifier looked at, each as often as it came by.
    processed: u32,
    /// Bytes of the stack, of each function.
    stack: Vec<u32>,
    /// Bytes of instructions that the kernel keeps, and of those of the processor made of them; 0: it interprets them.
    sizes: (usize, usize),
}

impl Taken {
    fn of(program: &Program<'_>, said: &str) -> Self {
        let name = program.name().to_string_lossy().into_owned();
        let id = Program::id_from_fd(program.as_fd()).expect("it is loaded");
        let options = ProgInfoQueryOptions::default()
            .include_xlated_prog_insns(true)
            .include_jited_prog_insns(true);
        let info = ProgInfoIter::with_query_opts(options).find(|info| info.id == id);
        let info = info.expect("it is loaded");
        let begin = format!("prog '{name}': -- BEGIN PROG LOAD LOG --");
        let log = said
            .split(&begin)
            .nth(1)
            .unwrap_or_else(|| panic!("no log of {name} in {said}"));
        let stack = log
            .lines()
            .find_map(|line| line.strip_prefix("stack depth "));
        let stack = stack.expect("the verifier says it").split('+');
        Self {
            processed: info.verified_insns,
            stack: stack
                .map(|bytes| bytes.parse().expect("a number"))
                .collect(),
            sizes: (info.xlated_prog_insns.len(), info.jited_prog_insns.len()),
            name,
        }
    }

    fn line(&self) -> String {
        let Self {
            name,
            processed,
            stack,
            sizes: (kept, made),
        } = self;
        let stack: u32 = stack.iter().sum();
        let instructions = kept / 8;
        format!(
            "{name}: {processed} instructions verified, {stack} bytes of stack, {instructions} instructions, {made} bytes of code"
        )
    }
}

fn listen(_: PrintLevel, text: String) {
    SAID.lock().expect("nobody fails with it").push_str(&text);
}

/// Loads an object and asks for each of its programs.
fn taken(path: &Path, change: impl Fn(&mut OpenObject)) -> Vec<Taken> {
    SAID.lock().expect("nobody fails with it").clear();
    set_print(Some((PrintLevel::Debug, listen)));
    let mut open = ObjectBuilder::default()
        .open_file(path)
        .expect("an object of ours");
    change(&mut open);
    for mut program in open.progs_mut() {
        program.set_log_level(STATISTICS);
    }
    let object: Object = open
        .load()
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let said = SAID.lock().expect("nobody fails with it").clone();
    let loaded = object.progs().filter(Program::autoload);
    loaded.map(|program| Taken::of(&program, &said)).collect()
}

/// As a kernel without ciphers for programs gets it: no keys, and what would sign is left out by the verifier.
fn without_ciphers(open: &mut OpenObject) {
    for mut map in open.maps_mut() {
        let name = map.name().to_string_lossy().into_owned();
        if ["keys", "uses"].contains(&&*name) {
            map.set_autocreate(false).expect("it is not created yet");
        }
        if name.ends_with(".rodata") {
            // `struct options`: the last word says whether it signs.
            let options = map.initial_value_mut().expect("constants");
            options[20..24].fill(0);
        }
    }
    for mut program in open.progs_mut() {
        if program.name() == "make_key" {
            program.set_autoload(false);
        }
    }
}

fn objects() -> Vec<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![source];
    let mut objects = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("the source tree").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(".bpf.o") {
                objects.push(path);
            }
        }
    }
    objects.sort();
    objects
}

/// Kernels differ in how much they look at again: half of what they allow is left for those that look at more.
#[test]
fn the_verifier_is_done_with_each_program_long_before_it_gives_up() {
    let objects = objects();
    assert!(!objects.is_empty());
    for path in objects {
        let name = path
            .file_name()
            .expect("a file")
            .to_string_lossy()
            .into_owned();
        let mut of_it = vec![(name.clone(), taken(&path, |_| {}))];
        if name == "respond.bpf.o" {
            of_it.push((
                format!("{name} without keys"),
                taken(&path, without_ciphers),
            ));
        }
        for (name, programs) in &of_it {
            assert!(!programs.is_empty(), "{name}");
            for program in programs {
                println!("{name}: {}", program.line());
                assert!(program.processed > 0, "{program:?}");
                assert!(program.processed <= INSTRUCTIONS_MAX / 2, "{program:?}");
                assert!(
                    program.stack.iter().sum::<u32>() <= STACK_MAX,
                    "{program:?}"
                );
            }
        }
        if let [(_, signing), (_, other)] = &of_it[..] {
            let size = |programs: &[Taken]| {
                let respond = programs.iter().find(|program| program.name == "respond");
                respond.expect("it has one of this name").sizes.0
            };
            assert!(size(other) < size(signing), "{other:?}");
        }
    }
}

/// `BPF_LOG_STATS`
const STATISTICS: u32 = 4;
/// Instructions that a verifier looks at before it refuses (Linux 5.2).
const INSTRUCTIONS_MAX: u32 = 1_000_000;
/// Bytes of stack that a program and what it calls may have.
const STACK_MAX: u32 = 512;
