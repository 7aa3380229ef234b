//! Rules: by which bookings get their category, payee and tags.

/// What rules fill in of a new booking.
pub mod filling;
/// What rules would change, before they do.
pub mod preview;
/// Runs over what was booked before.
pub mod runs;
/// What takes runs on, step by step.
pub mod worker;

use actix_web::{HttpResponse, delete, get, patch, post, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::input::{PageQuery, WholeInput, nullable, present};
use super::once::{self, Created, IdempotencyKey};
use super::session::Session;
use super::transactions::{TagInput, tags};
use super::{Api, answer};
use crate::domain::rule::{CONDITIONS_MAX, Condition, Operator, Rule};
use crate::domain::text::check_text;
use crate::domain::transaction::TAGS_MAX;
use crate::http::etag::{self, IfMatch};
use crate::http::{Body, Checks, Problem, Query, cursor};
use crate::store::rules::{self, POSITION_MAX, RuleChange, StoredRule};

/// The list that cursors name.
const LIST: &str = "rules";

/// A rule.
#[derive(Debug, Serialize, ToSchema)]
pub struct RuleView {
    id: Uuid,
    name: String,
    /// The lower the earlier; of rules in one place the older comes first.
    position: i16,
    /// All of them must hold.
    conditions: Vec<Condition>,
    /// The category that it sets, of what can have one: not of transfers, nor of what is split.
    #[schema(required = true)]
    category_id: Option<Uuid>,
    /// The payee that it sets.
    #[schema(required = true)]
    payee: Option<String>,
    /// Tags that it adds.
    tags: Vec<String>,
    /// Whether it is asked of new bookings, and by runs of all rules.
    is_enabled: bool,
    /// Whether no rule after it is asked where it holds.
    stops: bool,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<&StoredRule> for RuleView {
    fn from(stored: &StoredRule) -> Self {
        let rule = &stored.rule;
        Self {
            id: rule.id,
            name: stored.name.clone(),
            position: stored.position,
            conditions: rule.conditions.clone(),
            category_id: rule.category_id,
            payee: rule.payee.clone(),
            tags: rule.tags.clone(),
            is_enabled: stored.is_enabled,
            stops: rule.stops,
            version: stored.version,
            created_at: stored.created_at,
            updated_at: stored.updated_at,
        }
    }
}

/// A rule to be made. It sets a category, a payee, or tags.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "name": "Groceries", "category_id": "01920000-0000-7000-8000-00000000000b", "tags": ["household"],
    "conditions": [
        {"field": "payee", "operator": "contains", "value": "corner shop"},
        {"field": "amount", "operator": "at_most", "value": "200.00"}
    ]
}))]
pub struct NewRule {
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// The lower the earlier; after all others if left out.
    #[schema(value_type = Option<i16>, minimum = 1, maximum = 10000)]
    position: Option<WholeInput>,
    /// All of them must hold. At most one is a regular expression.
    #[schema(min_items = 1, max_items = 10)]
    conditions: Vec<Condition>,
    /// One of your categories.
    category_id: Option<Uuid>,
    /// Who was paid, or who paid.
    #[schema(min_length = 1, max_length = 100)]
    payee: Option<String>,
    /// Tags to be added.
    #[serde(default)]
    #[schema(max_items = 20)]
    tags: Vec<TagInput>,
    /// Whether it is asked of new bookings; true if left out.
    is_enabled: Option<bool>,
    /// Whether no rule after it is asked where it holds; false if left out.
    stops: Option<bool>,
}

