//! `sluice version`: of this program, and of what runs in a cluster.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::ValueEnum;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Container;
use kube::api::{Api, ListParams};
use serde::Serialize;
use sluice_ask::version_of_image;

use super::cluster::ClusterArgs;
use super::exit::{Exit, Failure};

/// How long the API server may take for its one answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What every Deployment of Sluice's own is labelled with.
const PROVIDER: &str = "networking.knative.dev/ingress-provider=sluice";
const VERSION_LABEL: &str = "app.kubernetes.io/version";

/// Print the versions of this program, of the operator, the gateways and Envoy.
///
/// Those of a cluster are read from its Deployments. Where no cluster answers,
/// this program's own is printed all the same, and the exit code is 3.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// This program's own version alone; no cluster is asked.
    #[arg(long)]
    client: bool,

    /// The namespace that Sluice runs in.
    #[arg(short, long, value_name = "NAME", default_value = "sluice-system")]
    namespace: String,

    /// For people, or one JSON object.
    #[arg(short, long, value_enum, default_value_t = Output::Human)]
    output: Output,

    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    Human,
    Json,
}

/// All that is printed.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Versions {
    client: Build,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<Installed>,
}

/// This program.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Build {
    version: &'static str,
    /// Of the sources; only a build that was told it knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<&'static str>,
}

/// What a cluster runs, each by the name of its Deployment.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Installed {
    operators: BTreeMap<String, Part>,
    gateways: BTreeMap<String, Gateway>,
}

/// One Deployment.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Part {
    /// Of its label.
    version: Option<String>,
    image: String,
    ready: i32,
    replicas: i32,
}

/// A gateway: Sluice's companion, and Envoy.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Gateway {
    #[serde(flatten)]
    part: Part,
    envoy: Envoy,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Envoy {
    /// As the image's tag says it.
    version: Option<String>,
    image: String,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let client = Build {
        version: env!("CARGO_PKG_VERSION"),
        commit: option_env!("SLUICE_COMMIT").filter(|commit| !commit.is_empty()),
    };
    let asked = if args.client {
        Ok(None)
    } else {
        super::runtime()?.block_on(ask(args)).map(Some)
    };
    let (cluster, failed) = match asked {
        Ok(cluster) => (cluster, None),
        Err(error) => (None, Some(error)),
    };
    let versions = Versions { client, cluster };
    let text = match args.output {
        Output::Human => told(&versions),
        Output::Json => serde_json::to_string_pretty(&versions)? + "\n",
    };
    io::stdout()
        .write_all(text.as_bytes())
        .context("writing the versions")?;
    failed.map_or(Ok(ExitCode::SUCCESS), Err)
}

async fn ask(args: &Args) -> anyhow::Result<Installed> {
    let connected = args.cluster.connect().await?;
    let namespace = &args.namespace;
    let deployments: Api<Deployment> = Api::namespaced(connected.client, namespace);
    let params = ListParams::default().labels(PROVIDER);
    let unreachable = |error: anyhow::Error| {
        let asking = format!("asking {} for what runs in {namespace}", connected.url);
        Failure::new(Exit::Unreachable, error.context(asking))
    };
    let listed = match tokio::time::timeout(PATIENCE, deployments.list(&params)).await {
        Ok(Ok(listed)) => listed.items,
        Ok(Err(error)) => return Err(unreachable(error.into()).into()),
        Err(_) => {
            let silent = anyhow!("no answer within {} s", PATIENCE.as_secs());
            return Err(unreachable(silent).into());
        }
    };
    let installed = installed(&listed);
    if installed == Installed::default() {
        return Err(anyhow!(
            "context {}: no Deployment of Sluice is in namespace {namespace}; name its own by --namespace",
            connected.context
        ));
    }
    Ok(installed)
}

/// What these Deployments say; those with other containers are none of Sluice's.
fn installed(deployments: &[Deployment]) -> Installed {
    let mut installed = Installed::default();
    for deployment in deployments {
        let name = deployment.metadata.name.clone().unwrap_or_default();
        if let Some(operator) = container(deployment, "operator") {
            installed.operators.insert(name, part(deployment, operator));
        } else if let Some(companion) = container(deployment, "companion")
            && let Some(envoy) = container(deployment, "envoy")
        {
            let image = envoy.image.clone().unwrap_or_default();
            let envoy = Envoy {
                version: version_of_image(&image),
                image,
            };
            let part = part(deployment, companion);
            installed.gateways.insert(name, Gateway { part, envoy });
        }
    }
    installed
}

