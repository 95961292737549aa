//! `sluice bundle`: what an installation takes, in one file for where no internet is.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Subcommand;
use sluice_install::{Bundle, Images, InstallError, KNATIVE_VERSION, RELEASES};

use super::exit::{Exit, Failure};

/// Make, prove or read a file that installs without internet.
///
/// A bundle has Knative's manifests, their hashes, and the list of all images that they
/// and Sluice take. Images themselves are copied with a tool for images; `sluice bundle
/// images` lists them.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Make one: of a release, had by HTTPS, or of manifests that are here.
    Create {
        #[command(flatten)]
        knative: Release,
        /// Where to write it.
        #[arg(
            short,
            long,
            value_name = "FILE",
            default_value = "sluice-bundle.tar.gz"
        )]
        output: PathBuf,
    },
    /// Prove that one is whole and unchanged: each hash, each name, each image.
    Verify {
        /// The bundle.
        file: PathBuf,
    },
    /// List the images it takes, one a line.
    Images {
        /// The bundle.
        file: PathBuf,
        /// As they are named in this registry, for `--image-registry` of install.
        #[arg(long, value_name = "REGISTRY")]
        image_registry: Option<String>,
    },
}

/// Where Knative's manifests are had.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Release {
    /// The release of Knative Serving.
    #[arg(long, value_name = "VERSION", default_value = KNATIVE_VERSION)]
    knative_version: String,

    /// Where releases are had, by HTTPS: a mirror of Knative's own.
    #[arg(long, value_name = "URL", default_value = RELEASES)]
    knative_releases: String,

    /// Knative's manifests in place of a release: a folder, or one file.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["knative_version", "knative_releases"])]
    knative_from: Option<PathBuf>,
}

impl Release {
    /// A version that is none is an error of the command line.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        sluice_install::version(&self.knative_version)
            .map(drop)
            .map_err(|error| Failure::new(Exit::Usage, error).into())
    }

    /// The manifests by file name, and the version, if that is known beforehand.
    pub(super) async fn files(&self) -> anyhow::Result<(Files, Option<&str>)> {
        if let Some(path) = &self.knative_from {
            return Ok((sluice_install::files(path)?, None));
        }
        let files = sluice_install::release(&self.knative_releases, &self.knative_version).await?;
        Ok((files, Some(&self.knative_version)))
    }
}

type Files = std::collections::BTreeMap<String, Vec<u8>>;

/// Reads and proves a bundle.
pub(super) fn open(path: &Path) -> anyhow::Result<Bundle> {
    let packed = fs::read(path).map_err(|source| InstallError::File {
        path: path.display().to_string(),
        source,
    })?;
    sluice_install::verify(&packed).with_context(|| path.display().to_string())
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut out = io::stdout().lock();
    match &args.what {
        What::Create { knative, output } => {
            knative.check()?;
            let runtime = super::runtime()?;
            let (files, version) = runtime.block_on(knative.files())?;
            let packed = sluice_install::create(&files, version, &Images::default())?;
            let bundle = sluice_install::verify(&packed)?;
            fs::write(output, &packed).map_err(|source| InstallError::File {
                path: output.display().to_string(),
                source,
            })?;
            tell(&mut out, output, &bundle)?;
        }
        What::Verify { file } => tell(&mut out, file, &open(file)?)?,
        What::Images {
            file,
            image_registry,
        } => {
            for image in open(file)?.index.images {
                match image_registry {
                    Some(registry) => writeln!(out, "{}", sluice_install::at(&image, registry))?,
                    None => writeln!(out, "{image}")?,
                }
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn tell(out: &mut impl Write, path: &Path, bundle: &Bundle) -> io::Result<()> {
    let index = &bundle.index;
    writeln!(
        out,
        "{}: Knative Serving {}, Sluice {}, {} objects, {} images",
        path.display(),
        index.knative,
        index.sluice,
        bundle.knative.objects.len(),
        index.images.len()
    )?;
    for (name, file) in &index.files {
        writeln!(
            out,
            "  {name}  sha256:{}  {} bytes",
            file.sha256, file.bytes
        )?;
    }
    Ok(())
}
