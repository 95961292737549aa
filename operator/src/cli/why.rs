//! `sluice why`: where one request goes, and what caused it.

use std::process::ExitCode;

use anyhow::Context;
use clap::ValueEnum;
use sluice_ask::{Answer, From, Objects, Request, known};

use super::ask::{self, Output};
use super::cluster::ClusterArgs;
use super::exit::{Exit, Failure};

/// Say which way a request takes through the gateways, and what caused each step.
///
/// Listener, certificate, scope, route and split by the live plan, each with the
/// object and the field that caused it. Nothing is sent to a backend. The exit code
/// is 1 where no backend would answer, or not always.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The URL; without a scheme it is http.
    url: String,

    /// A header of the request, 'name: value'; may be given many times. A header
    /// Host says which host is asked for, whatever the URL says.
    #[arg(short = 'H', long = "header", value_name = "HEADER")]
    headers: Vec<String>,

    /// Whether it comes from outside the cluster, or from a pod in it.
    #[arg(long, value_enum, default_value_t = Origin::Outside)]
    from: Origin,

    /// The namespace that Sluice runs in.
    #[arg(short, long, value_name = "NAME", default_value = ask::NAMESPACE)]
    namespace: String,

    /// For people, or one JSON object.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,

    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Origin {
    Outside,
    Inside,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let from = match args.from {
        Origin::Outside => From::Outside,
        Origin::Inside => From::Inside,
    };
    let request = Request::new(&args.url, &args.headers, from);
    let request = request.map_err(|error| Failure::new(Exit::Usage, error))?;
    let answer = ask::wait_for(answer(args, &request))?;
    ask::print(&match args.output {
        Output::Table => answer.told(),
        Output::Json => serde_json::to_string_pretty(&answer).context("writing the answer")? + "\n",
    })?;
    Ok(if answer.outcome.served {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn answer(args: &Args, request: &Request) -> anyhow::Result<Answer> {
    let connected = args.cluster.connect().await?;
    let mut pages = ask::pages(&connected, &args.namespace).await?;
    let objects = Objects::new(connected.client.clone());
    let known = known(&objects, &mut pages, request).await;
    let known = known.map_err(|error| ask::failure(&connected, error))?;
    Ok(Answer::of(request, &known))
}
