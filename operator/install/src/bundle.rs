//! A bundle: Knative's manifests, their hashes and the images they take, in one file
//! that is carried to where there is no internet.
//!
//! A tar archive under gzip with `bundle.json` first. The same manifests make the same
//! bytes. Whatever is not as `bundle.json` says is refused as a whole.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Read};

use flate2::Compression;
use flate2::read::GzDecoder;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::manifest::{self, Object};
use crate::{Images, InstallError, images, product};

const INDEX: &str = "bundle.json";
const FORMAT: u32 = 1;

/// Manifests of a release are 1 MB; more than this unpacked is no bundle.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// What a bundle says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Index {
    /// Of this layout.
    pub format: u32,
    /// The version of Sluice that made it, and whose images it lists.
    pub sluice: String,
    /// The version of Knative Serving, `1.23.0`.
    pub knative: String,
    /// Each manifest with its SHA-256.
    pub files: BTreeMap<String, FileHash>,
    /// Every image that the manifests and Sluice's own name.
    pub images: Vec<String>,
}

/// A file of a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileHash {
    /// In hex.
    pub sha256: String,
    /// Length in bytes.
    pub bytes: u64,
}

/// Knative's manifests, from wherever they came.
#[derive(Clone, Debug)]
pub struct Knative {
    /// `1.23.0`, or what the manifests say in its place.
    pub version: String,
    /// Their objects, in their order.
    pub objects: Vec<Object>,
    /// SHA-256 of all of them, in hex.
    pub hash: String,
}

/// A bundle that was verified.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// What it says of itself.
    pub index: Index,
    /// What it holds.
    pub knative: Knative,
}

impl Knative {
    /// Reads manifests by file name.
    ///
    /// # Errors
    /// [`InstallError::Manifest`] names the file; [`InstallError::NoKnative`] where
    /// they are not those of Knative Serving.
    pub fn from_files(
        files: &BTreeMap<String, Vec<u8>>,
        version: Option<&str>,
    ) -> Result<Self, InstallError> {
        let mut objects = Vec::new();
        let mut hash = Sha256::new();
        for (name, content) in files {
            let text = std::str::from_utf8(content).map_err(|error| InstallError::Manifest {
                file: name.clone(),
                what: format!("not UTF-8: {error}"),
            })?;
            objects.extend(manifest::read(text, name)?);
            hash.update((name.len() as u64).to_be_bytes());
            hash.update(name);
            hash.update((content.len() as u64).to_be_bytes());
            hash.update(content);
        }
        let serving = objects.iter().find(|object| {
            object.reference.kind == "Deployment" && object.reference.name == "controller"
        });
        let Some(serving) = serving else {
            return Err(InstallError::NoKnative {
                found: files.keys().cloned().collect::<Vec<_>>().join(", "),
            });
        };
        let version = version
            .or_else(|| serving.label("app.kubernetes.io/version"))
            .unwrap_or("devel")
            .trim_start_matches('v')
            .to_owned();
        if let Some(image) = images::named(&objects)
            .iter()
            .find(|image| image.starts_with("ko://"))
        {
            return Err(InstallError::Unbuilt {
                image: image.clone(),
            });
        }
        let hash = hex(&hash.finalize());
        Ok(Self {
            version,
            objects,
            hash,
        })
    }
}

/// Packs manifests by file name.
///
/// # Errors
/// As [`Knative::from_files`]; [`InstallError::Bundle`] where a name cannot be packed.
pub fn create(
    files: &BTreeMap<String, Vec<u8>>,
    version: Option<&str>,
    own: &Images,
) -> Result<Vec<u8>, InstallError> {
    for name in files.keys() {
        if !is_plain(name) {
            return Err(InstallError::Bundle {
                what: format!(
                    "file {name:?}: found a name with other characters than letters, digits, dots, dashes and underscores; rename it"
                ),
            });
        }
    }
    let knative = Knative::from_files(files, version)?;
    let index = Index {
        format: FORMAT,
        sluice: product::VERSION.to_owned(),
        knative: knative.version.clone(),
        files: files
            .iter()
            .map(|(name, content)| (name.clone(), hash_of(content)))
            .collect(),
        images: listed(&knative, own),
    };
    let mut index_text =
        serde_json::to_vec_pretty(&index).map_err(|error| InstallError::Bundle {
            what: format!("writing {INDEX}: {error}"),
        })?;
    index_text.push(b'\n');
    // No time and no name of a file, so that equal content is equal bytes.
    let zipped = flate2::GzBuilder::new()
        .mtime(0)
        .write(Vec::new(), Compression::best());
    let mut archive = tar::Builder::new(zipped);
    let entries = std::iter::once((INDEX, index_text.as_slice())).chain(
        files
            .iter()
            .map(|(name, content)| (name.as_str(), content.as_slice())),
    );
    let packed = |error: io::Error| InstallError::Bundle {
        what: format!("packing: {error}"),
    };
    for (name, content) in entries {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(0);
        archive
            .append_data(&mut header, name, content)
            .map_err(packed)?;
    }
    archive
        .into_inner()
        .and_then(flate2::write::GzEncoder::finish)
        .map_err(packed)
}