impl NewRule {
    fn check(
        self,
        id: Uuid,
        user_id: Uuid,
        now: DateTime<Utc>,
    ) -> Result<(StoredRule, Option<i16>), Problem> {
        let mut checks = Checks::new();
        let name = checks.field("/name", check_text(&self.name, 1..=100));
        let position = checks.optional("/position", self.position, position);
        let payee = checks.optional("/payee", self.payee, |it| check_text(&it, 1..=100));
        let conditions = conditions(&mut checks, self.conditions);
        let tags = checked_tags(&mut checks, &self.tags);
        let (name,) = checks.all((name,))?;
        let rule = StoredRule {
            rule: Rule {
                id,
                conditions,
                category_id: self.category_id,
                payee,
                tags,
                stops: self.stops.unwrap_or(false),
            },
            user_id,
            name,
            position: 0,
            is_enabled: self.is_enabled.unwrap_or(true),
            version: 1,
            created_at: now,
            updated_at: now,
        };
        Ok((rule, position))
    }
}

fn position(given: WholeInput) -> Result<i16, String> {
    i16::try_from(given.0)
        .ok()
        .filter(|place| (1..=POSITION_MAX).contains(place))
        .ok_or_else(|| format!("from 1 to {POSITION_MAX}"))
}

fn conditions(checks: &mut Checks, given: Vec<Condition>) -> Vec<Condition> {
    if !(1..=CONDITIONS_MAX).contains(&given.len()) {
        let detail = format!("a rule has 1 to {CONDITIONS_MAX} conditions");
        checks.wrong("/conditions", detail);
        return Vec::new();
    }
    let is_pattern = |condition: &&Condition| condition.operator == Operator::Matches;
    if given.iter().filter(is_pattern).count() > 1 {
        let detail = "at most one condition of a rule is a regular expression";
        checks.wrong("/conditions", detail);
    }
    let checked = |(place, condition): (usize, Condition)| {
        checks.field(&format!("/conditions/{place}/value"), condition.checked())
    };
    given.into_iter().enumerate().filter_map(checked).collect()
}

/// In the order of the alphabet, each once.
fn checked_tags(checks: &mut Checks, given: &[TagInput]) -> Vec<String> {
    if given.len() > TAGS_MAX {
        checks.wrong("/tags", format!("a booking has at most {TAGS_MAX} tags"));
        return Vec::new();
    }
    let mut tags = tags(checks, given);
    tags.sort_unstable();
    tags.dedup();
    tags
}

/// What to change; what is left out stays, null removes.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"position": 2, "is_enabled": false}))]
pub struct RulePatch {
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, min_length = 1, max_length = 100)]
    name: Option<String>,
    /// The lower the earlier.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, value_type = Option<i16>, minimum = 1, maximum = 10000)]
    position: Option<WholeInput>,
    /// All conditions.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, min_items = 1, max_items = 10)]
    conditions: Option<Vec<Condition>>,
    /// One of your categories.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<Uuid>)]
    category_id: Option<Option<Uuid>>,
    /// Who was paid, or who paid.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 100)]
    payee: Option<Option<String>>,
    /// All tags that it adds.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, max_items = 20)]
    tags: Option<Vec<TagInput>>,
    /// Whether it is asked.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    is_enabled: Option<bool>,
    /// Whether no rule after it is asked where it holds.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    stops: Option<bool>,
}

impl RulePatch {
    fn check(self) -> Result<RuleChange, Problem> {
        let mut checks = Checks::new();
        let change = RuleChange {
            name: checks.optional("/name", self.name, |name| check_text(&name, 1..=100)),
            position: checks.optional("/position", self.position, position),
            conditions: self.conditions.map(|it| conditions(&mut checks, it)),
            category_id: self.category_id,
            payee: checks.removable("/payee", self.payee, |it| check_text(&it, 1..=100)),
            tags: self.tags.map(|it| checked_tags(&mut checks, &it)),
            is_enabled: self.is_enabled,
            stops: self.stops,
        };
        checks.finish()?;
        Ok(change)
    }
}

