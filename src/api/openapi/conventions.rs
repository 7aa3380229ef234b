//! What follows from the conventions for every operation, so that no route has to say it: the
//! headers that it takes and gives, the errors that it may answer.

use std::collections::BTreeSet;

use serde_json::json;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::path::{HttpMethod, Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::ObjectBuilder;
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{
    ContentBuilder, Object, OpenApi, Ref, RefOr, Required, Response, Schema, schema,
};

use crate::api::access::{self, Access};
use crate::http::problem;

/// An id as it may look.
const EXAMPLE_ID: &str = "01920000-0000-7000-8000-00000000000a";

/// The schemas, by reference, of resources that have a version: their answers carry it as `ETag`.
pub(super) fn versioned(document: &OpenApi) -> BTreeSet<String> {
    let schemas = document
        .components
        .iter()
        .flat_map(|components| &components.schemas);
    schemas
        .filter(|(_, schema)| {
            matches!(schema, RefOr::T(Schema::Object(object)) if object.properties.contains_key("version"))
        })
        .map(|(name, _)| Ref::from_schema_name(name).ref_location)
        .collect()
}

/// What an operation is, as far as the conventions go.
struct Traits {
    /// It needs no session.
    is_open: bool,
    has_body: bool,
    /// It makes something, once for each `Idempotency-Key`.
    creates: bool,
    /// It changes what others may change too.
    changes: bool,
    /// It answers with a place in the log.
    shows_position: bool,
}

impl Traits {
    fn of(path: &str, method: &HttpMethod, operation: &Operation) -> Self {
        let is_open = operation.security.as_ref().is_some_and(|needs| {
            needs
                .iter()
                .all(|need| *need == SecurityRequirement::default())
        });
        let deletes_all = *method == HttpMethod::Delete && path == "/v1/me";
        let changes_books = !deletes_all && !is_open && !path.starts_with("/v1/auth/");
        let writes = *method != HttpMethod::Get && changes_books;
        let waits = parameters(operation).any(|parameter| parameter.name == "wait_for");
        Self {
            is_open,
            has_body: operation.request_body.is_some(),
            creates: operation.responses.responses.contains_key("201"),
            changes: writes && *method != HttpMethod::Post,
            shows_position: writes || waits,
        }
    }
}

fn parameters(operation: &Operation) -> impl Iterator<Item = &Parameter> {
    let parameters = operation.parameters.iter().flatten();
    parameters.filter_map(|parameter| match parameter {
        RefOr::T(parameter) => Some(parameter),
        RefOr::Ref(_) => None,
    })
}

/// Completes an operation.
pub(super) fn complete(
    path: &str,
    method: &HttpMethod,
    operation: &mut Operation,
    versioned: &BTreeSet<String>,
) {
    let traits = Traits::of(path, method, operation);
    if !traits.is_open {
        name_scope(path, method, operation);
    }
    give_examples(operation);
    if traits.changes {
        let about = "The ETag that you read, or `*` to change any version";
        let schema = text().pattern(Some(r#"^(\*|".*")$"#));
        add_header_parameter(
            operation,
            "If-Match",
            Required::True,
            about,
            "\"1\"",
            schema,
        );
    }
    if traits.creates {
        let about = "Makes a retry safe: the first answer comes again for 24 hours";
        let schema = text().pattern(Some("^[!-~]([ -~]*[!-~])?$"));
        let key = "7d0f2b64-5a0e-4b52-9a3c-0d1f1c1c7a11";
        add_header_parameter(
            operation,
            "Idempotency-Key",
            Required::False,
            about,
            key,
            schema,
        );
    }
    for response in operation.responses.responses.values_mut() {
        if let RefOr::T(response) = response {
            add_answer_headers(response, &traits, versioned);
        }
    }
    if let Some(RefOr::T(response)) = operation.responses.responses.get_mut("201") {
        add_header(response, "Location", "Where it is");
    }
    for status in problems(path, &traits, operation) {
        operation
            .responses
            .responses
            .entry(status.to_string())
            .or_insert_with(|| problem_response(status));
    }
}

/// A session, or a personal access token of this scope.
fn name_scope(path: &str, method: &HttpMethod, operation: &mut Operation) {
    let needed = access::needed(*method == HttpMethod::Get, path);
    if let Some(Access::Scope(scope)) = needed {
        let session = SecurityRequirement::new::<_, [&str; 0], &str>("bearer", []);
        let token = SecurityRequirement::new(super::PERSONAL_TOKEN, [scope.as_str()]);
        operation.security = Some(vec![session, token]);
    }
}

fn give_examples(operation: &mut Operation) {
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(parameter) = parameter
            && matches!(parameter.parameter_in, ParameterIn::Path)
        {
            *parameter = ParameterBuilder::from(parameter.clone())
                .example(Some(json!(EXAMPLE_ID)))
                .build();
        }
    }
}

/// The statuses of the problems that it may answer.
fn problems(path: &str, traits: &Traits, operation: &Operation) -> Vec<u16> {
    let mut statuses = vec![400, 429, 500, 503];
    if !traits.is_open || path.ends_with("/login") || path.ends_with("/refresh") {
        statuses.push(401);
    }
    if !traits.is_open {
        statuses.push(403);
    }
    // Amounts are read in the currency of the wallet that is asked for.
    let by_amount = parameters(operation).any(|parameter| parameter.name == "min_amount");
    // A rate that is not known is not there.
    if path.contains('{') || by_amount || path == "/v1/exchange-rate" {
        statuses.push(404);
    }
    if traits.has_body {
        statuses.extend([408, 413, 415]);
    }
    if traits.creates || traits.changes || path.ends_with("/confirmation") {
        statuses.push(409);
    }
    if traits.changes {
        statuses.extend([412, 428]);
    }
    let takes_input = |parameter: &Parameter| !matches!(parameter.parameter_in, ParameterIn::Path);
    if traits.has_body || parameters(operation).any(takes_input) {
        statuses.push(422);
    }
    statuses
}

fn text() -> ObjectBuilder {
    Object::builder()
        .schema_type(schema::Type::String)
        .min_length(Some(1))
        .max_length(Some(255))
}

fn add_header_parameter(
    operation: &mut Operation,
    name: &str,
    required: Required,
    description: &str,
    example: &str,
    schema: ObjectBuilder,
) {
    let parameter = ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .required(required)
        .description(Some(description))
        .example(Some(json!(example)))
        .schema(Some(schema))
        .build();
    operation
        .parameters
        .get_or_insert_default()
        .push(RefOr::T(parameter));
}

fn add_answer_headers(response: &mut Response, traits: &Traits, versioned: &BTreeSet<String>) {
    add_header(response, "X-Request-Id", "The request's id");
    if shows_version(response, versioned) {
        let about = "The version, for `If-Match`";
        add_header(response, "ETag", about);
    }
    if traits.shows_position {
        let about = "The place in the log that the answer shows, for `wait_for`";
        add_header(response, "X-Log-Position", about);
    }
    if traits.creates {
        let about = "`true` on an answer that was given before";
        add_header(response, "Idempotent-Replayed", about);
    }
    if !traits.is_open {
        let about =
            "Requests that are left, and the seconds until there are more, where there is a limit";
        add_header(response, "RateLimit", about);
        add_header(
            response,
            "RateLimit-Policy",
            "The limit, where there is one",
        );
    }
}

fn shows_version(response: &Response, versioned: &BTreeSet<String>) -> bool {
    response.content.values().any(|content| {
        let RefOr::T(content) = content else {
            return false;
        };
        matches!(&content.schema, Some(RefOr::Ref(of)) if versioned.contains(&of.ref_location))
    })
}

fn add_header(response: &mut Response, name: &str, description: &str) {
    response
        .headers
        .insert(name.to_owned(), RefOr::T(header(description)));
}

fn header(description: &str) -> Header {
    HeaderBuilder::new()
        .schema(Some(Object::with_type(schema::Type::String)))
        .description(Some(description))
        .build()
}

fn problem_response(status: u16) -> RefOr<Response> {
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("ProblemBody")))
        .build();
    let mut response = ResponseBuilder::new()
        .description(meaning(status))
        .content(problem::CONTENT_TYPE, content)
        .build();
    let about = "The request's id, also `instance` of the problem";
    add_header(&mut response, "X-Request-Id", about);
    match status {
        401 => add_header(&mut response, "WWW-Authenticate", "`Bearer`"),
        403 => {
            let about = "`Bearer` with the scope that is missing (RFC 6750)";
            add_header(&mut response, "WWW-Authenticate", about);
        }
        412 => add_header(&mut response, "ETag", "The version by now"),
        429 | 503 => {
            let about = "Seconds to wait before trying again";
            add_header(&mut response, "Retry-After", about);
        }
        _ => {}
    }
    RefOr::T(response)
}

const fn meaning(status: u16) -> &'static str {
    match status {
        400 => "The request cannot be read",
        401 => "Nobody is signed in, or nobody any more",
        403 => "The personal access token lacks the scope, or no such token is good for this",
        404 => "There is no such thing, or it is somebody else's",
        408 => "The body took too long to arrive",
        409 => "It contradicts what is there",
        412 => "It has been changed since",
        413 => "The body is too large",
        415 => "The body must be JSON",
        422 => "Fields or headers are wrong: `errors` says which",
        428 => "`If-Match` is missing",
        429 => "Too much at once",
        503 => "It cannot be done now: try again, a write with the same `Idempotency-Key`",
        _ => "It is our fault",
    }
}
