//! One Ingress, whole and alone.

use std::collections::BTreeMap;

use sluice_ir::{ObjectKey, RefusedPlan, Verdict};

use crate::{Inputs, Translated, Translation};

/// Translates one Ingress.
#[must_use]
pub fn translate(inputs: &Inputs<'_>) -> Translation {
    let metadata = &inputs.ingress.metadata;
    Translation {
        translated: Translated::Refused(RefusedPlan {
            ingress: ObjectKey::new(&metadata.namespace, &metadata.name),
            hosts: BTreeMap::new(),
            clusters: BTreeMap::new(),
            reason: "not translated yet".into(),
        }),
        verdict: Verdict::from_rejections(Vec::new()),
    }
}
