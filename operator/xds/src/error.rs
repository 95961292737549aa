//! What can stop the server.

/// Why [`crate::serve`] ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum XdsError {
    /// The listening socket failed, or the HTTP/2 server on it. The world that
    /// was published is unharmed: bind again and serve again.
    #[error("failed to serve xDS")]
    Serve(#[source] tonic::transport::Error),
}
