//! Showing by the link of a mail, without a session, that the address which it came to is one's own.

use actix_web::{HttpResponse, get, post, web};
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::Api;
use super::link_page::{Page, not_ours};
use crate::http::{Problem, Query};
use crate::links::Confirmation;
use crate::store::{StoreError, notifications, users};

const ASK: Page = Page {
    title: "Is this your e-mail address?",
    text: "Alerts that you choose in the application are sent to it then.",
    button: Some("Yes, it is mine"),
};

const DONE: Page = Page {
    title: "It is your e-mail address",
    text: "Alerts that you choose in the application are sent to it from now on.",
    button: None,
};

/// Whose address.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ConfirmQuery {
    /// As it stands in the link of a mail.
    #[serde(default)]
    #[param(
        required = true,
        pattern = "^[A-Za-z0-9_-]{75}$",
        example = "AZIAAAAAcACAAAAAAAAACgAAAABpj1DAWDjAxUiexZDYWOCYXsx_YEGKrwzFq1h_QsJXCohAlf8"
    )]
    token: String,
}

/// Whose address it is, and which: that of the account by now, for a link is good for no other.
async fn whose(api: &Api, query: &ConfirmQuery) -> Result<(Uuid, String), Problem> {
    let link = Confirmation::parse(&query.token).ok_or_else(not_ours)?;
    let email = match users::get(api.store.reads(), link.user_id).await {
        Ok(user) => user.email,
        Err(StoreError::NotFound(_)) => return Err(not_ours()),
        Err(error) => return Err(error.into()),
    };
    if !api.links.made(&link, &email) {
        return Err(not_ours());
    }
    if link.ends_at <= api.clock.now() {
        let detail = "this link is over: ask for another mail in the application";
        return Err(Problem::field("?token", detail));
    }
    Ok((link.user_id, email))
}

/// What the link of the e-mail that asks does: a page with a button. Looking at it changes nothing.
#[utoipa::path(
    tag = "me",
    operation_id = "show_confirm_email",
    params(ConfirmQuery),
    security(()),
    responses((status = 200, description = "A page that asks", body = String, content_type = "text/html; charset=utf-8"))
)]
#[get("/v1/confirm-email")]
pub(super) async fn show(
    api: web::Data<Api>,
    query: Query<ConfirmQuery>,
) -> Result<HttpResponse, Problem> {
    whose(&api, &query.0).await?;
    Ok(ASK.answer())
}

/// Confirm the address that the e-mail came to. The body says nothing and is not read.
#[utoipa::path(
    tag = "me",
    operation_id = "confirm_email",
    params(ConfirmQuery),
    security(()),
    responses((status = 200, description = "It is confirmed", body = String, content_type = "text/html; charset=utf-8"))
)]
#[post("/v1/confirm-email")]
pub(super) async fn confirm(
    api: web::Data<Api>,
    query: Query<ConfirmQuery>,
) -> Result<HttpResponse, Problem> {
    let ((user_id, email), now) = (whose(&api, &query.0).await?, api.clock.now());
    let is_theirs = api
        .store
        .write(move |tx| async move { notifications::confirm(&tx, user_id, &email, now).await })
        .await?;
    if !is_theirs {
        return Err(not_ours());
    }
    tracing::info!(%user_id, "confirmed");
    Ok(DONE.answer())
}
