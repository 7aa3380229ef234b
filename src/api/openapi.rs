//! The OpenAPI 3.1 document, made of the routes; its page; and what is answered where there is
//! nothing.

use actix_web::dev::ResourceDef;
use actix_web::{App, HttpRequest, HttpResponse, web};
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{HttpMethod, Operation, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{
    ContentBuilder, Object, OpenApi, OpenApiBuilder, Ref, RefOr, Required, schema, security,
};
use utoipa::{Modify, OpenApi as _};
use utoipa_actix_web::AppExt;

use super::routes;
use crate::http::Problem;
use crate::http::problem::{self, ProblemBody};

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Wealth Companion",
        description = "Keeps wallets, bookings and budgets, and tells at once when a budget is about to break. \
            Amounts are decimal strings; errors are `application/problem+json` (RFC 9457); every \
            POST that creates takes an `Idempotency-Key`; changes take `If-Match`; lists are paged by cursor."
    ),
    components(schemas(ProblemBody)),
    security(("bearer" = [])),
    modifiers(&Bearer)
)]
struct Document;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut OpenApi) {
        let components = document.components.get_or_insert_default();
        let bearer = Http::builder()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .build();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    }
}

/// The document of every route.
#[must_use]
pub fn document() -> OpenApi {
    let builder: OpenApiBuilder = Document::openapi().into();
    let app = App::new()
        .into_utoipa_app()
        .openapi(builder.build())
        .configure(routes);
    let (_, mut document) = app.split_for_parts();
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            complete(path, &method, operation);
        }
    }
    document
}

fn operations(item: &mut PathItem) -> Vec<(HttpMethod, &mut Operation)> {
    [
        (HttpMethod::Get, &mut item.get),
        (HttpMethod::Post, &mut item.post),
        (HttpMethod::Patch, &mut item.patch),
        (HttpMethod::Delete, &mut item.delete),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
    .collect()
}

/// Adds what follows from the conventions: the headers that a route takes, the errors it may answer.
fn complete(path: &str, method: &HttpMethod, operation: &mut Operation) {
    let is_open = operation.security.as_ref().is_some_and(|needs| {
        needs
            .iter()
            .all(|need| *need == security::SecurityRequirement::default())
    });
    let has_body = operation.request_body.is_some();
    let creates = operation.responses.responses.contains_key("201");
    let changes =
        *method == HttpMethod::Patch || (*method == HttpMethod::Delete && path != "/v1/me");
    let mut statuses = vec![400, 422, 429, 500, 503];
    if !is_open || path.ends_with("/login") || path.ends_with("/refresh") {
        statuses.push(401);
    }
    if path.contains('{') {
        statuses.push(404);
    }
    if has_body {
        statuses.extend([408, 413, 415]);
    }
    if creates || changes {
        statuses.push(409);
    }
    if changes {
        statuses.extend([412, 428]);
        add_header_parameter(
            operation,
            "If-Match",
            Required::True,
            "The ETag that you read, or `*`",
        );
    }
    if creates {
        let about = "Makes a retry safe: the first answer comes again for 24 hours";
        add_header_parameter(operation, "Idempotency-Key", Required::False, about);
    }
    for status in statuses {
        operation
            .responses
            .responses
            .entry(status.to_string())
            .or_insert_with(|| problem_response(status));
    }
}

fn add_header_parameter(
    operation: &mut Operation,
    name: &str,
    required: Required,
    description: &str,
) {
    let text = Object::builder()
        .schema_type(schema::Type::String)
        .min_length(Some(1))
        .max_length(Some(255));
    let parameter = ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .required(required)
        .description(Some(description))
        .schema(Some(text))
        .build();
    operation
        .parameters
        .get_or_insert_default()
        .push(RefOr::T(parameter));
}

fn problem_response(status: u16) -> RefOr<utoipa::openapi::Response> {
    let text = |description: &str| {
        HeaderBuilder::new()
            .schema(Some(Object::with_type(schema::Type::String)))
            .description(Some(description))
            .build()
    };
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("ProblemBody")))
        .build();
    let reason = actix_web::http::StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or("Error");
    let mut response = ResponseBuilder::new()
        .description(reason)
        .content(problem::CONTENT_TYPE, content)
        .header(
            "X-Request-Id",
            text("The request's id, also `instance` of the problem"),
        );
    if matches!(status, 429 | 503) {
        response = response.header("Retry-After", text("Seconds to wait before trying again"));
    }
    RefOr::T(response.build())
}

/// The paths that exist, to tell 405 from 404.
#[derive(Debug)]
pub struct KnownPaths(Vec<(ResourceDef, String)>);

impl KnownPaths {
    /// Those of the document.
    #[must_use]
    pub fn of(document: &mut OpenApi) -> Self {
        let known = document.paths.paths.iter_mut().map(|(path, item)| {
            let methods: Vec<&str> = operations(item)
                .iter()
                .map(|(method, _)| name_of(method))
                .collect();
            (ResourceDef::new(path.as_str()), methods.join(", "))
        });
        Self(known.collect())
    }
}

fn name_of(method: &HttpMethod) -> &'static str {
    match method {
        HttpMethod::Post => "POST",
        HttpMethod::Patch => "PATCH",
        HttpMethod::Delete => "DELETE",
        _ => "GET",
    }
}

/// Where there is nothing: 405 with the methods that there are, or 404.
///
/// # Errors
/// Always.
pub async fn nothing_here(
    request: HttpRequest,
    known: web::Data<KnownPaths>,
) -> Result<HttpResponse, Problem> {
    let allow = known
        .0
        .iter()
        .find(|(path, _)| path.is_match(request.path()));
    Err(match allow {
        Some((_, methods)) => Problem::method_not_allowed(methods),
        None => Problem::not_found("there is nothing at this path: see /docs"),
    })
}
