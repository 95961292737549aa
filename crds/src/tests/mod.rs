//! Each module is one promise of this crate.

mod fields;
mod golden;
mod properties;
mod reading;
mod regeneration;
mod secrets;
mod validation;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::Ingress;

/// One line of `testdata/ingress.jsonl`: an object and what Go makes of it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Vector {
    case: String,
    ingress: serde_json::Value,
    stored_faults: Vec<String>,
    faults: Vec<String>,
    json: String,
    hash: String,
}

impl Vector {
    fn ingress(&self) -> Ingress {
        serde_json::from_value(self.ingress.clone())
            .unwrap_or_else(|e| panic!("{}: {e}", self.case))
    }
}

fn vectors() -> Vec<Vector> {
    read_lines(include_str!("../../testdata/ingress.jsonl"))
}

fn read_lines<T: DeserializeOwned>(lines: &str) -> Vec<T> {
    lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}
