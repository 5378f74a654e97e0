//! The `sersync` program: parse, dispatch, exit code.

fn main() {}
