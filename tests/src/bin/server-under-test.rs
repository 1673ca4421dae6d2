//! The server, built with the tests, so that they never run a stale one. Its `main` is the server's own.

use std::process::ExitCode;

fn main() -> ExitCode {
    server::run()
}
