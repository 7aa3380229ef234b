//! Categories: what money was earned by or spent on.

use actix_web::{HttpResponse, delete, get, patch, post, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::input::{PageQuery, nullable, present};
use super::once::{self, Created, IdempotencyKey};
use super::session::Session;
use super::{Api, answer};
use crate::domain::category::CategoryKind;
use crate::domain::text::{check_color, check_text};
use crate::http::cursor;
use crate::http::etag::{self, IfMatch};
use crate::http::{Body, Checks, Problem, Query};
use crate::store::categories::{self, Category, CategoryChange};

/// The list that cursors name.
const LIST: &str = "categories";

/// Characters of an icon: an emoji may be made of several.
const ICON_CHARS: std::ops::RangeInclusive<usize> = 1..=16;

/// A category.
#[derive(Debug, Serialize, ToSchema)]
pub struct CategoryView {
    id: Uuid,
    name: String,
    kind: CategoryKind,
    #[schema(required = true)]
    parent_id: Option<Uuid>,
    #[schema(required = true, example = "#2e7d32")]
    color: Option<String>,
    #[schema(required = true)]
    icon: Option<String>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<&Category> for CategoryView {
    fn from(category: &Category) -> Self {
        Self {
            id: category.id,
            name: category.name.clone(),
            kind: category.kind,
            parent_id: category.parent_id,
            color: category.color.clone(),
            icon: category.icon.clone(),
            version: category.version,
            created_at: category.created_at,
            updated_at: category.updated_at,
        }
    }
}

/// A category to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Bicycle", "kind": "expense", "color": "#00897b", "icon": "🚲"}))]
pub struct NewCategory {
    /// Unique among your categories of this kind.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// It never changes.
    kind: CategoryKind,
    /// A top-level category of the same kind.
    parent_id: Option<Uuid>,
    /// `#rrggbb`.
    #[schema(pattern = "^#[0-9a-fA-F]{6}$")]
    color: Option<String>,
    /// An emoji or a short name.
    #[schema(min_length = 1, max_length = 16)]
    icon: Option<String>,
}

impl NewCategory {
    fn check(self, id: Uuid, now: DateTime<Utc>) -> Result<Category, Problem> {
        let mut checks = Checks::new();
        let name = checks.field("/name", check_text(&self.name, 1..=100));
        let color = checks.optional("/color", self.color, |color| check_color(&color));
        let icon = checks.optional("/icon", self.icon, |icon| check_text(&icon, ICON_CHARS));
        let (name,) = checks.all((name,))?;
        Ok(Category {
            id,
            name,
            kind: self.kind,
            parent_id: self.parent_id,
            color,
            icon,
            version: 1,
            created_at: now,
            updated_at: now,
        })
    }
}

/// What to change; what is left out stays, null removes.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Bicycles", "icon": null}))]
pub struct CategoryPatch {
    /// Unique among your categories of this kind.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, min_length = 1, max_length = 100)]
    name: Option<String>,
    /// A top-level category of the same kind.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<Uuid>)]
    parent_id: Option<Option<Uuid>>,
    /// `#rrggbb`.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>, pattern = "^#[0-9a-fA-F]{6}$")]
    color: Option<Option<String>>,
    /// An emoji or a short name.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 16)]
    icon: Option<Option<String>>,
}

impl CategoryPatch {
    fn check(self) -> Result<CategoryChange, Problem> {
        let mut checks = Checks::new();
        let change = CategoryChange {
            name: checks.optional("/name", self.name, |name| check_text(&name, 1..=100)),
            parent_id: self.parent_id,
            color: checks.removable("/color", self.color, |color| check_color(&color)),
            icon: checks.removable("/icon", self.icon, |icon| check_text(&icon, ICON_CHARS)),
        };
        checks.finish()?;
        Ok(change)
    }
}

/// A page of categories, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct CategoryPage {
    items: Vec<CategoryView>,
    /// Where the next page begins; null on the last.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// Make a category.
#[utoipa::path(
    tag = "categories",
    operation_id = "create_category",
    request_body = NewCategory,
    responses((status = 201, description = "The category", body = CategoryView))
)]
#[post("/v1/categories")]
pub(super) async fn create(
    api: web::Data<Api>,
    session: Session,
    key: IdempotencyKey,
    body: Body<NewCategory>,
) -> Result<HttpResponse, Problem> {
    let now = api.clock.now();
    let user_id = session.user_id();
    let category = body.value.check(api.ids.v7(now), now)?;
    once::create(&api, user_id, key, &body.bytes, move |tx| async move {
        categories::create(&tx, user_id, &category).await?;
        Ok(Created {
            location: format!("/v1/categories/{}", category.id),
            version: category.version,
            view: CategoryView::from(&category),
            position: None,
        })
    })
    .await
}

