//! Manifests as objects: the short way, for input that a trial wrote itself.

use serde::de::DeserializeOwned;
use serde_json::Value;
use sluice_translate::Object;

use crate::TrialError;

/// Reads every document of a YAML text.
///
/// # Errors
/// As [`object`]; also for text that is no YAML.
pub fn objects(yaml: &str) -> Result<Vec<Object>, TrialError> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(yaml)
        .map_err(|error| TrialError::Manifest(error.to_string()))?;
    documents
        .iter()
        .filter(|document| !document.is_null())
        .map(object)
        .collect()
}

/// Reads one manifest. Kinds that Sluice does not read are a fault here: a
/// trial would not see what is missing.
///
/// # Errors
/// [`TrialError::Manifest`] says what is wrong.
pub fn object(manifest: &Value) -> Result<Object, TrialError> {
    match manifest.get("kind").and_then(Value::as_str) {
        Some("Ingress") => read(manifest).map(Object::Ingress),
        Some("Service") => read(manifest).map(Object::Service),
        Some("Endpoints") => read(manifest).map(Object::Endpoints),
        Some("EndpointSlice") => read(manifest).map(Object::EndpointSlice),
        Some("Secret") => read(manifest).map(Object::Secret),
        other => Err(TrialError::Manifest(format!("kind {other:?} is not read"))),
    }
}

/// Manifests as one YAML text of many documents.
#[must_use]
pub fn yaml(manifests: &[Value]) -> String {
    // JSON is YAML, and serde_json writes no document markers.
    manifests.iter().map(|m| format!("---\n{m}\n")).collect()
}

fn read<T: DeserializeOwned>(manifest: &Value) -> Result<T, TrialError> {
    T::deserialize(manifest).map_err(|error| TrialError::Manifest(error.to_string()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn manifests_survive_their_text() {
        let service = json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"namespace": "n", "name": "s"},
            "spec": {"ports": [{"name": "http", "port": 80}]},
        });
        let read = objects(&yaml(&[service.clone(), service])).unwrap();
        assert_eq!(read.len(), 2);
        assert!(matches!(&read[0], Object::Service(s) if s.spec.ports[0].port == 80));
        assert!(objects("kind: Pod").is_err());
        assert!(objects("a: [").is_err());
    }
}
