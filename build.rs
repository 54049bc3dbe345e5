//! The programs that run in the kernel: compiled by clang where it is, taken as they were committed where it is not.
//!
//! `MASER_BPF_CLANG` names another clang, or is empty for none. clang before 16 loses what marks a typed pointer in a map.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_XDP").is_none() {
        return;
    }
    println!("cargo::rerun-if-env-changed=MASER_BPF_CLANG");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let clang = env::var("MASER_BPF_CLANG").unwrap_or_else(|_| "clang-19".to_owned());
    for (folder, name) in PROGRAMS {
        let folder = Path::new(folder);
        for file in fs::read_dir(folder)
            .expect("a folder of this package")
            .flatten()
        {
            if file
                .path()
                .extension()
                .is_some_and(|end| end == "c" || end == "h")
            {
                println!("cargo::rerun-if-changed={}", file.path().display());
            }
        }
        let object = out.join(format!("{name}.bpf.o"));
        if clang.is_empty() || !compile(&clang, folder, name, &object) {
            let committed = folder.join(format!("{name}.bpf.o"));
            fs::copy(&committed, &object).expect("the committed object can be copied");
        }
    }
}

/// Whether clang is there and has done it; what it has against the program ends the build.
fn compile(clang: &str, folder: &Path, name: &str, object: &Path) -> bool {
    let mut command = Command::new("scripts/build-bpf");
    command
        .args([clang, &folder.display().to_string(), name])
        .arg(object);
    match command.status() {
        Ok(status) if status.code() == Some(NO_CLANG) => false,
        Ok(status) => {
            assert!(status.success(), "{name}.bpf.c does not compile");
            true
        }
        Err(error) => {
            println!("cargo::warning=scripts/build-bpf: {error}");
            false
        }
    }
}

/// Folder, and the name of `NAME.bpf.c`.
const PROGRAMS: [(&str, &str); 2] = [("src/fastpath", "respond"), ("src/bench/xdp", "load")];
/// What `scripts/build-bpf` ends with where there is no clang.
const NO_CLANG: i32 = 77;
