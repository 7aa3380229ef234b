//! What you are told of, how, and when.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, get, patch, post, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::books::X_LOG_POSITION;
use super::input::{nullable, present};
use super::session::Session;
use super::{Api, answer};
use crate::domain::notification::confirming::NotAsked;
use crate::domain::notification::{AlertKind, Digest, Hour, Minute, QuietHours, TimeError};
use crate::http::etag::{self, IfMatch};
use crate::http::request::RequestContext;
use crate::http::{Body, Checks, Problem};
use crate::store::notifications::{self, Change, Notifications};

/// The ways by which you are told of a kind of alert.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct ChannelsView {
    /// In the list and the stream of alerts.
    in_app: bool,
    /// By e-mail.
    email: bool,
}

/// Hours of your day in which no e-mail is sent.
#[derive(Debug, Serialize, ToSchema)]
pub struct QuietHoursView {
    #[schema(example = "22:00")]
    start: String,
    #[schema(example = "07:00")]
    end: String,
}

/// Whether your address is yours, and takes e-mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EmailState {
    /// You have not shown yet that it is yours: no alerts are sent there. Press the button behind the link of the e-mail
    /// that asks; `POST /v1/me/notifications/confirmation` sends it again.
    Unconfirmed,
    /// As far as we know it does.
    Ok,
    /// It was refused: no more is sent until you say that it is good.
    Bounced,
}

/// What you are told of, how, and when.
#[derive(Debug, Serialize, ToSchema)]
pub struct NotificationsView {
    /// Each kind of alert; more may come.
    #[schema(example = json!({"budget_exceeded": {"in_app": true, "email": true}}))]
    kinds: BTreeMap<AlertKind, ChannelsView>,
    /// Hours in your time zone in which no e-mail is sent: what is due then is sent when they are over. They hold back
    /// nothing in the application.
    #[schema(required = true)]
    quiet_hours: Option<QuietHoursView>,
    /// Whether each alert is an e-mail of its own, or those of a day are one.
    digest: Digest,
    /// The hour in your time zone at which it is sent.
    #[schema(example = "08:00")]
    digest_hour: String,
    /// Whether this server sends e-mail at all. Where it does not, what you choose is kept.
    email_available: bool,
    email_state: EmailState,
    /// Since when it takes none.
    #[schema(required = true)]
    email_bounced_at: Option<DateTime<Utc>>,
    version: i64,
}

impl NotificationsView {
    fn new(is_now: &Notifications, email_available: bool) -> Self {
        let choices = &is_now.choices;
        let channels = |kind: AlertKind| ChannelsView {
            in_app: is_now.shows(kind),
            email: choices.email_on.contains(&kind),
        };
        let kinds = AlertKind::ALL.iter().map(|kind| (*kind, channels(*kind)));
        let state = match (is_now.email_bounced_at, is_now.confirming.confirmed_at) {
            (Some(_), _) => EmailState::Bounced,
            (None, None) => EmailState::Unconfirmed,
            (None, Some(_)) => EmailState::Ok,
        };
        Self {
            kinds: kinds.collect(),
            quiet_hours: choices.quiet_hours.map(|quiet| QuietHoursView {
                start: quiet.start().to_string(),
                end: quiet.end().to_string(),
            }),
            digest: choices.digest,
            digest_hour: choices.digest_hour.to_string(),
            email_available,
            email_state: state,
            email_bounced_at: is_now.email_bounced_at,
            version: is_now.version,
        }
    }
}

/// Ways to turn on or off; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChannelsChange {
    /// Off: there are no alerts of this kind, neither in the list nor on the stream.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    in_app: Option<bool>,
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    email: Option<bool>,
}

/// Hours of the day, in your time zone; over midnight where the end is the earlier one.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"start": "22:00", "end": "07:00"}))]
pub struct QuietHoursInput {
    #[schema(pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$")]
    start: String,
    /// Another time than the start.
    #[schema(pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$")]
    end: String,
}

/// What to change; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "kinds": {"budget_exceeded": {"email": true}, "savings_tip": {"in_app": false}},
    "quiet_hours": {"start": "22:00", "end": "07:00"}
}))]
pub struct NotificationsChange {
    /// Kinds of alert, each with the ways to turn on or off.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, value_type = Option<BTreeMap<AlertKind, ChannelsChange>>)]
    kinds: Option<BTreeMap<String, ChannelsChange>>,
    /// Null ends them.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<QuietHoursInput>)]
    quiet_hours: Option<Option<QuietHoursInput>>,
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    digest: Option<Digest>,
    /// On the hour.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, pattern = "^([01][0-9]|2[0-3]):00$")]
    digest_hour: Option<String>,
    /// `ok` says that your address takes e-mail again.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    email_state: Option<EmailState>,
}

