//! Errors as RFC 9457 `application/problem+json`. The one place where the store's errors turn into
//! HTTP.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::scope::Scope;
use crate::store::{Conflict, StoreError};

/// The media type of problems.
pub const CONTENT_TYPE: &str = "application/problem+json";

/// Seconds after which a client should come again when the database was busy.
const BUSY_RETRY_SECS: u64 = 1;

/// A problem as it is decided; [`ProblemBody`] is what the client gets of it.
#[derive(Debug, Clone)]
pub struct Problem(Box<Parts>);

#[derive(Debug, Clone)]
struct Parts {
    status: StatusCode,
    slug: &'static str,
    title: &'static str,
    detail: String,
    errors: Vec<FieldError>,
    headers: Vec<(HeaderName, HeaderValue)>,
    cause: Option<String>,
}

/// What is wrong with one field of the input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// JSON Pointer (RFC 6901) into the body; for a query field its name after a `?`.
    #[schema(example = "/amount")]
    pub pointer: String,
    /// What is wrong, and what would be right.
    #[schema(example = "an amount must be more than zero")]
    pub detail: String,
}

/// A problem (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
pub struct ProblemBody {
    /// Names the kind of problem; it never changes.
    #[serde(rename = "type")]
    #[schema(example = "urn:wealth-companion:problem:validation")]
    problem_type: String,
    /// The kind of problem in words.
    title: String,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What happened, and what to do about it.
    detail: String,
    /// The request's id, also in `X-Request-Id` and in the logs.
    instance: String,
    /// What is wrong with the fields of the input.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<FieldError>,
}

impl Problem {
    fn new(
        status: StatusCode,
        slug: &'static str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        Self(Box::new(Parts {
            status,
            slug,
            title,
            detail: detail.into(),
            errors: Vec::new(),
            headers: Vec::new(),
            cause: None,
        }))
    }

    fn with(mut self, name: HeaderName, value: impl Into<HeaderValue>) -> Self {
        self.0.headers.push((name, value.into()));
        self
    }

    /// 400: what was sent cannot be read.
    pub fn unreadable(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "unreadable",
            "The request cannot be read",
            detail,
        )
    }

    /// 401: nobody, or nobody any more.
    pub fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "Sign in first",
            detail,
        )
        .with(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    /// 403: the personal access token lacks a scope.
    pub fn scope_missing(scope: Scope) -> Self {
        let detail = format!(
            "this takes a personal access token of the scope `{scope}`, or somebody who has signed in"
        );
        Self::forbidden(
            detail,
            &format!("Bearer error=\"insufficient_scope\", scope=\"{scope}\""),
        )
    }

    /// 403: no personal access token is good for this.
    pub fn session_needed() -> Self {
        let detail = "no personal access token is good for this, of whatever scope: sign in";
        Self::forbidden(detail, "Bearer error=\"insufficient_scope\"")
    }

    /// As RFC 6750, section 3.1, has it.
    fn forbidden(detail: impl Into<String>, challenge: &str) -> Self {
        let problem = Self::new(
            StatusCode::FORBIDDEN,
            "forbidden",
            "The token is not good for this",
            detail,
        );
        match HeaderValue::from_str(challenge) {
            Ok(challenge) => problem.with(WWW_AUTHENTICATE, challenge),
            Err(_) => problem,
        }
    }

    /// 404: no such thing, or somebody else's.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not-found",
            "There is no such thing",
            detail,
        )
    }

    /// 405: the path exists, but not with this method.
    pub fn method_not_allowed(allow: &str) -> Self {
        let problem = Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method-not-allowed",
            "The path has no such method",
            format!("use one of: {allow}"),
        );
        match HeaderValue::from_str(allow) {
            Ok(allow) => problem.with(actix_web::http::header::ALLOW, allow),
            Err(_) => problem,
        }
    }

    /// 408: the client was too slow.
    pub fn too_slow() -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "too-slow",
            "The request took too long to arrive",
            "send the whole body at once",
        )
    }

    /// 409: it contradicts what is there.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "conflict",
            "It contradicts what is there",
            detail,
        )
    }

    /// 412: somebody else has changed it.
    pub fn stale(current: i64) -> Self {
        Self::new(
            StatusCode::PRECONDITION_FAILED,
            "stale",
            "It has been changed since",
            format!("the version is {current} by now: read it again, then change it"),
        )
        .with(actix_web::http::header::ETAG, super::etag::value(current))
    }

    /// 413: the body is too large.
    pub fn too_large(bytes_max: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-large",
            "The body is too large",
            format!("send at most {bytes_max} bytes"),
        )
    }

    /// 415: not JSON.
    pub fn not_json() -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "media-type",
            "The body must be JSON",
            "send the header Content-Type: application/json",
        )
    }

    /// 422: fields that cannot be taken as they are.
    pub fn fields(errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [one] => format!("{}: {}", one.pointer, one.detail),
            many => format!("{} fields are wrong", many.len()),
        };
        let mut problem = Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "validation",
            "Fields are wrong",
            detail,
        );
        problem.0.errors = errors;
        problem
    }

    /// 422: one field that cannot be taken as it is.
    pub fn field(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::fields(vec![FieldError {
            pointer: pointer.into(),
            detail: detail.into(),
        }])
    }

    /// 422: a header that cannot be taken as it is.
    pub fn header(name: &str, detail: impl fmt::Display) -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "header",
            "A header is wrong",
            format!("{name}: {detail}"),
        )
    }

    /// 428: a change must say which version it is for.
    pub fn if_match_required() -> Self {
        Self::new(
            StatusCode::PRECONDITION_REQUIRED,
            "if-match-required",
            "Say which version you change",
            "send the ETag that you read in the header If-Match, or If-Match: * to change any version",
        )
    }

    /// 429: come again in so many seconds.
    pub fn too_many(detail: impl Into<String>, retry_secs: u64) -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too-many",
            "Too much at once",
            detail,
        )
        .with(RETRY_AFTER, retry_secs.max(1))
    }

    /// 503: a fault that passes.
    pub fn unavailable(cause: impl Into<String>) -> Self {
        let mut problem = Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            "It cannot be done now",
            "try again in a moment; what is sent with the same Idempotency-Key is written once",
        )
        .with(RETRY_AFTER, BUSY_RETRY_SECS);
        problem.0.cause = Some(cause.into());
        problem
    }

    /// 503: the server took too long, and may have done it all the same.
    pub fn out_of_time() -> Self {
        let mut problem = Self::unavailable("the request ran out of time");
        problem.0.detail =
            "it took too long, and may have been done: look, or try again with the same Idempotency-Key"
                .to_owned();
        problem
    }

    /// 500: our fault. The cause goes to the log alone.
    pub fn defect(cause: impl Into<String>) -> Self {
        let mut problem = Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "It is our fault",
            "something went wrong here; tell us the request's id",
        );
        problem.0.cause = Some(cause.into());
        problem
    }

    /// An error that the framework answers with this status.
    pub fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::not_found("there is nothing at this path"),
            StatusCode::REQUEST_TIMEOUT => Self::too_slow(),
            status if status.is_server_error() => Self::defect(status.to_string()),
            status => {
                let mut problem = Self::unreadable("the request is malformed");
                problem.0.status = status;
                problem
            }
        }
    }

    /// What is written to the log, and told to nobody.
    #[must_use]
    pub fn cause(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }

    /// The answer to a request of this id.
    #[must_use]
    pub fn answer(&self, request_id: &str) -> HttpResponse {
        let mut answer = HttpResponse::build(self.0.status);
        for (name, value) in &self.0.headers {
            answer.insert_header((name.clone(), value.clone()));
        }
        let body = ProblemBody {
            problem_type: format!("urn:wealth-companion:problem:{}", self.0.slug),
            title: self.0.title.to_owned(),
            status: self.0.status.as_u16(),
            detail: self.0.detail.clone(),
            instance: request_id.to_owned(),
            errors: self.0.errors.clone(),
        };
        answer.json(body).map_into_problem()
    }
}