/// List your categories.
#[utoipa::path(
    tag = "categories",
    operation_id = "list_categories",
    params(PageQuery),
    responses((status = 200, description = "A page", body = CategoryPage))
)]
#[get("/v1/categories")]
pub(super) async fn list(
    api: web::Data<Api>,
    session: Session,
    query: Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let page = cursor::page(LIST, query.0.limit, query.0.cursor.as_deref())?;
    let page = categories::list(api.store.reads(), session.user_id(), page).await?;
    Ok(HttpResponse::Ok().json(CategoryPage {
        items: page.items.iter().map(CategoryView::from).collect(),
        next_cursor: cursor::next(LIST, page.next.as_ref())?,
    }))
}

/// Read a category.
#[utoipa::path(
    tag = "categories",
    operation_id = "get_category",
    params(("id" = Uuid, Path, description = "The category")),
    responses((status = 200, description = "The category", body = CategoryView))
)]
#[get("/v1/categories/{id}")]
pub(super) async fn get(
    api: web::Data<Api>,
    session: Session,
    id: web::Path<Uuid>,
) -> Result<HttpResponse, Problem> {
    let category = categories::get(api.store.reads(), session.user_id(), *id).await?;
    let view = CategoryView::from(&category);
    Ok(HttpResponse::Ok()
        .insert_header(etag::header(category.version))
        .json(view))
}

/// Change a category.
#[utoipa::path(
    tag = "categories",
    operation_id = "change_category",
    request_body = CategoryPatch,
    params(("id" = Uuid, Path, description = "The category")),
    responses((status = 200, description = "The category", body = CategoryView))
)]
#[patch("/v1/categories/{id}")]
pub(super) async fn amend(
    api: web::Data<Api>,
    session: Session,
    id: web::Path<Uuid>,
    expected: IfMatch,
    body: Body<CategoryPatch>,
) -> Result<HttpResponse, Problem> {
    let change = body.value.check()?;
    let (user_id, id, now) = (session.user_id(), *id, api.clock.now());
    let (category, position) = answer::write(&api, user_id, move |tx| async move {
        let category = categories::change(&tx, user_id, id, expected.0, change, now).await?;
        Ok((category, None))
    })
    .await?;
    Ok(answer::changed(
        category.version,
        position,
        &CategoryView::from(&category),
    ))
}

/// Delete a category that no booking, budget or category refers to.
#[utoipa::path(
    tag = "categories",
    operation_id = "delete_category",
    params(("id" = Uuid, Path, description = "The category")),
    responses((status = 204, description = "It is gone"))
)]
#[delete("/v1/categories/{id}")]
pub(super) async fn delete(
    api: web::Data<Api>,
    session: Session,
    id: web::Path<Uuid>,
    expected: IfMatch,
) -> Result<HttpResponse, Problem> {
    let (user_id, id) = (session.user_id(), *id);
    let ((), position) = answer::write(&api, user_id, move |tx| async move {
        categories::delete(&tx, user_id, id, expected.0).await?;
        Ok(((), None))
    })
    .await?;
    Ok(answer::deleted(position))
}
