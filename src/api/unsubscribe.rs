//! Turning mail off by the link of a mail, without a session.
//!
//! Mail programs that know the header `List-Unsubscribe-Post` (RFC 8058) press the page's button themselves.

use actix_web::{HttpResponse, get, post, web};
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::Api;
use super::link_page::{Page, not_ours};
use crate::http::{Problem, Query};
use crate::store::notifications;

const ASK: Page = Page {
    title: "No more e-mail?",
    text: "Alerts will not be sent to you by e-mail any more. You find them in the application.",
    button: Some("Send me no more e-mail"),
};

const DONE: Page = Page {
    title: "No more e-mail",
    text: "Alerts will not be sent to you by e-mail any more. What you want to be told of by e-mail, you choose in the \
           application.",
    button: None,
};

/// Whose mail.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LinkQuery {
    /// As it stands in the link of a mail.
    #[serde(default)]
    #[param(
        required = true,
        pattern = "^[A-Za-z0-9_-]{64}$",
        example = "AZIAAAAAcACAAAAAAAAAClDYWOCYXsx_YEGKrwzFq1h_QsJXCohAlanozKzQ9lRc"
    )]
    token: String,
}

fn whose(api: &Api, query: &LinkQuery) -> Result<Uuid, Problem> {
    api.links.whose(&query.token).ok_or_else(not_ours)
}

/// What the link of a mail does: a page with a button. Looking at it changes nothing.
#[utoipa::path(
    tag = "me",
    operation_id = "show_unsubscribe",
    params(LinkQuery),
    security(()),
    responses((status = 200, description = "A page that asks", body = String, content_type = "text/html; charset=utf-8"))
)]
#[get("/v1/unsubscribe")]
pub(super) async fn ask(
    api: web::Data<Api>,
    query: Query<LinkQuery>,
) -> Result<HttpResponse, Problem> {
    whose(&api, &query.0)?;
    Ok(ASK.answer())
}

/// Turn all e-mail off for whom the mail was, with one click (RFC 8058). The body says nothing and is not read.
#[utoipa::path(
    tag = "me",
    operation_id = "unsubscribe",
    params(LinkQuery),
    security(()),
    responses((status = 200, description = "No more e-mail is sent", body = String, content_type = "text/html; charset=utf-8"))
)]
#[post("/v1/unsubscribe")]
pub(super) async fn confirm(
    api: web::Data<Api>,
    query: Query<LinkQuery>,
) -> Result<HttpResponse, Problem> {
    let (user_id, now) = (whose(&api, &query.0)?, api.clock.now());
    // Who has left gets none either.
    let is_there = api
        .store
        .write(move |tx| async move { notifications::unsubscribe(&tx, user_id, now).await })
        .await?;
    if is_there {
        tracing::info!(%user_id, "unsubscribed");
    }
    Ok(DONE.answer())
}
