//! The `proxbox-api` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    proxbox_api::cli::main()
}
