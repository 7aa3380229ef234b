//! The OpenAPI 3.1 document, made of the routes; its page; and what is answered where there is
//! nothing.

/// What follows from the conventions for every operation.
mod conventions;

use std::sync::LazyLock;

use actix_web::dev::ResourceDef;
use actix_web::http::header::ContentType;
use actix_web::web::Bytes;
use actix_web::{App, HttpRequest, HttpResponse};
use utoipa::openapi::path::{HttpMethod, Operation, PathItem};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{OpenApi, OpenApiBuilder};
use utoipa::{Modify, OpenApi as _};
use utoipa_actix_web::AppExt;

use super::documented_routes;
use crate::http::Problem;
use crate::http::problem::ProblemBody;

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Wealth Companion",
        description = "Keeps wallets, bookings and budgets, and tells at once when a budget is about to break. \
            Amounts are decimal strings; errors are `application/problem+json` (RFC 9457); every \
            POST that creates takes an `Idempotency-Key`; changes take `If-Match`; lists are paged by cursor."
    ),
    servers((url = "/", description = "The server that gave this document")),
    tags(
        (name = "session", description = "Register, sign in, keep the session going, sign out."),
        (name = "me", description = "The user who is signed in: currency, time zone, name; and what they are told of."),
        (name = "tokens", description = "Personal access tokens for scripts, with scopes and an expiry. The secret is shown once."),
        (name = "wallets", description = "Where the money is. A wallet has one currency for good."),
        (name = "categories", description = "What money was earned by or spent on. A usual set exists from registration on."),
        (name = "transactions", description = "Bookings: income and expenses, each on a day and in a wallet."),
        (name = "recurring", description = "Bookings that come again: each day is booked once, when it begins in your time zone."),
        (name = "budgets", description = "Limits on spending, where they stand, and at which percentages to be told."),
        (name = "goals", description = "What you save for: by contributions, or by the balance of a wallet."),
        (name = "rules", description = "What gives bookings their category, payee and tags: new ones, and by a run those from before."),
        (name = "insights", description = "What was found in your books, with the figures that it rests on."),
        (name = "rates", description = "What a currency is worth in another on a day: reference rates of the European Central Bank, and your own."),
        (name = "alerts", description = "What is worth knowing at once: as a list, and live as server-sent events."),
        (name = "dashboard", description = "A month at a glance.")
    ),
    components(schemas(ProblemBody)),
    security(("bearer" = [])),
    modifiers(&Bearer)
)]
struct Document;

/// What the document calls personal access tokens.
const PERSONAL_TOKEN: &str = "personal_token";

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut OpenApi) {
        let components = document.components.get_or_insert_default();
        let bearer = Http::builder()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .build();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
        let personal = Http::builder()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("wct_…")
            .description(Some(
                "A personal access token, made at `/v1/tokens`. What an operation names is the scope that it takes: \
                 `read`, `write` (which may read as well) or `ai`. Where it is not named, no such token is good.",
            ))
            .build();
        components.add_security_scheme(PERSONAL_TOKEN, SecurityScheme::Http(personal));
    }
}

/// The document of every route.
#[must_use]
pub fn document() -> OpenApi {
    let builder: OpenApiBuilder = Document::openapi().into();
    let app = App::new()
        .into_utoipa_app()
        .openapi(builder.build())
        .configure(documented_routes);
    let (_, mut document) = app.split_for_parts();
    let versioned = conventions::versioned(&document);
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            conventions::complete(path, &method, operation, &versioned);
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

/// What the server keeps of the document: made when it is first asked for, and small.
struct Kept {
    json: Bytes,
    /// Each path with its methods, to tell 405 from 404.
    paths: Vec<(ResourceDef, String)>,
}

static KEPT: LazyLock<Kept> = LazyLock::new(|| {
    let mut document = document();
    let paths = document.paths.paths.iter_mut().map(|(path, item)| {
        let methods: Vec<&str> = operations(item)
            .iter()
            .map(|(method, _)| name_of(method))
            .collect();
        (ResourceDef::new(path.as_str()), methods.join(", "))
    });
    Kept {
        paths: paths.collect(),
        json: serde_json::to_vec(&document).unwrap_or_default().into(),
    }
});

/// `GET /openapi.json`.
pub async fn show() -> HttpResponse {
    HttpResponse::Ok()
        .content_type(ContentType::json())
        .body(KEPT.json.clone())
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
pub async fn nothing_here(request: HttpRequest) -> Result<HttpResponse, Problem> {
    let allow = KEPT
        .paths
        .iter()
        .find(|(path, _)| path.is_match(request.path()));
    Err(match allow {
        Some((_, methods)) => Problem::method_not_allowed(methods),
        None => Problem::not_found("there is nothing at this path: see /docs"),
    })
}
