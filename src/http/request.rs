//! What surrounds every request: its id and trace, a time limit, one log line, metrics, headers.

use std::time::Instant;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::StatusCode;
use actix_web::http::header::{
    CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::middleware::Next;
use actix_web::{Error, FromRequest, HttpMessage, HttpRequest, HttpResponse, ResponseError, web};
use std::future::{Ready, ready};
use tracing::Instrument;
use tracing::field::Empty;
use uuid::Uuid;

use super::Problem;
use crate::clock::{Clock, Ids};
use crate::config::Http;
use crate::events::Cause;
use crate::telemetry::metrics::names;
use crate::telemetry::spans::{self, Done, SpanKind};
use crate::telemetry::trace::{TRACEPARENT, TraceContext};

/// The header of the request's id, in and out.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Characters of a client's request id at the most.
const REQUEST_ID_CHARS_MAX: usize = 128;

/// The request's id and trace.
#[derive(Debug, Clone)]
pub struct RequestContext {
    /// The client's `X-Request-Id`, or one that was made.
    pub request_id: String,
    /// The id under which the request's events say that they belong together.
    pub correlation_id: Uuid,
    /// The span of this request.
    pub trace: TraceContext,
    /// The client's span, when it has told of one.
    pub client_span: Option<[u8; 8]>,
}

impl RequestContext {
    fn of(headers: &HeaderMap, clock: &Clock, ids: &Ids) -> Self {
        let given = headers
            .get(X_REQUEST_ID)
            .and_then(|value| value.to_str().ok())
            .filter(|id| is_request_id(id));
        let correlation_id = given
            .and_then(|id| Uuid::try_parse(id).ok())
            .unwrap_or_else(|| ids.v7(clock.now()));
        let request_id = given.map_or_else(|| correlation_id.to_string(), ToOwned::to_owned);
        let client = headers
            .get(TRACEPARENT)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| TraceContext::parse(value.trim()));
        let span_id = ids.span_id();
        let trace = client.map_or_else(
            || {
                let trace_id = ids.trace_id();
                TraceContext {
                    trace_id,
                    span_id,
                    sampled: spans::is_sampled(trace_id),
                }
            },
            |parent| parent.child(span_id),
        );
        Self {
            request_id,
            correlation_id,
            trace,
            client_span: client.map(|parent| parent.span_id),
        }
    }

    /// What the events of this request carry as their cause.
    #[must_use]
    pub fn cause(&self) -> Cause {
        Cause {
            correlation_id: self.correlation_id,
            causation_id: None,
            begun_at: None,
            trace: self.trace,
        }
    }
}

/// The log lines of the request that is being worked on tell from now on whose it is.
pub fn log_user(user_id: Uuid) {
    tracing::Span::current().record("user_id", tracing::field::display(user_id));
}

fn is_request_id(id: &str) -> bool {
    (1..=REQUEST_ID_CHARS_MAX).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
}

impl FromRequest for RequestContext {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(
            request
                .extensions()
                .get::<Self>()
                .cloned()
                .ok_or_else(|| Problem::defect("the request has no context")),
        )
    }
}

/// Middleware around every request of the public listener.
///
/// # Errors
/// A request that ran out of time: the error carries the whole answer.
pub async fn surround<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let begun = Instant::now();
    let clock = request.app_data::<web::Data<Clock>>();
    let ids = request.app_data::<web::Data<Ids>>();
    let http = request.app_data::<web::Data<Http>>();
    let (Some(clock), Some(ids), Some(http)) = (clock, ids, http) else {
        return Err(Problem::defect("the server lacks a part").into());
    };
    let context = RequestContext::of(request.headers(), clock, ids);
    request.extensions_mut().insert(context.clone());
    let limit = http.request_timeout;
    let method = method_label(request.method().as_str());
    let span = tracing::info_span!(
        "request",
        request_id = context.request_id,
        trace_id = context.trace.trace_id_hex(),
        correlation_id = %context.correlation_id,
        user_id = Empty,
    );
    let work = spans::within(context.trace, next.call(request).instrument(span.clone()));
    let answered = tokio::time::timeout(limit, work).await;
    let failed = match answered {
        Ok(Ok(answered)) => {
            let (request, response) = answered.into_parts();
            let extra = request.extensions().get::<AnswerHeaders>().cloned();
            let route = request
                .match_pattern()
                .unwrap_or_else(|| UNMATCHED.to_owned());
            let line = Line {
                method,
                route,
                begun,
            };
            let _span = span.entered();
            let response = finish(response.map_into_boxed_body(), &context, extra, &line);
            return Ok(ServiceResponse::new(request, response));
        }
        Ok(Err(error)) => error.error_response(),
        Err(_) => Problem::out_of_time().error_response(),
    };
    // The framework has taken the request: what is left is to answer as an error does.
    let line = Line {
        method,
        route: UNMATCHED.to_owned(),
        begun,
    };
    let _span = span.entered();
    let response = finish(failed, &context, None, &line);
    Err(InternalError::from_response("answered", response).into())
}