fn container<'a>(deployment: &'a Deployment, name: &str) -> Option<&'a Container> {
    let template = deployment.spec.as_ref()?.template.spec.as_ref()?;
    template.containers.iter().find(|one| one.name == name)
}

fn part(deployment: &Deployment, container: &Container) -> Part {
    let labels = deployment.metadata.labels.as_ref();
    let status = deployment.status.as_ref();
    Part {
        version: labels.and_then(|labels| labels.get(VERSION_LABEL)).cloned(),
        image: container.image.clone().unwrap_or_default(),
        ready: status.and_then(|s| s.ready_replicas).unwrap_or_default(),
        replicas: status.and_then(|s| s.replicas).unwrap_or_default(),
    }
}

fn told(versions: &Versions) -> String {
    let mut lines = vec![match versions.client.commit {
        Some(commit) => format!("client    {} (commit {commit})", versions.client.version),
        None => format!("client    {}", versions.client.version),
    }];
    if let Some(cluster) = &versions.cluster {
        let line = |kind: &str, name: &str, part: &Part| {
            let version = known(part.version.as_deref());
            let (ready, replicas) = (part.ready, part.replicas);
            format!(
                "{kind} {version}  {name}: {ready} of {replicas} ready, {}",
                part.image
            )
        };
        for (name, operator) in &cluster.operators {
            lines.push(line("operator ", name, operator));
        }
        for (name, gateway) in &cluster.gateways {
            lines.push(line("gateway  ", name, &gateway.part));
            let version = known(gateway.envoy.version.as_deref());
            lines.push(format!(
                "envoy     {version}  {name}: {}",
                gateway.envoy.image
            ));
        }
    }
    lines.join("\n") + "\n"
}

fn known(version: Option<&str>) -> &str {
    version.unwrap_or("unknown")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::*;

    /// The Deployments that are installed, as they stand in `config/`.
    fn deployments() -> Vec<Deployment> {
        let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config");
        ["400-operator.yaml", "500-gateway.yaml"]
            .into_iter()
            .map(|file| {
                let text = std::fs::read_to_string(config.join(file)).unwrap();
                let text = text.replace("ENVOY_IMAGE", "envoyproxy/envoy:distroless-v1.40.0");
                let first = text.split("\n---\n").next().unwrap();
                let mut read: Deployment = serde_saphyr::from_str(first).unwrap();
                let status = json!({"readyReplicas": 1, "replicas": 2});
                read.status = Some(serde_json::from_value(status).unwrap());
                read
            })
            .collect()
    }

    #[test]
    fn what_is_installed_tells_its_versions() {
        let versions = Versions {
            client: Build {
                version: "1.2.3",
                commit: Some("abc"),
            },
            cluster: Some(installed(&deployments())),
        };
        assert_eq!(
            told(&versions),
            "client    1.2.3 (commit abc)\n\
             operator  devel  sluice-operator: 1 of 2 ready, SLUICE_IMAGE\n\
             gateway   devel  sluice-gateway: 1 of 2 ready, SLUICE_IMAGE\n\
             envoy     1.40.0  sluice-gateway: envoyproxy/envoy:distroless-v1.40.0\n"
        );
        let gateway = json!({
            "version": "devel", "image": "SLUICE_IMAGE", "ready": 1, "replicas": 2,
            "envoy": {"version": "1.40.0", "image": "envoyproxy/envoy:distroless-v1.40.0"},
        });
        let written = serde_json::to_value(&versions).unwrap();
        assert_eq!(written["cluster"]["gateways"]["sluice-gateway"], gateway);
    }

    #[test]
    fn strangers_are_not_told() {
        let mut stranger = deployments().remove(0);
        let pod = stranger.spec.as_mut().unwrap().template.spec.as_mut();
        pod.unwrap().containers[0].name = "controller".to_owned();
        assert_eq!(installed(&[stranger]), Installed::default());
    }
}
