//! The binary `maser`.

fn main() {}
