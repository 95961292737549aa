//! Golden pairs: `testdata/<command>-<name>.in.yaml`, what was gathered of a
//! cluster, and `.out.txt`, what is told of it.
//!
//! `SLUICE_UPDATE_GOLDEN=1 cargo test -p sluice-ask` writes the outputs anew; read
//! what changed before you keep it.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed unwrap is the failing assertion itself"
)]

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sluice_ask::page::Plan;
use sluice_ask::{
    Answer, Explanation, Facts, From, Gathered, Known, Object, Report, Request, Status,
};

fn testdata() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata")
}

/// A cluster, and what is asked of it.
#[derive(Deserialize)]
struct Why {
    ingresses: Vec<Object>,
    plans: Vec<Plan>,
    requests: Vec<Asked>,
}

#[derive(Deserialize)]
struct Asked {
    url: String,
    #[serde(default)]
    headers: Vec<String>,
    from: From,
}

fn told(command: &str, input: &str) -> String {
    match command {
        "status" => {
            let status: Status = serde_saphyr::from_str(input).unwrap();
            let written = serde_json::to_value(&status).unwrap();
            let read: Status = serde_json::from_value(written).unwrap();
            assert_eq!(read, status, "JSON says the same");
            status.told(input.starts_with("# all"))
        }
        "explain" => {
            let gathered: Gathered = serde_saphyr::from_str(input).unwrap();
            Explanation::of(&gathered).told()
        }
        "why" => {
            let why: Why = serde_saphyr::from_str(input).unwrap();
            let known = Known {
                ingresses: why.ingresses,
                plans: why.plans,
            };
            let answers = why.requests.iter().map(|asked| {
                let request = Request::new(&asked.url, &asked.headers, asked.from).unwrap();
                let answer = Answer::of(&request, &known);
                format!("{}served: {}\n", answer.told(), answer.outcome.served)
            });
            answers.collect::<Vec<_>>().join("\n")
        }
        "check" => {
            let facts: Facts = serde_saphyr::from_str(input).unwrap();
            let report = Report::of(&facts);
            let told = report.told();
            if input.starts_with("# junit") {
                return told + &report.junit();
            }
            told
        }
        other => panic!("no command is called {other}"),
    }
}

#[test]
fn golden() {
    let mut cases = 0;
    for entry in fs::read_dir(testdata()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let Some(case) = name.strip_suffix(".in.yaml") else {
            continue;
        };
        let input = fs::read_to_string(&path).unwrap();
        let told = told(case.split('-').next().unwrap(), &input);
        let expected = testdata().join(format!("{case}.out.txt"));
        if std::env::var_os("SLUICE_UPDATE_GOLDEN").is_some() {
            fs::write(&expected, &told).unwrap();
        }
        assert_eq!(
            told,
            fs::read_to_string(expected).unwrap_or_default(),
            "{case}"
        );
        cases += 1;
    }
    assert!(cases >= 3, "{cases} cases were found");
}