/// A page of rules, in the order in which they are asked.
#[derive(Debug, Serialize, ToSchema)]
pub struct RulePage {
    items: Vec<RuleView>,
    /// Where the next page begins; null on the last.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// Make a rule. It is asked of new bookings, and fills in what they leave out; what was booked before changes by
/// a run.
#[utoipa::path(
    tag = "rules",
    operation_id = "create_rule",
    request_body = NewRule,
    responses((status = 201, description = "The rule", body = RuleView))
)]
#[post("/v1/rules")]
pub(super) async fn create(
    api: web::Data<Api>,
    session: Session,
    key: IdempotencyKey,
    body: Body<NewRule>,
) -> Result<HttpResponse, Problem> {
    let (user_id, now) = (session.user_id(), api.clock.now());
    let (rule, position) = body.value.check(api.ids.v7(now), user_id, now)?;
    let made = once::create(&api, user_id, key, &body.bytes, move |tx| async move {
        let rule = rules::create(&tx, rule, position).await?;
        Ok(Created {
            location: format!("/v1/rules/{}", rule.rule.id),
            version: rule.version,
            view: RuleView::from(&rule),
            position: None,
        })
    })
    .await?;
    api.forget_rules(user_id);
    Ok(made)
}

/// List your rules.
#[utoipa::path(
    tag = "rules",
    operation_id = "list_rules",
    params(PageQuery),
    responses((status = 200, description = "A page", body = RulePage))
)]
#[get("/v1/rules")]
pub(super) async fn list(
    api: web::Data<Api>,
    session: Session,
    query: Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let page = cursor::page(LIST, query.0.limit, query.0.cursor.as_deref())?;
    let page = rules::list(api.store.reads(), session.user_id(), page).await?;
    Ok(HttpResponse::Ok().json(RulePage {
        items: page.items.iter().map(RuleView::from).collect(),
        next_cursor: cursor::next(LIST, page.next.as_ref())?,
    }))
}

/// Read a rule.
#[utoipa::path(
    tag = "rules",
    operation_id = "get_rule",
    params(("id" = Uuid, Path, description = "The rule")),
    responses((status = 200, description = "The rule", body = RuleView))
)]
#[get("/v1/rules/{id}")]
pub(super) async fn get(
    api: web::Data<Api>,
    session: Session,
    id: web::Path<Uuid>,
) -> Result<HttpResponse, Problem> {
    let rule = rules::get(api.store.reads(), session.user_id(), *id).await?;
    Ok(HttpResponse::Ok()
        .insert_header(etag::header(rule.version))
        .json(RuleView::from(&rule)))
}

/// Change a rule. What it has set stays.
#[utoipa::path(
    tag = "rules",
    operation_id = "change_rule",
    request_body = RulePatch,
    params(("id" = Uuid, Path, description = "The rule")),
    responses((status = 200, description = "The rule", body = RuleView))
)]
#[patch("/v1/rules/{id}")]
pub(super) async fn amend(
    api: web::Data<Api>,
    session: Session,
    id: web::Path<Uuid>,
    expected: IfMatch,
    body: Body<RulePatch>,
) -> Result<HttpResponse, Problem> {
    let change = body.value.check()?;
    let (user_id, id, now) = (session.user_id(), *id, api.clock.now());
    let (rule, position) = answer::write(&api, user_id, move |tx| async move {
        let rule = rules::change(&tx, user_id, id, expected.0, change, now).await?;
        Ok((rule, None))
    })
    .await?;
    api.forget_rules(user_id);
    let view = RuleView::from(&rule);
    Ok(answer::changed(rule.version, position, &view))
}

/// Delete a rule. What it has set stays.
#[utoipa::path(
    tag = "rules",
    operation_id = "delete_rule",
    params(("id" = Uuid, Path, description = "The rule")),
    responses((status = 204, description = "It is gone"))
)]
#[delete("/v1/rules/{id}")]
pub(super) async fn delete(
    api: web::Data<Api>,
    session: Session,
    id: web::Path<Uuid>,
    expected: IfMatch,
) -> Result<HttpResponse, Problem> {
    let (user_id, id) = (session.user_id(), *id);
    let ((), position) = answer::write(&api, user_id, move |tx| async move {
        rules::delete(&tx, user_id, id, expected.0).await?;
        Ok(((), None))
    })
    .await?;
    api.forget_rules(user_id);
    Ok(answer::deleted(position))
}
