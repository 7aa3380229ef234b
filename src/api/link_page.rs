//! The pages that links of mails open, without a session.
//!
//! Programs look at links before people do, so that looking changes nothing: the page has a button.

use actix_web::HttpResponse;
use actix_web::http::header::CONTENT_SECURITY_POLICY;

use crate::http::Problem;

/// As `text/html` with its encoding.
const HTML: &str = "text/html; charset=utf-8";

/// The page may do nothing but send its button's form to where it is from.
const POLICY: &str =
    "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

/// A page of what is said here and nothing else, so that there is nothing to be escaped.
pub(super) struct Page {
    pub(super) title: &'static str,
    pub(super) text: &'static str,
    /// What its button says, if it asks.
    pub(super) button: Option<&'static str>,
}

impl Page {
    pub(super) fn answer(&self) -> HttpResponse {
        let Self { title, text, .. } = self;
        let form = self
            .button
            .map(|says| format!("<form method=\"post\"><button>{says}</button></form>"));
        let form = form.unwrap_or_default();
        HttpResponse::Ok()
            .content_type(HTML)
            .insert_header((CONTENT_SECURITY_POLICY, POLICY))
            .body(format!(
                "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
                 <meta name=\"viewport\" content=\"width=device-width\"><meta name=\"robots\" content=\"noindex\">\
                 <title>{title}</title></head><body><h1>{title}</h1><p>{text}</p>{form}</body></html>"
            ))
    }
}

/// 422: nobody here has made this link.
pub(super) fn not_ours() -> Problem {
    Problem::field("?token", "this is no link of a mail from here")
}
