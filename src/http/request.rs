//! What surrounds every request: its id and trace, a time limit, one log line, metrics, headers.

use std::time::Instant;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use actix_web::http::{ConnectionType, Method};
use actix_web::middleware::Next;
use actix_web::{Error, FromRequest, HttpMessage, HttpRequest, HttpResponse, ResponseError, web};
use std::future::{Ready, ready};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use tracing::field::Empty;
use uuid::Uuid;

use super::Problem;
use super::unread::Chunks;
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
        let trace = client.map_or_else(|| spans::begun(ids), |parent| parent.child(ids.span_id()));
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
        Cause::first(self.correlation_id, self.trace)
    }
}

/// The log lines of the request that is being worked on tell from now on whose it is.
pub fn log_user(user_id: Uuid) {
    tracing::Span::current().record("user_id", tracing::field::display(user_id));
}

fn is_request_id(id: &str) -> bool {
    (1..=REQUEST_ID_CHARS_MAX).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Whether the process takes its leave: clients are asked to close the connections that they keep, since the
/// server is about to, and what one sends on a connection just as the other closes it is lost.
#[derive(Debug, Clone)]
pub struct Leaving(pub CancellationToken);

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
    mut request: ServiceRequest,
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
    let leaving = request.app_data::<web::Data<Leaving>>().cloned();
    let chunks = Chunks::of(&mut request);
    let span = tracing::info_span!(
        "request",
        request_id = context.request_id,
        trace_id = context.trace.trace_id_hex(),
        correlation_id = %context.correlation_id,
        user_id = Empty,
    );
    let in_flight = metrics::gauge!(names::HTTP_REQUESTS_IN_FLIGHT);
    in_flight.increment(1.0);
    let line = Line {
        method: method_label(request.method().as_str()),
        route: request
            .match_pattern()
            .unwrap_or_else(|| UNMATCHED.to_owned()),
        begun,
        context,
        span: span.clone(),
        in_flight,
        status: None,
        problem: None,
    };
    let work = spans::within(line.context.trace, next.call(request).instrument(span));
    let failed = match tokio::time::timeout(limit, work).await {
        Ok(Ok(answered)) => {
            let (request, response) = answered.into_parts();
            let extra = request.extensions().get::<AnswerHeaders>().cloned();
            let is_leaving = leaving.is_some_and(|leaving| leaving.0.is_cancelled());
            // The framework limits the time of the first head alone: a stranger gets no second. Who has just signed in
            // is none any more.
            let signs_in = *request.method() == Method::POST && response.status().is_success();
            let is_stranger = extra.is_none() && !signs_in;
            let mut response = finish(response.map_into_boxed_body(), extra, line, chunks);
            if is_leaving || is_stranger {
                close(&mut response);
            }
            return Ok(ServiceResponse::new(request, response));
        }
        Ok(Err(error)) => error.error_response(),
        Err(_) => Problem::out_of_time().error_response(),
    };
    // The framework has taken the request: what is left is to answer as an error does.
    let mut response = finish(failed, None, line, chunks);
    close(&mut response);
    Err(InternalError::from_response("answered", response).into())
}

/// What every answer gets on its way out: the form of a problem, the headers, the line in the log.
fn finish(
    response: HttpResponse,
    extra: Option<AnswerHeaders>,
    mut line: Line,
    chunks: Option<Chunks>,
) -> HttpResponse {
    let (response, problem) = readable(response, &line.context);
    line.status = Some(response.status().as_u16());
    line.problem = problem;
    let response = with_headers(response, &line.context, extra);
    match chunks {
        Some(chunks) => chunks.kept_by(response),
        None => response,
    }
}

fn close(response: &mut HttpResponse) {
    response
        .head_mut()
        .set_connection_type(ConnectionType::Close);
}

/// The route of a request that came to none.
const UNMATCHED: &str = "unmatched";

/// What a browser may do with an answer that it takes for a page: nothing.
const DATA_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";
/// With the page of the documentation: run what this server gives it, and ask this server. Its pictures are within
/// its styles.
const PAGE_POLICY: &str = "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Every error leaves as problem+json, whoever made it.
fn readable(response: HttpResponse, context: &RequestContext) -> (HttpResponse, Option<Problem>) {
    let problem = response.extensions().get::<Problem>().cloned();
    let is_problem = response
        .headers()
        .get(CONTENT_TYPE)
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
    let is_page = headers
        .get(CONTENT_TYPE)
        .is_some_and(|media| media.as_bytes().starts_with(b"text/html"));
    let policy = if is_page { PAGE_POLICY } else { DATA_POLICY };
    if !headers.contains_key(CONTENT_SECURITY_POLICY) {
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    for (name, value) in extra.unwrap_or_default().0 {
        headers.insert(name, value);
    }
    response
}

/// Headers that something on the way wants on the answer, whatever the answer is. Where somebody with a session has
/// asked they are there, and be they none.
#[derive(Debug, Default, Clone)]
pub struct AnswerHeaders(pub Vec<(HeaderName, HeaderValue)>);

/// What is told of a request whose client did not wait for the answer: nginx' word for it.
const CLIENT_WENT_AWAY: u16 = 499;

/// The one line of a request, its metrics and its span. Written when it is dropped, with the answer or
/// without one, as when the client goes away; until then the request is in flight.
struct Line {
    method: &'static str,
    route: String,
    begun: Instant,
    context: RequestContext,
    span: tracing::Span,
    in_flight: metrics::Gauge,
    /// Of the answer, once there is one.
    status: Option<u16>,
    problem: Option<Problem>,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.in_flight.decrement(1.0);
        let gone = if std::thread::panicking() {
            500
        } else {
            CLIENT_WENT_AWAY
        };
        self.write(self.status.unwrap_or(gone));
    }
}

impl Line {
    fn write(&self, status: u16) {
        let Self {
            method,
            route,
            begun,
            ..
        } = self;
        let _span = self.span.enter();
        let took = begun.elapsed();
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
        let cause = self.problem.as_ref().and_then(Problem::cause);
        self.tell_span(status, cause);
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
    fn tell_span(&self, status: u16, cause: Option<&str>) {
        let context = &self.context;
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
