//! `sluice translate`: files in, resources or plans out; no cluster, no Envoy.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use sluice_envoy::{Assembly, Edge, EnvoyError, dump_all};
use sluice_ir::{Endpoints, ObjectKey, Outcome, Plan, PlanChange, RefusedPlan, Verdict};
use sluice_translate::World;

use crate::config::config;
use crate::event::RejectionView;
use crate::fault::{Fault, Severity};
use crate::folder;
use crate::manifest::{ObjectId, duplicate};

/// A file to translate: its name in faults, and its bytes.
#[derive(Clone, Debug)]
pub struct Source {
    /// As it was given.
    pub name: PathBuf,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// What a set of files comes to.
#[derive(Debug)]
pub struct Translated {
    /// What is wrong with the files, or left alone in them; in file order.
    pub faults: Vec<Fault>,
    /// The plan of each Ingress.
    pub ingresses: BTreeMap<ObjectKey, IngressView>,
    /// The ready addresses of each Service port in use.
    pub endpoints: Vec<Endpoints>,
    assembly: Assembly,
}

/// One Ingress: what is served for it, and the verdict.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IngressView {
    /// What became of it.
    pub verdict: Verdict,
    /// Why not whole, with the place of each field.
    #[serde(skip)]
    pub rejections: Vec<RejectionView>,
    /// What is served; absent if refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<Plan>,
    /// What stands in for the plan of a refused one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<RefusedPlan>,
}

impl Translated {
    /// Whether every file was read whole: no fault is an error.
    #[must_use]
    pub fn is_readable(&self) -> bool {
        self.faults
            .iter()
            .all(|fault| fault.severity != Severity::Error)
    }

    /// The worst that became of an Ingress.
    #[must_use]
    pub fn worst(&self) -> Outcome {
        self.ingresses
            .values()
            .map(|ingress| ingress.verdict.outcome)
            .max()
            .unwrap_or(Outcome::Accepted)
    }

    /// All resources by type and name, private keys redacted.
    ///
    /// # Errors
    /// [`EnvoyError`] only where the built-in descriptors are damaged.
    pub fn resources(&self) -> Result<Value, EnvoyError> {
        dump_all(self.assembly.resources())
    }

    /// Plans, verdicts and endpoints, private keys redacted.
    ///
    /// # Errors
    /// Never in practice: all of it has a JSON form.
    pub fn ir(&self) -> Result<Value, serde_json::Error> {
        #[derive(Serialize)]
        struct View<'a> {
            ingresses: BTreeMap<String, &'a IngressView>,
            endpoints: &'a [Endpoints],
        }
        serde_json::to_value(View {
            ingresses: self
                .ingresses
                .iter()
                .map(|(key, ingress)| (key.to_string(), ingress))
                .collect(),
            endpoints: &self.endpoints,
        })
    }
}

/// Translates files as the operator would: an unknown field is an error, and an
/// object in two files too. Total: what cannot be read or served is a value.
///
/// `allow_loopback` lets backends be on this machine, as `sluice dev` does.
#[must_use]
pub fn translate(sources: &[Source], allow_loopback: bool, now: Timestamp) -> Translated {
    let mut faults = Vec::new();
    let mut world = World::new(config(allow_loopback), now);
    let mut seen: BTreeMap<ObjectId, (&Path, u64)> = BTreeMap::new();
    for source in sources {
        let reading = folder::read_strictly(&source.name, &source.bytes);
        faults.extend(reading.faults);
        for (id, located) in reading.objects {
            if let Some((first, line)) = seen.get(&id) {
                let message = format!(
                    "the same object as in {}:{line}; remove one of them",
                    first.display()
                );
                faults.push(duplicate(&source.name, located.line, &id, message));
                continue;
            }
            world.apply(located.object);
            seen.insert(id, (&source.name, located.line));
        }
    }
    let changes = world.settle();
    let mut assembly = Assembly::new(&Edge::default());
    assembly.apply(&changes.plans, &changes.endpoints);
    let mut verdicts = changes.verdicts;
    let ingresses = changes
        .plans
        .into_iter()
        .filter_map(|(key, change)| {
            let verdict = verdicts.remove(&key)?;
            let (plan, refused) = match change {
                PlanChange::Serve(plan) => (Some((*plan).clone()), None),
                PlanChange::Hold(refused) => (None, Some((*refused).clone())),
                PlanChange::Remove => return None,
            };
            let id = ObjectId::ingress(&key);
            let file = seen.get(&id).and_then(|(name, _)| {
                let source = sources.iter().find(|source| source.name == *name)?;
                Some((source.name.as_path(), source.bytes.as_slice()))
            });
            let view = IngressView {
                rejections: RejectionView::of(verdict.rejections.clone(), &id, file),
                verdict,
                plan,
                refused,
            };
            Some((key, view))
        })
        .collect();
    Translated {
        faults,
        ingresses,
        endpoints: changes.endpoints.into_values().collect(),
        assembly,
    }
}