/// Unpacks a bundle and proves every word of its `bundle.json`.
///
/// # Errors
/// [`InstallError::Bundle`] names the file, what was found and what was expected.
pub fn verify(packed: &[u8]) -> Result<Bundle, InstallError> {
    let mut files = unpack(packed)?;
    let text = files.remove(INDEX).ok_or_else(|| {
        refused(format!(
            "no {INDEX} in it; expected a file that `sluice bundle create` made"
        ))
    })?;
    let index: Index =
        serde_json::from_slice(&text).map_err(|error| refused(format!("{INDEX}: {error}")))?;
    if index.format != FORMAT {
        return Err(refused(format!(
            "{INDEX}: format: found {}, expected {FORMAT}; make it anew with this version of sluice",
            index.format
        )));
    }
    for (name, expected) in &index.files {
        let Some(content) = files.get(name) else {
            return Err(refused(format!("{name}: listed in {INDEX}, and missing")));
        };
        let found = hash_of(content);
        if found != *expected {
            return Err(refused(format!(
                "{name}: found sha256 {} over {} bytes, expected {} over {}; it was changed after it was made: get the bundle anew",
                found.sha256, found.bytes, expected.sha256, expected.bytes
            )));
        }
    }
    if let Some(extra) = files.keys().find(|name| !index.files.contains_key(*name)) {
        return Err(refused(format!("{extra}: not listed in {INDEX}")));
    }
    let knative = Knative::from_files(&files, Some(&index.knative))?;
    for image in images::named(&knative.objects) {
        if !index.images.contains(&image) {
            return Err(refused(format!(
                "{INDEX}: images: {image} is in the manifests, and not listed"
            )));
        }
    }
    Ok(Bundle { index, knative })
}

fn unpack(packed: &[u8]) -> Result<BTreeMap<String, Vec<u8>>, InstallError> {
    let damaged = |error: io::Error| refused(format!("not a tar archive under gzip: {error}"));
    let mut archive = tar::Archive::new(GzDecoder::new(packed).take(MAX_BYTES));
    let mut files = BTreeMap::new();
    for entry in archive.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if !entry.header().entry_type().is_file() || !is_plain(&name) {
            return Err(refused(format!(
                "{name}: found a path, a link or a folder, expected a plain file"
            )));
        }
        let mut content = Vec::new();
        entry.read_to_end(&mut content).map_err(damaged)?;
        if content.len() as u64 != entry.size() {
            return Err(refused(format!(
                "{name}: more than {MAX_BYTES} bytes in all, or cut off"
            )));
        }
        if files.insert(name.clone(), content).is_some() {
            return Err(refused(format!("{name}: there twice")));
        }
    }
    Ok(files)
}

fn listed(knative: &Knative, own: &Images) -> Vec<String> {
    let mut all = images::named(&knative.objects);
    all.insert(own.sluice.clone());
    all.insert(own.envoy.clone());
    all.into_iter().collect()
}

fn refused(what: String) -> InstallError {
    InstallError::Bundle { what }
}

/// A name without a way to any other folder.
fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('.')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
}