/// What every answer gets on its way out: the form of a problem, the headers, the line in the log.
fn finish(
    response: HttpResponse,
    context: &RequestContext,
    extra: Option<AnswerHeaders>,
    line: &Line,
) -> HttpResponse {
    let (response, problem) = readable(response, context);
    let response = with_headers(response, context, extra);
    line.write(context, response.status(), problem.as_ref());
    response
}

/// The route of a request that came to none.
const UNMATCHED: &str = "unmatched";

/// Every error leaves as problem+json, whoever made it.
fn readable(response: HttpResponse, context: &RequestContext) -> (HttpResponse, Option<Problem>) {
    let problem = response.extensions().get::<Problem>().cloned();
    let is_problem = response
        .headers()
        .get(actix_web::http::header::CONTENT_TYPE)
        .is_some_and(|value| value == super::problem::CONTENT_TYPE);
    let problem = match problem {
        None if response.status().as_u16() >= 400 && !is_problem => {
            Some(Problem::of_status(response.status()))
        }
        problem => problem,
    };
    match problem {
        Some(problem) => (problem.answer(&context.request_id), Some(problem)),
        None => (response, None),
    }
}

fn with_headers(
    mut response: HttpResponse,
    context: &RequestContext,
    extra: Option<AnswerHeaders>,
) -> HttpResponse {
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&context.request_id) {
        headers.insert(X_REQUEST_ID, id);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    for (name, value) in extra.unwrap_or_default().0 {
        headers.insert(name, value);
    }
    response
}

/// Headers that something on the way wants on the answer, whatever the answer is.
#[derive(Debug, Default, Clone)]
pub struct AnswerHeaders(pub Vec<(HeaderName, HeaderValue)>);

/// The one line of a request, and its metrics.
struct Line {
    method: &'static str,
    route: String,
    begun: Instant,
}

impl Line {
    fn write(&self, context: &RequestContext, status: StatusCode, problem: Option<&Problem>) {
        let Self {
            method,
            route,
            begun,
        } = self;
        let took = begun.elapsed();
        let status = status.as_u16();
        metrics::counter!(
            names::HTTP_REQUESTS_TOTAL,
            "method" => *method, "route" => route.clone(), "status" => status.to_string()
        )
        .increment(1);
        metrics::histogram!(
            names::HTTP_REQUEST_DURATION_SECONDS,
            "method" => *method, "route" => route.clone()
        )
        .record(took);
        let cause = problem.and_then(Problem::cause);
        self.tell_span(context, status, cause);
        // A number in JSON has 64 bits.
        let duration_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        match cause {
            Some(error) => {
                tracing::error!(method, route, status, duration_us, error, "request");
            }
            None => tracing::info!(method, route, status, duration_us, "request"),
        }
    }

    /// By OpenTelemetry's conventions for HTTP servers: what the client did wrong is no failure of ours.
    fn tell_span(&self, context: &RequestContext, status: u16, cause: Option<&str>) {
        if !spans::is_told(context.trace, self.begun, status >= 500) {
            return;
        }
        let name = format!("{} {}", self.method, self.route);
        let mut done = Done::new(SpanKind::Server, name, context.trace, self.begun)
            .with("http.request.method", self.method)
            .with("http.route", self.route.clone())
            .with("http.response.status_code", i64::from(status))
            .with("wealth.request_id", context.request_id.clone());
        if let Some(client) = context.client_span {
            done = done.after(client);
        }
        if status >= 500 {
            done = done
                .with("error.type", status.to_string())
                .failed(cause.unwrap_or_default().to_owned());
        }
        done.tell();
    }
}

/// Clients may send any word as a method; a label takes only those of HTTP.
fn method_label(method: &str) -> &'static str {
    const METHODS: [&str; 7] = ["GET", "POST", "PATCH", "DELETE", "PUT", "HEAD", "OPTIONS"];
    METHODS
        .into_iter()
        .find(|known| *known == method)
        .unwrap_or("other")
}
