//! The request that is asked about.

use std::collections::BTreeMap;
use std::fmt;

use http::Uri;
use http::header::HeaderName;
use serde::{Deserialize, Serialize};

/// Headers whose values are nobody else's business.
const SECRET: [&str; 3] = ["authorization", "cookie", "proxy-authorization"];

/// Where a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum From {
    /// Through the Service that has the public address.
    Outside,
    /// Through the cluster-local one, as pods do.
    Inside,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// As it was given.
    pub url: String,
    /// Whether it comes by TLS.
    pub https: bool,
    /// What TLS asks for: the host of the URL.
    pub server_name: String,
    /// The host that is looked up: lower case, without a port or a final dot.
    pub host: String,
    /// Without a query.
    pub path: String,
    /// By name, lower case.
    pub headers: BTreeMap<String, String>,
    /// Where it comes from.
    pub from: From,
}

/// Why something is no request.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The URL.
    #[error("URL {found:?}: {said}; expected http://HOST/PATH or https://HOST/PATH")]
    Url {
        /// As it was given.
        found: String,
        /// What is wrong with it.
        said: String,
    },
    /// A header.
    #[error("header {found:?}: expected 'name: value'")]
    Header {
        /// As it was given.
        found: String,
    },
}

impl Request {
    /// A request of this URL (without a scheme it is http) with these headers, each
    /// `name: value`. A header `Host` says which host is asked for.
    ///
    /// # Errors
    /// What cannot be read, and what was expected.
    pub fn new(url: &str, headers: &[String], from: From) -> Result<Self, RequestError> {
        let wrong = |said: String| RequestError::Url {
            found: url.to_owned(),
            said,
        };
        let whole = if url.contains("://") {
            url.to_owned()
        } else {
            format!("http://{url}")
        };
        let uri: Uri = whole
            .parse()
            .map_err(|error: http::uri::InvalidUri| wrong(error.to_string()))?;
        let https = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            other => return Err(wrong(format!("found scheme {other:?}"))),
        };
        let server_name = uri.host().unwrap_or_default();
        if server_name.is_empty() {
            return Err(wrong("it has no host".to_owned()));
        }
        let mut named = BTreeMap::new();
        for header in headers {
            let wrong = || RequestError::Header {
                found: header.clone(),
            };
            let (name, value) = header.split_once(':').ok_or_else(wrong)?;
            let name: HeaderName = name.trim().parse().map_err(|_| wrong())?;
            named.insert(name.as_str().to_owned(), value.trim().to_owned());
        }
        let host = named
            .remove("host")
            .unwrap_or_else(|| server_name.to_owned());
        Ok(Self {
            url: whole,
            https,
            server_name: folded(server_name),
            host: folded(&host),
            path: uri.path().to_owned(),
            headers: named,
            from,
        })
    }

    /// The side of gateways that it meets.
    pub(super) fn side(&self) -> &'static str {
        match self.from {
            From::Outside => "external",
            From::Inside => "internal",
        }
    }
}

/// A host as gateways look it up.
pub(super) fn folded(host: &str) -> String {
    let mut host = host.to_ascii_lowercase();
    if let Some((name, port)) = host.rsplit_once(':')
        && !port.is_empty()
        && port.bytes().all(|byte| byte.is_ascii_digit())
    {
        host = name.to_owned();
    }
    if host.ends_with('.') {
        host.pop();
    }
    host
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let from = match self.from {
            From::Outside => "outside",
            From::Inside => "inside",
        };
        write!(f, "{} from {from}", self.url)?;
        if self.host != self.server_name {
            write!(f, ", Host: {}", self.host)?;
        }
        for (name, value) in &self.headers {
            let value = if SECRET.contains(&name.as_str()) {
                "(not shown)"
            } else {
                value
            };
            write!(f, ", {name}: {value}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(url: &str, headers: &[&str]) -> Result<Request, String> {
        let headers: Vec<String> = headers.iter().map(|&one| one.to_owned()).collect();
        Request::new(url, &headers, From::Outside).map_err(|error| error.to_string())
    }

    #[test]
    fn hosts_are_folded_as_gateways_do() {
        let read = request("https://Shop.Example.com.:8443/a/b?c=d", &[]).unwrap();
        assert_eq!(
            (read.host.as_str(), read.path.as_str()),
            ("shop.example.com", "/a/b")
        );
        assert!(read.https);
        let read = request("10.0.0.1", &["HOST: shop.example.com:80", "X-A:  b "]).unwrap();
        assert_eq!(read.server_name, "10.0.0.1");
        assert_eq!(
            (read.host.as_str(), read.path.as_str()),
            ("shop.example.com", "/")
        );
        assert_eq!(read.headers.get("x-a").map(String::as_str), Some("b"));
    }

    #[test]
    fn a_credential_is_not_shown() {
        let read = request("a/b", &["Authorization: Bearer abc", "Host: c", "X-A: d"]).unwrap();
        assert_eq!(
            read.to_string(),
            "http://a/b from outside, Host: c, authorization: (not shown), x-a: d"
        );
    }

    #[test]
    fn what_is_no_request_says_what_one_is() {
        for url in ["ftp://a/", "http://", "http:///x", "a b"] {
            let error = request(url, &[]).unwrap_err();
            assert!(error.contains("expected http://HOST/PATH"), "{error}");
        }
        for header in ["nothing", "a b: c", ": c"] {
            let error = request("a", &[header]).unwrap_err();
            assert!(error.contains("expected 'name: value'"), "{error}");
        }
    }
}