fn hash_of(content: &[u8]) -> FileHash {
    FileHash {
        sha256: hex(&Sha256::digest(content)),
        bytes: content.len() as u64,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing into a String does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CORE: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: controller, namespace: knative-serving, labels: {app.kubernetes.io/version: 1.23.0}}
spec: {template: {spec: {containers: [{name: controller, image: 'gcr.io/knative/controller@sha256:1'}]}}}
";

    fn files() -> BTreeMap<String, Vec<u8>> {
        BTreeMap::from([("serving-core.yaml".to_owned(), CORE.as_bytes().to_vec())])
    }

    fn made() -> Vec<u8> {
        create(&files(), None, &Images::default()).unwrap()
    }

    /// The same archive with its files changed.
    fn changed(change: impl Fn(&mut BTreeMap<String, Vec<u8>>)) -> Vec<u8> {
        let mut files = unpack(&made()).unwrap();
        change(&mut files);
        let mut archive = tar::Builder::new(flate2::write::GzEncoder::new(
            Vec::new(),
            Compression::fast(),
        ));
        for (name, content) in files {
            let mut header = tar::Header::new_ustar();
            header.set_size(content.len() as u64);
            // As an attacker would, past the checks of the library.
            let field = &mut header.as_old_mut().name;
            field[..name.len()].copy_from_slice(name.as_bytes());
            header.set_cksum();
            archive.append(&header, content.as_slice()).unwrap();
        }
        archive.into_inner().unwrap().finish().unwrap()
    }

    fn refusal(packed: &[u8]) -> String {
        verify(packed).unwrap_err().to_string()
    }

    #[test]
    fn the_same_manifests_are_the_same_bytes() {
        assert_eq!(made(), made());
    }

    #[test]
    fn a_bundle_tells_versions_hashes_and_images() {
        let bundle = verify(&made()).unwrap();
        assert_eq!(bundle.index.knative, "1.23.0");
        assert_eq!(bundle.index.sluice, product::VERSION);
        assert_eq!(bundle.knative.objects.len(), 1);
        assert_eq!(
            bundle.index.images,
            [
                Images::default().envoy,
                "gcr.io/knative/controller@sha256:1".to_owned(),
                Images::default().sluice,
            ]
        );
    }

    #[test]
    fn a_changed_file_is_named_with_both_hashes() {
        let packed = changed(|files| {
            files.insert(
                "serving-core.yaml".into(),
                CORE.replace("sha256:1", "sha256:2").into_bytes(),
            );
        });
        let said = refusal(&packed);
        assert!(said.contains("serving-core.yaml: found sha256 "), "{said}");
        assert!(said.contains("expected "), "{said}");
    }

    #[test]
    fn what_is_missing_extra_or_a_path_is_refused() {
        let gone = changed(|files| drop(files.remove("serving-core.yaml")));
        assert!(refusal(&gone).contains("serving-core.yaml: listed in bundle.json, and missing"));
        let extra = changed(|files| drop(files.insert("more.yaml".into(), Vec::new())));
        assert!(refusal(&extra).contains("more.yaml: not listed"));
        let outside = changed(|files| drop(files.insert("../etc.yaml".into(), Vec::new())));
        assert!(refusal(&outside).contains("expected a plain file"));
        let no_index = changed(|files| drop(files.remove(INDEX)));
        assert!(refusal(&no_index).contains("no bundle.json"));
        assert!(refusal(b"not at all").contains("not a tar archive under gzip"));
    }

    #[test]
    fn a_list_of_images_that_hides_one_is_refused() {
        let packed = changed(|files| {
            let text = String::from_utf8(files[INDEX].clone()).unwrap();
            let text = text.replace(
                "gcr.io/knative/controller@sha256:1",
                "gcr.io/other@sha256:1",
            );
            files.insert(INDEX.into(), text.into_bytes());
        });
        assert!(
            refusal(&packed).contains("gcr.io/knative/controller@sha256:1 is in the manifests")
        );
    }

    #[test]
    fn other_manifests_and_unbuilt_ones_are_refused() {
        let other = BTreeMap::from([(
            "a.yaml".to_owned(),
            b"apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n".to_vec(),
        )]);
        let error = create(&other, None, &Images::default()).unwrap_err();
        assert!(error.to_string().contains("a.yaml"), "{error}");
        let unbuilt = BTreeMap::from([(
            "a.yaml".to_owned(),
            CORE.replace(
                "gcr.io/knative/controller@sha256:1",
                "ko://knative.dev/serving/cmd/controller",
            )
            .into_bytes(),
        )]);
        let error = create(&unbuilt, None, &Images::default()).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("ko://knative.dev/serving/cmd/controller"),
            "{error}"
        );
    }
}
