//! Which cluster a command speaks to, and as whom.

use std::env;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, anyhow};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use super::exit::{Exit, Failure};

/// How long the API server may say nothing. A webhook may take thirty seconds of it.
const ANSWER_BOUND: Duration = Duration::from_secs(60);

/// The cluster, by the flags that kubectl has for it.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Cluster")]
pub(super) struct ClusterArgs {
    /// The kubeconfig file. Left out: $KUBECONFIG, then ~/.kube/config, then the
    /// service account of this pod.
    #[arg(long, value_name = "FILE")]
    pub(super) kubeconfig: Option<PathBuf>,

    /// The context of that file. Left out: its current one.
    #[arg(long, value_name = "NAME")]
    pub(super) context: Option<String>,

    /// Act as this user; your own needs the right to impersonate it.
    #[arg(long = "as", value_name = "USER")]
    pub(super) impersonate: Option<String>,
}

impl ClusterArgs {
    /// A client of that cluster, which has answered nothing yet.
    ///
    /// # Errors
    /// No file, no such context in it, or one that cannot be read: the sentence
    /// names it and says what there is; the exit code is [`Exit::Unreachable`].
    pub(super) async fn connect(&self) -> anyhow::Result<Connected> {
        let (mut config, context) = self
            .config()
            .await
            .map_err(|error| Failure::new(Exit::Unreachable, error))?;
        // Nothing here watches: an answer that does not come for so long does not come.
        config.read_timeout = Some(ANSWER_BOUND);
        let url = config.cluster_url.to_string();
        let client = Client::try_from(config).map_err(|error| {
            let error = anyhow::Error::new(error).context(format!("making a client of {url}"));
            Failure::new(Exit::Unreachable, error)
        })?;
        let connected = Connected {
            client,
            context,
            url,
        };
        Ok(connected)
    }

    async fn config(&self) -> anyhow::Result<(Config, String)> {
        let read = match &self.kubeconfig {
            Some(path) => Kubeconfig::read_from(path)
                .with_context(|| format!("reading the kubeconfig {}", path.display()))
                .map(Some)?,
            None => configured()?,
        };
        let Some(kubeconfig) = read else {
            if let Some(context) = &self.context {
                return Err(anyhow!(
                    "context {context:?}: there is no kubeconfig to find it in; name one by --kubeconfig or $KUBECONFIG"
                ));
            }
            let mut config = Config::incluster().map_err(|_| {
                anyhow!(
                    "no cluster: no kubeconfig in $KUBECONFIG or ~/.kube/config, and this is not a pod; name a file by --kubeconfig"
                )
            })?;
            config.auth_info.impersonate.clone_from(&self.impersonate);
            return Ok((config, "in-cluster".to_owned()));
        };
        let names: Vec<&str> = kubeconfig
            .contexts
            .iter()
            .map(|context| context.name.as_str())
            .collect();
        let wanted = self
            .context
            .clone()
            .or_else(|| kubeconfig.current_context.clone());
        let Some(wanted) = wanted.filter(|name| !name.is_empty()) else {
            return Err(anyhow!(
                "the kubeconfig has no current context; name one by --context: {}",
                listed(&names)
            ));
        };
        if !names.contains(&wanted.as_str()) {
            return Err(anyhow!(
                "context {wanted:?} is not in the kubeconfig; it has {}",
                listed(&names)
            ));
        }
        let options = KubeConfigOptions {
            context: Some(wanted.clone()),
            ..KubeConfigOptions::default()
        };
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &options)
            .await
            .with_context(|| format!("reading context {wanted:?} of the kubeconfig"))?;
        if let Some(user) = &self.impersonate {
            config.auth_info.impersonate = Some(user.clone());
        }
        Ok((config, wanted))
    }
}

/// A cluster that a command speaks to.
pub(super) struct Connected {
    /// Asks it.
    pub(super) client: Client,
    /// The context's name, for people.
    pub(super) context: String,
    /// Where its API server is, for people.
    pub(super) url: String,
}

/// The kubeconfig that this machine is set up with. One that cannot be read is an error:
/// to go on as the account of a pod would be to speak to another cluster.
fn configured() -> anyhow::Result<Option<Kubeconfig>> {
    let named = env::var_os("KUBECONFIG").filter(|paths| !paths.is_empty());
    let place = match &named {
        Some(paths) => format!("$KUBECONFIG, {}", paths.display()),
        None => "~/.kube/config".to_owned(),
    };
    let usual = env::home_dir().is_some_and(|home| home.join(".kube/config").exists());
    if named.is_none() && !usual {
        return Ok(None);
    }
    Kubeconfig::read()
        .with_context(|| format!("reading the kubeconfig of {place}"))
        .map(Some)
}

fn listed(names: &[&str]) -> String {
    if names.is_empty() {
        return "no contexts".to_owned();
    }
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const TWO_CONTEXTS: &str = "
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]
users: [{name: u, user: {}}]
contexts:
- {name: left, context: {cluster: c, user: u}}
- {name: right, context: {cluster: c, user: u}}
";

    async fn refusal(args: &ClusterArgs) -> (String, Exit) {
        match args.connect().await {
            Ok(connected) => panic!("connected to {}", connected.url),
            Err(error) => (format!("{error:#}"), super::super::exit::of(&error)),
        }
    }

    #[tokio::test]
    async fn a_context_that_is_not_there_is_named_beside_those_that_are() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("config");
        fs::write(&file, TWO_CONTEXTS)?;
        let mut args = ClusterArgs {
            kubeconfig: Some(file),
            context: Some("middle".to_owned()),
            impersonate: None,
        };
        let (said, exit) = refusal(&args).await;
        assert_eq!(exit, Exit::Unreachable);
        assert_eq!(
            said,
            "context \"middle\" is not in the kubeconfig; it has left, right"
        );
        args.context = None;
        let (said, _) = refusal(&args).await;
        assert!(said.contains("no current context"), "{said}");
        args.context = Some("right".to_owned());
        assert_eq!(args.connect().await?.context, "right");
        Ok(())
    }

    #[tokio::test]
    async fn a_file_that_is_not_there_is_named() {
        let args = ClusterArgs {
            kubeconfig: Some(PathBuf::from("/nowhere/config")),
            ..ClusterArgs::default()
        };
        let (said, exit) = refusal(&args).await;
        assert_eq!(exit, Exit::Unreachable);
        assert!(said.contains("/nowhere/config"), "{said}");
    }
}
