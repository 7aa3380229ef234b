//! What the servers of every role share: how a request is read, how an error is answered, what is
//! written down of each, and the internal listener.

/// Reads JSON bodies.
pub mod body;
/// Collects what is wrong with the fields of an input.
pub mod checks;
/// Who asks, when proxies stand in between.
pub mod client_address;
/// Cursors of lists, and the query that carries them.
pub mod cursor;
/// `ETag` and `If-Match`.
pub mod etag;
/// What the Dapr sidecar asks and delivers.
pub mod ingress;
/// The internal listener: liveness, readiness, metrics.
pub mod internal;
/// Errors as `application/problem+json`.
pub mod problem;
/// Reads query strings.
pub mod query;
/// What surrounds every request: ids, trace, log line, metrics, headers.
pub mod request;
/// Bodies that nobody has read to their end.
mod unread;

pub use body::Body;
pub use checks::Checks;
pub use problem::Problem;
pub use query::Query;
pub use request::RequestContext;
