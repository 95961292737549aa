//! `sluice install knative`: Knative Serving and the gateways, wired and proven.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Subcommand, ValueEnum};
use sluice_install::{
    Cluster, Event, Images, InstallError, Installed, Knative, KnativeChoice, Options, Survey,
};

use super::bundle::{self, Release};
use super::cluster::ClusterArgs;
use super::exit::{Exit, Failure};
use super::progress::{Output, Progress};

/// Install Knative Serving and Sluice, or repair what was installed.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Install Knative Serving with Sluice as its ingress; a Knative that is there is
    /// adopted.
    ///
    /// Kinds, Knative, gateways, the settings that wire them; then a request through the
    /// gateways proves it. Nothing is touched that was not made here, but for entries of
    /// Knative's ConfigMaps, whose values are kept for `sluice uninstall`. The same
    /// command again repairs, or goes on after it was interrupted.
    Knative(Box<KnativeArgs>),
}

#[derive(Debug, clap::Args)]
struct KnativeArgs {
    /// Whether Knative is installed: if none is there, in any case, or not at all.
    #[arg(long, value_enum, value_name = "CHOICE", default_value_t = Choice::Auto)]
    knative: Choice,

    #[command(flatten)]
    release: Release,

    /// Take Knative from a bundle, without internet.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["knative_version", "knative_releases", "knative_from"])]
    bundle: Option<PathBuf>,

    #[command(flatten)]
    images: ImageArgs,

    /// The domain of Services outside the cluster. Left out: one that a public resolver
    /// leads to the gateways' address. One that is set already is left alone.
    #[arg(long, value_name = "NAME")]
    domain: Option<String>,

    /// Leave Knative's ingress-class as it is: only Services that ask for Sluice come to it.
    #[arg(long)]
    keep_class: bool,

    /// Print what would be done, object by object, and write nothing.
    #[arg(long, conflicts_with_all = ["diff", "print"])]
    dry_run: bool,

    /// Print which fields would change, and exit with 1 if any would.
    #[arg(long, conflicts_with = "print")]
    diff: bool,

    /// Print the manifests, for a repository; no cluster is asked.
    #[arg(long)]
    print: bool,

    /// Write and do not wait for what was written to run: no request, no domain of an
    /// address.
    #[arg(long)]
    no_wait: bool,

    /// Do not send a request through the gateways at the end.
    #[arg(long)]
    no_request: bool,

    /// How long to wait for a load balancer's address before a node's port is taken, in
    /// seconds.
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    load_balancer_wait: Duration,

    /// How long all of it may take, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "600", value_parser = seconds)]
    timeout: Duration,

    /// Lines for people, or an object of JSON a line.
    #[arg(short, long, value_enum, default_value_t = Output::Human)]
    output: Output,

    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Which images are installed.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Images")]
pub(super) struct ImageArgs {
    /// Another image of Sluice than this version's own.
    #[arg(long, value_name = "IMAGE")]
    sluice_image: Option<String>,

    /// Another image of Envoy than the one this version is tested with.
    #[arg(long, value_name = "IMAGE")]
    envoy_image: Option<String>,

    /// Take all images from this registry: path, tag and digest stay.
    #[arg(long, value_name = "REGISTRY")]
    image_registry: Option<String>,
}

impl ImageArgs {
    pub(super) fn images(&self) -> Images {
        let mut images = Images::default();
        if let Some(registry) = &self.image_registry {
            images = images.at(registry);
        }
        // What is named one by one is meant as it is.
        images.sluice = self.sluice_image.clone().unwrap_or(images.sluice);
        images.envoy = self.envoy_image.clone().unwrap_or(images.envoy);
        images
    }

