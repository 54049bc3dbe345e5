//! `maser`: an NTP server-farm node.
//!
//! A module imports from floors below it only; `tests/tidy.rs` enforces it.
//!
//! ```text
//!  main.rs ─ cli/                     arguments, subcommands, tables for people
//!  4  node/  fastpath/  bench/  doctor/   threads, mio, sockets, files, the real clock | the load harness | the
//!                                     state of the machine
//!  3  config/  control/               chrony's text | chronyc's packets
//!  2  server/  auth/                  decisions: no I/O, no clock, no allocation after start
//!  1  wire/                           NTP's numbers and bytes; core only
//!  0  sys/                            Linux, libc, the only unsafe; floor 4 alone uses it
//! ```
//!
//! `ARCHITECTURE.md` tells who owns what, thread by thread, and follows one request through the files.

pub mod auth;
pub mod bench;
pub mod cli;
pub mod client;
pub mod config;
pub mod control;
pub mod discipline;
pub mod doctor;
pub mod fastpath;
pub mod node;
pub mod server;
pub mod sys;
pub mod wire;
