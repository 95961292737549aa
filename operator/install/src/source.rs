//! Where Knative's manifests come from: its release by HTTPS, a folder or a file.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use crate::InstallError;

/// The version of Knative Serving that is installed where none is asked for: the one
/// that Sluice is tested with.
pub const KNATIVE_VERSION: &str = "1.23.0";

/// Where Knative Serving has its releases.
pub const RELEASES: &str = "https://github.com/knative/serving/releases/download";

/// What a release has to be taken of, kinds first.
const FILES: [&str; 2] = ["serving-crds.yaml", "serving-core.yaml"];

/// Of each file; a whole release is 1 MB.
const MAX_BYTES: usize = 32 * 1024 * 1024;
const MAX_REDIRECTS: usize = 5;
const PATIENCE: Duration = Duration::from_secs(60);

/// A version as a release has it: three numbers.
///
/// # Errors
/// [`InstallError::Version`] says what was found.
pub fn version(found: &str) -> Result<(u32, u32, u32), InstallError> {
    let plain = found.strip_prefix("knative-").unwrap_or(found);
    let plain = plain.strip_prefix('v').unwrap_or(plain);
    let mut numbers = plain.split('.').map(str::parse::<u32>);
    match (
        numbers.next(),
        numbers.next(),
        numbers.next(),
        numbers.next(),
    ) {
        (Some(Ok(major)), Some(Ok(minor)), Some(Ok(patch)), None) => Ok((major, minor, patch)),
        _ => Err(InstallError::Version {
            found: found.to_owned(),
        }),
    }
}

/// The manifests of a release, by file name.
///
/// # Errors
/// [`InstallError::Release`] names the address and what came of it.
pub async fn release(base: &str, wanted: &str) -> Result<BTreeMap<String, Vec<u8>>, InstallError> {
    let (major, minor, patch) = version(wanted)?;
    let mut files = BTreeMap::new();
    for file in FILES {
        let url = format!("{base}/knative-v{major}.{minor}.{patch}/{file}");
        let content = tokio::time::timeout(PATIENCE, fetch(&url))
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {} s", PATIENCE.as_secs())))
            .map_err(|what| InstallError::Release { url, what })?;
        files.insert(file.to_owned(), content);
    }
    Ok(files)
}

async fn fetch(url: &str) -> Result<Vec<u8>, String> {
    let roots = HttpsConnectorBuilder::new()
        .with_native_roots()
        .map_err(|error| format!("this machine's root certificates: {error}"))?;
    // Only a server of this machine, as a test has it, is asked in plain HTTP.
    let connector = if url.starts_with("http://127.0.0.1:") {
        roots.https_or_http().enable_http1().build()
    } else {
        roots.https_only().enable_http1().build()
    };
    let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build(connector);
    let mut at: Uri = url.parse().map_err(|error| format!("{error}"))?;
    for _ in 0..=MAX_REDIRECTS {
        let request = Request::get(&at)
            .header(
                header::USER_AGENT,
                concat!("sluice/", env!("CARGO_PKG_VERSION")),
            )
            .body(Empty::new())
            .map_err(|error| error.to_string())?;
        let response = client
            .request(request)
            .await
            .map_err(|error| told(&error))?;
        let status = response.status();
        if status.is_redirection() {
            let to = response
                .headers()
                .get(header::LOCATION)
                .and_then(|value| value.to_str().ok())
                .ok_or_else(|| format!("{status} without a location"))?;
            at = resolved(&at, to)?;
            continue;
        }
        if status == StatusCode::NOT_FOUND {
            return Err("404: there is no such release".to_owned());
        }
        if status != StatusCode::OK {
            return Err(status.to_string());
        }
        let body = Limited::new(response.into_body(), MAX_BYTES)
            .collect()
            .await
            .map_err(|error| error.to_string())?;
        return Ok(body.to_bytes().to_vec());
    }
    Err(format!("more than {MAX_REDIRECTS} redirects"))
}