trait IntoProblem {
    fn map_into_problem(self) -> Self;
}

impl IntoProblem for HttpResponse {
    fn map_into_problem(mut self) -> Self {
        self.headers_mut().insert(
            actix_web::http::header::CONTENT_TYPE,
            HeaderValue::from_static(CONTENT_TYPE),
        );
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.title, self.0.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.0.status
    }

    /// Leaves the problem with the answer: [`super::request`] knows the request's id and writes it.
    fn error_response(&self) -> HttpResponse {
        let mut answer = HttpResponse::new(self.0.status);
        answer.extensions_mut().insert(self.clone());
        answer
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound(what) => Self::not_found(format!("there is no such {what}")),
            StoreError::Stale { current } => Self::stale(current),
            // One of the query is named by its question mark.
            StoreError::Invalid { field, detail } if field.starts_with('?') => {
                Self::field(field.into_owned(), detail)
            }
            StoreError::Invalid { field, detail } => Self::field(format!("/{field}"), detail),
            StoreError::Busy(cause) => Self::unavailable(cause),
            StoreError::Absent(_) => Self::unavailable(error.to_string()),
            StoreError::Defect(cause) => Self::defect(cause),
            StoreError::Conflict(Conflict::KeyReused) => Self::header(
                "Idempotency-Key",
                "the key was used for another request; take a new key for a new request",
            ),
            StoreError::Conflict(Conflict::Email) => {
                Self::conflict("somebody is registered with this e-mail address: sign in instead")
            }
            StoreError::Conflict(Conflict::WalletName) => {
                Self::conflict("you have a wallet of this name")
            }
            StoreError::Conflict(Conflict::CategoryName) => {
                Self::conflict("you have a category of this kind and name")
            }
            StoreError::Conflict(Conflict::Rate) => {
                Self::conflict("you have a rate of these currencies and this day: change that one")
            }
            StoreError::Conflict(Conflict::InUse) => {
                Self::conflict("it is in use: change or delete what refers to it first")
            }
            StoreError::Conflict(Conflict::Other | Conflict::KeyTaken) => {
                Self::defect("a key that we made is not unique")
            }
        }
    }
}
