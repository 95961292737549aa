//! Under which name this program was called: the same file is `sluice`, and a
//! plugin of `kn` and of `kubectl`, which find theirs by name.

use std::ffi::OsStr;
use std::path::Path;

/// What the help writes for the program's own name.
pub(super) fn name(program: Option<&OsStr>) -> &'static str {
    let stem = program.and_then(|program| Path::new(program).file_stem());
    match stem.and_then(OsStr::to_str) {
        Some("kn-sluice") => "kn sluice",
        Some("kubectl-sluice") => "kubectl sluice",
        _ => "sluice",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_has_the_name_by_which_people_call_it() {
        for (program, expected) in [
            ("sluice", "sluice"),
            ("/usr/local/bin/kn-sluice", "kn sluice"),
            ("kubectl-sluice", "kubectl sluice"),
            ("./kubectl-sluice.exe", "kubectl sluice"),
            ("renamed", "sluice"),
        ] {
            assert_eq!(name(Some(OsStr::new(program))), expected, "{program}");
        }
        assert_eq!(name(None), "sluice");
    }
}
