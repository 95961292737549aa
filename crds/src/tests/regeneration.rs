//! What is checked in is what Go makes today.

use std::env;
use std::io::Write;
use std::path::Path;
use std::process::Command;

/// Exit status of the script where Go or its modules are not to be had.
const NO_GO: i32 = 3;

/// Runs `hack/generate-golden-hash --check`. Without Go the vectors are still
/// tested, only not made again; `SLUICE_REQUIRE_GO=1` makes its absence a failure.
#[test]
fn vectors_are_what_go_makes_of_them() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let run = Command::new("bash")
        .args(["hack/generate-golden-hash", "--check"])
        .current_dir(root)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stderr);
    if run.status.code() == Some(NO_GO) {
        assert_ne!(env::var("SLUICE_REQUIRE_GO").as_deref(), Ok("1"), "{said}");
        let reason = said.trim().lines().last().unwrap_or_default();
        // Past the capture of output, for whoever reads a passing run.
        writeln!(
            std::io::stderr(),
            "left out: making the golden vectors again: {reason}"
        )
        .unwrap();
        return;
    }
    let difference = String::from_utf8_lossy(&run.stdout);
    assert!(
        run.status.success(),
        "run hack/generate-golden-hash and read the difference\n{said}{difference}"
    );
}