/// Where a redirect leads: whole addresses, or paths of the same server.
fn resolved(from: &Uri, to: &str) -> Result<Uri, String> {
    let wrong = |error: &dyn std::error::Error| format!("location {to:?}: {error}");
    if !to.starts_with('/') {
        return to.parse::<Uri>().map_err(|error| wrong(&error));
    }
    let mut parts = from.clone().into_parts();
    parts.path_and_query = Some(
        to.parse::<http::uri::PathAndQuery>()
            .map_err(|error| wrong(&error))?,
    );
    Uri::from_parts(parts).map_err(|error| wrong(&error))
}

/// An error with all that caused it: the outermost says only that it failed.
fn told(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        words = format!("{words}: {inner}");
        cause = inner.source();
    }
    words
}

/// The manifests of a folder, or the one that is named, by file name.
///
/// # Errors
/// [`InstallError::File`] names the path.
pub fn files(path: &Path) -> Result<BTreeMap<String, Vec<u8>>, InstallError> {
    let failed = |path: &Path, source: io::Error| InstallError::File {
        path: path.display().to_string(),
        source,
    };
    let mut paths = Vec::new();
    if path.is_dir() {
        for entry in fs::read_dir(path).map_err(|error| failed(path, error))? {
            paths.push(entry.map_err(|error| failed(path, error))?.path());
        }
        paths.retain(|path| {
            path.extension()
                .is_some_and(|end| end == "yaml" || end == "yml")
        });
    } else {
        paths.push(path.to_owned());
    }
    let mut files = BTreeMap::new();
    for path in paths {
        let content = fs::read(&path).map_err(|error| failed(&path, error))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        files.insert(name.into_owned(), content);
    }
    if files.is_empty() {
        return Err(failed(
            path,
            io::Error::new(io::ErrorKind::NotFound, "no .yaml file in this folder"),
        ));
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn versions_are_three_numbers() {
        assert_eq!(version("1.23.0").unwrap(), (1, 23, 0));
        assert_eq!(version("knative-v1.23.0").unwrap(), (1, 23, 0));
        for wrong in ["no.9.9", "1.23", "1.23.0.1", "", "latest"] {
            assert!(
                version(wrong).unwrap_err().to_string().contains(wrong),
                "{wrong}"
            );
        }
    }

    /// Answers each connection by the path it asks for.
    async fn server(answer: impl Fn(&str) -> String + Send + 'static) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                let mut asked = vec![0; 4096];
                let length = socket.read(&mut asked).await.unwrap();
                let asked = String::from_utf8_lossy(&asked[..length]).into_owned();
                let path = asked.split(' ').nth(1).unwrap_or_default().to_owned();
                socket.write_all(answer(&path).as_bytes()).await.unwrap();
            }
        });
        base
    }

    #[tokio::test]
    async fn a_release_is_both_files_of_its_tag_behind_redirects() {
        let base = server(|path| match path.strip_prefix("/moved") {
            Some(path) => format!(
                "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{path}",
                path.len()
            ),
            None => format!("HTTP/1.1 302 Found\r\nconnection: close\r\nlocation: /moved{path}\r\ncontent-length: 0\r\n\r\n"),
        })
        .await;
        let files = release(&base, "v1.22.1").await.unwrap();
        assert_eq!(
            files["serving-crds.yaml"],
            b"/knative-v1.22.1/serving-crds.yaml"
        );
        assert_eq!(files.len(), 2);
    }

    #[tokio::test]
    async fn a_release_that_is_not_there_is_named_with_its_address() {
        let base = server(|_| {
            "HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".to_owned()
        })
        .await;
        let error = release(&base, "9.9.9").await.unwrap_err().to_string();
        assert!(
            error.contains("/knative-v9.9.9/serving-crds.yaml: 404"),
            "{error}"
        );
        assert!(error.contains("--bundle"), "{error}");
    }

    #[test]
    fn an_empty_folder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = files(folder.path()).unwrap_err().to_string();
        assert!(error.contains("no .yaml file"), "{error}");
    }
}
