//! `sluice explain`: why a Knative Service or an Ingress is not Ready.

use std::process::ExitCode;

use sluice_ask::{Explanation, Objects, Pages, Subject, SubjectKind, gather};

use super::ask::{self, Output};
use super::cluster::ClusterArgs;

/// Follow a Knative Service or an Ingress to the gateways, and say what is in its way.
///
/// From its Revisions and its Route over the Ingress, hosts, splits and Services to
/// who answers behind them, and what gateways hold. Ends with each cause and its fix;
/// the exit code is 1 where there is one.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// ksvc/NAME or ingress/NAME.
    #[arg(value_name = "KIND/NAME", value_parser = kind_and_name)]
    subject: (SubjectKind, String),

    /// Its namespace. Left out: that of the context.
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,

    /// The namespace that Sluice runs in.
    #[arg(long, value_name = "NAME", default_value = ask::NAMESPACE)]
    sluice_namespace: String,

    /// For people, or one JSON object.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,

    #[command(flatten)]
    cluster: ClusterArgs,
}

fn kind_and_name(text: &str) -> Result<(SubjectKind, String), String> {
    let (kind, name) = text.split_once('/').unwrap_or(("ksvc", text));
    let kind = match kind {
        "ksvc" | "kservice" | "service.serving.knative.dev" => SubjectKind::Ksvc,
        "ingress" | "king" | "kingress" | "ingress.networking.internal.knative.dev" => {
            SubjectKind::Ingress
        }
        other => return Err(format!("found kind {other:?}, expected ksvc or ingress")),
    };
    let is_of_names = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
    if name.is_empty() || !name.chars().all(is_of_names) {
        return Err(format!(
            "found name {name:?}, expected the name of an object"
        ));
    }
    Ok((kind, name.to_owned()))
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let output = args.output;
    let explanation = ask::wait_for(explain(args))?;
    ask::print(&match output {
        Output::Table => explanation.told(),
        Output::Json => serde_json::to_string_pretty(&explanation)? + "\n",
    })?;
    Ok(if explanation.ready {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn explain(args: Args) -> anyhow::Result<Explanation> {
    let connected = args.cluster.connect().await?;
    let client = connected.client.clone();
    let (kind, name) = args.subject;
    let namespace = args
        .namespace
        .unwrap_or_else(|| client.default_namespace().to_owned());
    let subject = Subject {
        kind,
        namespace,
        name,
    };
    let system = &args.sluice_namespace;
    let pages = Pages::open(client.clone(), system).await;
    let objects = Objects::new(client);
    let gathered = gather(&objects, pages, subject, system).await;
    let gathered = gathered.map_err(|error| ask::failure(&connected, error))?;
    Ok(Explanation::of(&gathered))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_a_kind_and_a_name() {
        let ksvc = Ok((SubjectKind::Ksvc, "hello".to_owned()));
        assert_eq!(kind_and_name("ksvc/hello"), ksvc);
        assert_eq!(kind_and_name("hello"), ksvc);
        let ingress = Ok((SubjectKind::Ingress, "a.b".to_owned()));
        assert_eq!(kind_and_name("king/a.b"), ingress);
        for wrong in ["pod/hello", "ksvc/", "ksvc/a/b", "ksvc/A"] {
            let error = kind_and_name(wrong).unwrap_err();
            assert!(error.contains("expected"), "{wrong}: {error}");
        }
    }
}
