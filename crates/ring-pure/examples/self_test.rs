//! Prints what encrypts on this CPU, and runs the self-test. `cargo run -p ring --example self_test`
//!
//! It ends with status 0 if every implementation gave the known answers. An emulator shows other CPUs, for
//! instance `qemu-x86_64 -cpu Westmere target/debug/examples/self_test`.

use std::process::ExitCode;

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "printing is what this program does")]
fn main() -> ExitCode {
    println!("backend: {}", ring::backend());
    match ring::self_test() {
        Ok(()) => {
            println!("self-test: passed");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