/// What you are told of, how, and when.
#[utoipa::path(
    tag = "me",
    operation_id = "get_notifications",
    responses((status = 200, description = "What you have chosen", body = NotificationsView))
)]
#[get("/v1/me/notifications")]
pub(super) async fn get(api: web::Data<Api>, session: Session) -> Result<HttpResponse, Problem> {
    let is_now = notifications::get(api.store.reads(), session.user_id()).await?;
    Ok(HttpResponse::Ok()
        .insert_header(etag::header(is_now.version))
        .json(NotificationsView::new(&is_now, api.sends_email())))
}

/// Choose what you are told of, how, and when. It holds for what happens from now on; of e-mails that wait, those that
/// you turn off are not sent. Who wants the first kind by e-mail is asked by one whether the address is theirs: alerts are
/// sent there from then on.
#[utoipa::path(
    tag = "me",
    operation_id = "change_notifications",
    request_body = NotificationsChange,
    responses((status = 200, description = "What you have chosen", body = NotificationsView))
)]
#[patch("/v1/me/notifications")]
pub(super) async fn amend(
    api: web::Data<Api>,
    session: Session,
    context: RequestContext,
    expected: IfMatch,
    body: Body<NotificationsChange>,
) -> Result<HttpResponse, Problem> {
    let change = checked(body.value)?;
    let (act, sends_email) = (answer::act(&api, &session, &context), api.sends_email());
    let (is_now, position) = answer::write(&api, act.user_id, move |tx| async move {
        let is_now = notifications::change(&tx, act, expected.0, change, sends_email).await?;
        // What is asked for by it is no matter of the read models.
        Ok((is_now, None))
    })
    .await?;
    Ok(answer::changed(
        is_now.version,
        position,
        &NotificationsView::new(&is_now, api.sends_email()),
    ))
}

/// Ask for the e-mail by which you show that your address is yours: once in five minutes, and five times in all.
#[utoipa::path(
    tag = "me",
    operation_id = "ask_to_confirm_email",
    responses((status = 202, description = "It is sent"))
)]
#[post("/v1/me/notifications/confirmation")]
pub(super) async fn ask_to_confirm(
    api: web::Data<Api>,
    session: Session,
    context: RequestContext,
) -> Result<HttpResponse, Problem> {
    if !api.sends_email() {
        let detail = "this server sends no e-mail: there is nothing that an address is needed for";
        return Err(Problem::conflict(detail));
    }
    let act = answer::act(&api, &session, &context);
    let (asked, position) = answer::write(&api, act.user_id, move |tx| async move {
        Ok((notifications::ask_to_confirm(&tx, act).await?, None))
    })
    .await?;
    asked.map_err(refused)?;
    Ok(HttpResponse::Accepted()
        .insert_header((X_LOG_POSITION, position.to_string()))
        .finish())
}

fn refused(why: NotAsked) -> Problem {
    match why {
        NotAsked::Confirmed => Problem::conflict("your address is confirmed"),
        NotAsked::Bounced => Problem::conflict(
            "your address has refused e-mail: say first that its state is ok again",
        ),
        NotAsked::TooSoon(rest) => {
            let secs = u64::try_from(rest.num_seconds()).unwrap_or(0) + 1;
            Problem::too_many(
                "the e-mail was sent not long ago: wait for it a little",
                secs,
            )
        }
        NotAsked::TooMany => Problem::conflict(
            "the e-mail was sent as often as it is to an address that nobody confirms: look for it there",
        ),
    }
}

fn checked(input: NotificationsChange) -> Result<Change, Problem> {
    let mut checks = Checks::new();
    let quiet_hours = match input.quiet_hours {
        None => None,
        Some(None) => Some(None),
        Some(Some(hours)) => quiet(&mut checks, &hours).map(Some),
    };
    let digest_hour = checks.optional("/digest_hour", input.digest_hour, |at| Hour::parse(&at));
    if input
        .email_state
        .is_some_and(|state| state != EmailState::Ok)
    {
        let detail = "say ok when your address takes e-mail again; that it does not, or is not yours, we find out";
        checks.wrong("/email_state", detail);
    }
    let (mut in_app, mut email) = (BTreeMap::new(), BTreeMap::new());
    for (word, channels) in input.kinds.unwrap_or_default() {
        let pointer = format!("/kinds/{}", word.replace('~', "~0").replace('/', "~1"));
        let Some(kind) = checks.field(&pointer, word.parse::<AlertKind>()) else {
            continue;
        };
        in_app.extend(channels.in_app.map(|is_on| (kind, is_on)));
        email.extend(channels.email.map(|is_on| (kind, is_on)));
    }
    checks.finish()?;
    Ok(Change {
        in_app,
        email,
        quiet_hours,
        digest: input.digest,
        digest_hour,
        email_is_good: input.email_state.is_some(),
    })
}

fn quiet(checks: &mut Checks, hours: &QuietHoursInput) -> Option<QuietHours> {
    let start = checks.field("/quiet_hours/start", Minute::parse(&hours.start));
    let end = checks.field("/quiet_hours/end", Minute::parse(&hours.end));
    let hours: Result<QuietHours, TimeError> = QuietHours::new(start?, end?);
    checks.field("/quiet_hours/end", hours)
}