    pub(super) fn registry(&self) -> Option<&str> {
        self.image_registry.as_deref()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Choice {
    /// Adopt a Knative that is there, else install one.
    Auto,
    /// Install Knative, also over one that is there.
    Install,
    /// Adopt a Knative that is there, else fail.
    Skip,
}

impl From<Choice> for KnativeChoice {
    fn from(choice: Choice) -> Self {
        match choice {
            Choice::Auto => Self::Auto,
            Choice::Install => Self::Install,
            Choice::Skip => Self::Skip,
        }
    }
}

/// A time span: seconds, or with the unit s, m or h.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.strip_suffix(['s', 'm', 'h']) {
        Some(number) => (number, &text[number.len()..]),
        None => (text, "s"),
    };
    let number: u64 = number
        .parse()
        .map_err(|_| "expected seconds, such as 90, 90s or 5m".to_owned())?;
    let scale = match unit {
        "h" => 3600,
        "m" => 60,
        _ => 1,
    };
    number
        .checked_mul(scale)
        .map(Duration::from_secs)
        .ok_or_else(|| "too long".to_owned())
}

/// How an error of an installation ends the command. Once something was written, what is
/// not finished is said to be so, whatever the reason.
pub(super) fn failure(error: InstallError, begun: bool) -> anyhow::Error {
    let exit = match &error {
        _ if begun => Exit::Partial,
        InstallError::Unreachable { .. } => Exit::Unreachable,
        InstallError::Timeout { .. } => Exit::Timeout,
        InstallError::Version { .. } => Exit::Usage,
        _ => Exit::Problems,
    };
    Failure::new(exit, error).into()
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let What::Knative(args) = &args.what;
    args.release.check()?;
    super::runtime()?.block_on(knative(args))
}

async fn knative(args: &KnativeArgs) -> anyhow::Result<ExitCode> {
    let options = Options {
        images: args.images.images(),
        domain: args.domain.clone(),
        settings: true,
        keep_class: args.keep_class,
        balancer: args.load_balancer_wait,
        request: !args.no_request,
        wait: !args.no_wait,
        timeout: args.timeout,
    };
    // A bundle is proven before anything is asked, not to speak of written.
    let bundle = args.bundle.as_deref().map(bundle::open).transpose()?;
    if args.print {
        let knative = match args.knative {
            Choice::Skip => None,
            Choice::Auto | Choice::Install => Some(manifests(args, bundle).await?),
        };
        let objects = sluice_install::printed(knative.as_ref(), &options)?;
        io::stdout().write_all(sluice_install::write(&objects)?.as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    let connected = args.cluster.connect().await?;
    let cluster = Cluster::new(connected.client, &connected.url);
    let survey = Survey::take(&cluster)
        .await
        .map_err(|error| failure(error, false))?;
    let needed = survey
        .needs_knative(args.knative.into())
        .map_err(|error| failure(error, false))?;
    let mut progress = Progress::new(args.output);
    if args.output == Output::Human {
        let found = match (&survey.knative, needed) {
            (Some(version), false) => format!("with Knative Serving {version}, which is adopted"),
            (Some(version), true) => format!("with Knative Serving {version}"),
            (None, _) => "without Knative Serving".to_owned(),
        };
        progress.tell(&Event::Done {
            component: "cluster".to_owned(),
            outcome: format!(
                "{}, Kubernetes {}, {found}",
                connected.context, survey.kubernetes
            ),
            seconds: 0.0,
        });
    }
    let knative = match needed {
        true => Some(manifests(args, bundle).await?),
        false => None,
    };
    let prepared = sluice_install::prepare(&cluster, &survey, knative.as_ref(), &options)
        .await
        .map_err(|error| failure(error, false))?;
    if args.dry_run || args.diff {
        progress.end()?;
        return shown(args, &prepared.plan);
    }
    let nothing = prepared.plan.is_empty();
    let installed = sluice_install::install(&cluster, prepared, &options, &mut |event| {
        progress.tell(&event);
    })
    .await;
    progress.end()?;
    let installed = installed.map_err(|error| failure(error, true))?;
    done(args.output, &installed, nothing)?;
    Ok(ExitCode::SUCCESS)
}

/// Knative's manifests, with images from where they are to come.
async fn manifests(
    args: &KnativeArgs,
    bundle: Option<sluice_install::Bundle>,
) -> anyhow::Result<Knative> {
    let mut knative = match bundle {
        Some(bundle) => bundle.knative,
        None => {
            let (files, version) = args.release.files().await?;
            Knative::from_files(&files, version)?
        }
    };
    if let Some(registry) = args.images.registry() {
        sluice_install::rewrite(&mut knative.objects, registry);
    }
    Ok(knative)
}

fn shown(args: &KnativeArgs, plan: &sluice_install::Plan) -> anyhow::Result<ExitCode> {
    let mut out = io::stdout().lock();
    match args.output {
        Output::Json => writeln!(out, "{}", serde_json::to_string(plan)?)?,
        Output::Human if args.diff => write!(out, "{plan:#}")?,
        Output::Human => write!(out, "{plan}")?,
    }
    Ok(if args.diff && !plan.is_empty() {
        Exit::Problems.into()
    } else {
        Exit::Well.into()
    })
}

fn done(output: Output, installed: &Installed, nothing: bool) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    if output == Output::Json {
        let mut object = serde_json::to_value(installed)?;
        object["event"] = "installed".into();
        object["changed"] = (!nothing).into();
        writeln!(out, "{object}")?;
        return Ok(());
    }
    if nothing {
        writeln!(out, "nothing to do: all of it is there as it should be")?;
    }
    match &installed.url {
        Some(url) => writeln!(out, "\nServices are at {url}")?,
        None => writeln!(
            out,
            "\nwhether it runs: kubectl -n sluice-system get pods; sluice version"
        )?,
    }
    if !nothing {
        writeln!(
            out,
            "next: kn service create hello --image ghcr.io/knative/helloworld-go:latest"
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_span_has_a_unit_or_is_seconds() {
        assert_eq!(seconds("90"), Ok(Duration::from_secs(90)));
        assert_eq!(seconds("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(seconds("1h"), Ok(Duration::from_secs(3600)));
        for wrong in [
            "",
            "m",
            "5d",
            "-1",
            "1.5",
            "99999999999999999999",
            "9999999999999999999h",
        ] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_image_that_is_named_is_meant_as_it_is() {
        let args = ImageArgs {
            sluice_image: Some("local/sluice:dev".into()),
            envoy_image: None,
            image_registry: Some("registry.example.com".into()),
        };
        let images = args.images();
        assert_eq!(images.sluice, "local/sluice:dev");
        assert!(
            images
                .envoy
                .starts_with("registry.example.com/envoyproxy/envoy:"),
            "{}",
            images.envoy
        );
    }

    #[test]
    fn what_was_begun_is_said_to_be_unfinished() {
        let error = || InstallError::KnativeMissing;
        assert_eq!(
            super::super::exit::of(&failure(error(), true)),
            Exit::Partial
        );
        assert_eq!(
            super::super::exit::of(&failure(error(), false)),
            Exit::Problems
        );
    }
}
