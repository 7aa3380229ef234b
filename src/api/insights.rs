//! Insights: what was found worth knowing.

use actix_web::{HttpResponse, get, post, web};
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::session::Session;
use super::{Api, answer};
use crate::domain::insight::wording::WordedBy;
use crate::domain::insight::{Kind, Thing};
use crate::domain::period;
use crate::http::{Problem, Query, cursor};
use crate::store::insights::{self, StoredInsight, Wanted};

/// The list that cursors name.
const LIST: &str = "insights";

/// An insight, with the figures that it rests on.
#[derive(Debug, Serialize, ToSchema)]
pub struct InsightView {
    id: Uuid,
    kind: Kind,
    /// At most 100 characters.
    #[schema(example = "Streaming costs more")]
    title: String,
    /// Why, with the figures; at most 500 characters.
    message: String,
    /// Whose words title and message are. The figures are those of the rules in either case.
    worded_by: WordedBy,
    /// The figures that it rests on; which they are depends on the kind. Amounts are decimal strings.
    #[schema(value_type = Object)]
    facts: serde_json::Value,
    /// From 0 to 1; 1 where the figures leave no doubt.
    #[schema(schema_with = confidence)]
    confidence: serde_json::Number,
    /// What it is about.
    related: Vec<RelatedView>,
    /// The last day on which it is of interest; null: it stays.
    #[schema(required = true)]
    expires_on: Option<NaiveDate>,
    #[schema(required = true)]
    dismissed_at: Option<DateTime<Utc>>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

fn confidence() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Number)
        .minimum(Some(0))
        .maximum(Some(1))
        .description(Some("From 0 to 1; 1 where the figures leave no doubt."))
        .examples([serde_json::Value::from(1)])
        .build()
}

/// Something that an insight is about.
#[derive(Debug, Serialize, ToSchema)]
pub struct RelatedView {
    #[serde(rename = "type")]
    thing: Thing,
    id: Uuid,
}

impl From<&StoredInsight> for InsightView {
    fn from(stored: &StoredInsight) -> Self {
        let insight = &stored.insight;
        let related = insight.related.iter();
        Self {
            id: stored.id,
            kind: insight.kind,
            title: insight.title.clone(),
            message: insight.message.clone(),
            worded_by: stored.worded_by,
            facts: insight.facts.clone(),
            confidence: insight.confidence(),
            related: related
                .map(|(thing, id)| RelatedView {
                    thing: *thing,
                    id: *id,
                })
                .collect(),
            expires_on: insight.expires_on,
            dismissed_at: stored.dismissed_at,
            version: stored.version,
            created_at: stored.created_at,
            updated_at: stored.updated_at,
        }
    }
}

/// Which insights, and which page of them.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct InsightQuery {
    /// Items on the page, 1 to 200; 50 if left out.
    #[param(minimum = 1, maximum = 200, example = 50)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    #[param(pattern = "^[A-Za-z0-9_-]+$")]
    cursor: Option<String>,
    /// Only those of this kind.
    #[param(inline, example = "subscription")]
    kind: Option<Kind>,
    /// Those that were dismissed, or are of no interest any more, too.
    all: Option<bool>,
}

/// A page of insights, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct InsightPage {
    items: Vec<InsightView>,
    /// Where the next page begins; null on the last.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// List your insights.
#[utoipa::path(
    tag = "insights",
    operation_id = "list_insights",
    params(InsightQuery),
    responses((status = 200, description = "A page", body = InsightPage))
)]
#[get("/v1/insights")]
pub(super) async fn list(
    api: web::Data<Api>,
    session: Session,
    query: Query<InsightQuery>,
) -> Result<HttpResponse, Problem> {
    let query = query.0;
    let page = cursor::page(LIST, query.limit, query.cursor.as_deref())?;
    let today = period::today(api.clock.now(), session.user.time_zone);
    let wanted = Wanted {
        kind: query.kind,
        of_interest_on: (!query.all.unwrap_or_default()).then_some(today),
    };
    let page = insights::list(api.store.reads(), session.user_id(), wanted, page).await?;
    Ok(HttpResponse::Ok().json(InsightPage {
        items: page.items.iter().map(InsightView::from).collect(),
        next_cursor: cursor::next(LIST, page.next.as_ref())?,
    }))
}

/// Dismiss an insight: it is not listed any more, and never said again.
#[utoipa::path(
    tag = "insights",
    operation_id = "dismiss_insight",
    params(("id" = Uuid, Path, description = "The insight")),
    responses((status = 200, description = "The insight", body = InsightView))
)]
#[post("/v1/insights/{id}/dismiss")]
pub(super) async fn dismiss(
    api: web::Data<Api>,
    session: Session,
    id: web::Path<Uuid>,
) -> Result<HttpResponse, Problem> {
    let (user_id, id, now) = (session.user_id(), *id, api.clock.now());
    let (insight, position) = answer::write(&api, user_id, move |tx| async move {
        Ok((insights::dismiss(&tx, user_id, id, now).await?, None))
    })
    .await?;
    let view = InsightView::from(&insight);
    Ok(answer::changed(insight.version, position, &view))
}
