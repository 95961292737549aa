//! The images that manifests name.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::manifest::Object;

/// Every image that these objects name: of containers, of Knative's `Image` objects,
/// and where Knative has one in a ConfigMap (`queue-sidecar-image`) or a variable.
#[must_use]
pub fn named(objects: &[Object]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for object in objects {
        // A visit that changes nothing.
        let mut body = object.body.clone();
        visit(&mut body, &mut |image| {
            found.insert(image.clone());
        });
    }
    found
}

/// Has all images come from another registry. Path, tag and digest stay, so that what
/// `bundle images` lists can be copied there by name.
pub fn rewrite(objects: &mut [Object], registry: &str) {
    for object in objects {
        visit(&mut object.body, &mut |image| *image = at(image, registry));
    }
}

/// The image under another registry.
#[must_use]
pub fn at(image: &str, registry: &str) -> String {
    let registry = registry.trim_end_matches('/');
    let path = match image.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => path,
        _ => image,
    };
    format!("{registry}/{path}")
}

fn visit(value: &mut Value, see: &mut impl FnMut(&mut String)) {
    match value {
        Value::Object(fields) => {
            let variable = fields
                .get("name")
                .and_then(Value::as_str)
                .is_some_and(|name| name.ends_with("_IMAGE"));
            for (name, field) in fields {
                let image = name == "image"
                    || name.ends_with("-image")
                    || name.ends_with("SidecarImage")
                    || (variable && name == "value");
                match field {
                    Value::String(text) if image && !text.is_empty() => see(text),
                    Value::String(_) => {}
                    other => visit(other, see),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| visit(item, see)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::read;

    const OBJECTS: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: a, namespace: b}
spec: {template: {spec: {containers: [{name: c, image: 'gcr.io/knative-releases/a@sha256:1', env: [{name: QUEUE_IMAGE, value: q.io/q:1}]}]}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: config-deployment, namespace: b}
data: {queue-sidecar-image: 'gcr.io/knative-releases/queue@sha256:2', _example: 'image: none'}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: c}
spec: {properties: {image: {type: string}}}
";

    #[test]
    fn images_are_found_wherever_knative_has_them() {
        let objects = read(OBJECTS, "a").unwrap();
        assert_eq!(
            named(&objects).into_iter().collect::<Vec<_>>(),
            [
                "gcr.io/knative-releases/a@sha256:1",
                "gcr.io/knative-releases/queue@sha256:2",
                "q.io/q:1"
            ]
        );
    }

    #[test]
    fn another_registry_keeps_path_tag_and_digest() {
        let mut objects = read(OBJECTS, "a").unwrap();
        rewrite(&mut objects, "registry.example.com:5000/mirror/");
        assert_eq!(
            named(&objects).into_iter().collect::<Vec<_>>(),
            [
                "registry.example.com:5000/mirror/knative-releases/a@sha256:1",
                "registry.example.com:5000/mirror/knative-releases/queue@sha256:2",
                "registry.example.com:5000/mirror/q:1"
            ]
        );
        assert_eq!(
            at("envoyproxy/envoy:v1", "r.io"),
            "r.io/envoyproxy/envoy:v1"
        );
        assert_eq!(at("localhost/x:1", "r.io"), "r.io/x:1");
    }
}