/// Reads what was named: a file as it is, a folder with every manifest below it.
///
/// # Errors
/// Faults for what cannot be read at all.
pub fn sources(paths: &[PathBuf]) -> Result<Vec<Source>, Vec<Fault>> {
    let mut sources = Vec::new();
    let mut faults = Vec::new();
    let mut named = BTreeSet::new();
    for path in paths {
        if named.insert(path) {
            folder::open(path, &mut sources, &mut faults);
        }
    }
    if faults.is_empty() {
        Ok(sources)
    } else {
        Err(faults)
    }
}

/// Reads a stream, such as standard input, within the bound of a file.
///
/// # Errors
/// The one fault of a stream that cannot be read.
pub fn read_stream(name: &str, stream: impl io::Read) -> Result<Source, Vec<Fault>> {
    folder::read_stream(Path::new(name), stream)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MANIFEST: &str = include_str!("../../../config/samples/demo/hello.yaml");

    fn source(name: &str, text: String) -> Source {
        Source {
            name: name.into(),
            bytes: text.into_bytes(),
        }
    }

    #[test]
    fn a_verdict_points_at_the_line_of_its_field() {
        let text = MANIFEST.replacen("percent: 90", "percent: 91", 1);
        let translated = translate(&[source("a.yaml", text)], true, Timestamp::UNIX_EPOCH);
        assert_eq!(translated.worst(), Outcome::Refused);
        let hello = &translated.ingresses[&ObjectKey::new("default", "hello")];
        let shown = hello.rejections[0].to_string();
        let start = "a.yaml:44: PercentSum: spec.rules[0].http.paths[1].splits: ";
        assert!(shown.starts_with(start), "{shown}");
    }

    /// A manifest in which some lines are swapped for others.
    fn edited() -> impl Strategy<Value = String> {
        let lines: Vec<&str> = MANIFEST.lines().collect();
        let count = lines.len();
        let values = prop::sample::select(vec![
            "-1",
            "101",
            "\"\\r\\n\"",
            "a b",
            "*",
            "[]",
            "{}",
            "null",
            "\"\"",
            "'../x'",
            "::1",
            "65536",
        ]);
        prop::collection::vec((0..count, 0..count, values, any::<bool>()), 1..8).prop_map(
            move |edits| {
                let mut lines: Vec<String> = lines.iter().map(|&line| line.to_owned()).collect();
                for (at, other, value, swap) in edits {
                    if swap {
                        lines.swap(at, other);
                    } else if let Some((key, _)) = lines[at].split_once(": ") {
                        lines[at] = format!("{key}: {value}");
                    }
                }
                lines.join("\n")
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

        #[test]
        fn no_file_panics_and_every_resource_can_be_shown(text in edited()) {
            let translated = translate(&[source("a.yaml", text)], true, Timestamp::UNIX_EPOCH);
            prop_assert!(translated.resources().is_ok());
            prop_assert!(translated.ir().is_ok());
        }
    }
}
