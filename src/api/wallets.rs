//! Wallets: where the money is.

use actix_web::{HttpResponse, delete, get, patch, post, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::input::{AmountInput, PageQuery, present};
use super::once::{self, Created, IdempotencyKey};
use super::session::Session;
use super::{Api, answer};
use crate::domain::money::{Currency, Money};
use crate::domain::text::check_text;
use crate::domain::wallet::WalletType;
use crate::http::cursor;
use crate::http::etag::{self, IfMatch};
use crate::http::request::RequestContext;
use crate::http::{Body, Checks, Problem, Query};
use crate::store::goals;
use crate::store::transactions::Act;
use crate::store::wallets::{self, Wallet, WalletChange};

/// The list that cursors name.
const LIST: &str = "wallets";

/// A wallet.
#[derive(Debug, Serialize, ToSchema)]
pub struct WalletView {
    id: Uuid,
    name: String,
    #[serde(rename = "type")]
    wallet_type: WalletType,
    /// ISO 4217, of all its bookings.
    #[schema(value_type = Currency)]
    currency: String,
    /// What was in it before the first booking.
    #[schema(format = "decimal", example = "2500.00")]
    opening_balance: String,
    /// What is in it now.
    #[schema(format = "decimal", example = "2487.66")]
    balance: String,
    /// Since when it is put away; nothing is booked in it any more.
    #[schema(required = true)]
    archived_at: Option<DateTime<Utc>>,
    /// Counts changes of the wallet itself, not bookings.
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<&Wallet> for WalletView {
    fn from(wallet: &Wallet) -> Self {
        Self {
            id: wallet.id,
            name: wallet.name.clone(),
            wallet_type: wallet.wallet_type,
            currency: wallet.currency().code().to_owned(),
            opening_balance: wallet.opening_balance.to_string(),
            balance: wallet.balance.to_string(),
            archived_at: wallet.archived_at,
            version: wallet.version,
            created_at: wallet.created_at,
            updated_at: wallet.updated_at,
        }
    }
}

/// A wallet to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "name": "Checking", "type": "bank", "currency": "USD", "opening_balance": "2500.00"
}))]
pub struct NewWallet {
    /// Unique among your wallets.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    #[serde(rename = "type")]
    wallet_type: WalletType,
    /// ISO 4217; it never changes.
    #[schema(pattern = "^[A-Z]{3}$")]
    currency: String,
    /// What is in it before the first booking, of any sign; zero if left out.
    opening_balance: Option<AmountInput>,
}

impl NewWallet {
    fn check(self, id: Uuid, now: DateTime<Utc>) -> Result<Wallet, Problem> {
        let mut checks = Checks::new();
        let name = checks.field("/name", check_text(&self.name, 1..=100));
        let currency = checks.field("/currency", Currency::parse(&self.currency));
        let opening = currency.and_then(|currency| match self.opening_balance {
            Some(amount) => checks.field("/opening_balance", amount.0.balance(currency)),
            None => Some(Money::zero(currency)),
        });
        let (name, opening) = checks.all((name, opening))?;
        Ok(Wallet::new(id, name, self.wallet_type, opening, now))
    }
}

/// What to change; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Main account"}))]
pub struct WalletPatch {
    /// Unique among your wallets.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, min_length = 1, max_length = 100)]
    name: Option<String>,
    #[serde(default, rename = "type", deserialize_with = "present")]
    #[schema(nullable = false)]
    wallet_type: Option<WalletType>,
    /// The balance moves with it.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    opening_balance: Option<AmountInput>,
    /// Whether it is put away: it stays in the books, and nothing is booked in it any more.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    archived: Option<bool>,
}

impl WalletPatch {
    fn check(self) -> Result<WalletChange, Problem> {
        let mut checks = Checks::new();
        let name = checks.optional("/name", self.name, |name| check_text(&name, 1..=100));
        checks.finish()?;
        Ok(WalletChange {
            name,
            wallet_type: self.wallet_type,
            opening_balance: self.opening_balance.map(|amount| amount.0),
            archived: self.archived,
        })
    }
}

/// A page of wallets, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct WalletPage {
    items: Vec<WalletView>,
    /// Where the next page begins; null on the last.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// Make a wallet.
#[utoipa::path(
    tag = "wallets",
    operation_id = "create_wallet",
    request_body = NewWallet,
    responses((status = 201, description = "The wallet", body = WalletView))
)]
#[post("/v1/wallets")]
pub(super) async fn create(
    api: web::Data<Api>,
    session: Session,
    key: IdempotencyKey,
    body: Body<NewWallet>,
) -> Result<HttpResponse, Problem> {
    let now = api.clock.now();
    let user_id = session.user_id();
    let wallet = body.value.check(api.ids.v7(now), now)?;
    once::create(&api, user_id, key, &body.bytes, move |tx| async move {
        wallets::create(&tx, user_id, &wallet).await?;
        Ok(Created {
            location: format!("/v1/wallets/{}", wallet.id),
            version: wallet.version,
            view: WalletView::from(&wallet),
            position: None,
        })
    })
    .await
}

/// List your wallets.
#[utoipa::path(
    tag = "wallets",
    operation_id = "list_wallets",
    params(PageQuery),
    responses((status = 200, description = "A page", body = WalletPage))
)]
#[get("/v1/wallets")]
pub(super) async fn list(
    api: web::Data<Api>,
    session: Session,
    query: Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let page = cursor::page(LIST, query.0.limit, query.0.cursor.as_deref())?;
    let page = wallets::list(api.store.reads(), session.user_id(), page).await?;
    Ok(HttpResponse::Ok().json(WalletPage {
        items: page.items.iter().map(WalletView::from).collect(),
        next_cursor: cursor::next(LIST, page.next.as_ref())?,
    }))
}

/// Read a wallet.
#[utoipa::path(
    tag = "wallets",
    operation_id = "get_wallet",
    params(("id" = Uuid, Path, description = "The wallet")),
    responses((status = 200, description = "The wallet", body = WalletView))
)]
#[get("/v1/wallets/{id}")]
pub(super) async fn get(
    api: web::Data<Api>,
    session: Session,
    id: web::Path<Uuid>,
) -> Result<HttpResponse, Problem> {
    let wallet = wallets::get(api.store.reads(), session.user_id(), *id).await?;
    Ok(HttpResponse::Ok()
        .insert_header(etag::header(wallet.version))
        .json(WalletView::from(&wallet)))
}

/// Change a wallet.
#[utoipa::path(
    tag = "wallets",
    operation_id = "change_wallet",
    request_body = WalletPatch,
    params(("id" = Uuid, Path, description = "The wallet")),
    responses((status = 200, description = "The wallet", body = WalletView))
)]
#[patch("/v1/wallets/{id}")]
pub(super) async fn amend(
    api: web::Data<Api>,
    session: Session,
    context: RequestContext,
    id: web::Path<Uuid>,
    expected: IfMatch,
    body: Body<WalletPatch>,
) -> Result<HttpResponse, Problem> {
    let change = body.value.check()?;
    let (user_id, id, now) = (session.user_id(), *id, api.clock.now());
    let (ids, act) = (api.ids.clone(), answer::act(&api, &session, &context));
    let (wallet, position) = answer::write(&api, user_id, move |tx| async move {
        let wallet = wallets::change(&tx, user_id, id, expected.0, change, now).await?;
        let act = || Act {
            event_id: ids.v4(),
            ..act
        };
        let position = goals::settle_of_wallet(&tx, user_id, id, act).await?;
        Ok((wallet, position))
    })
    .await?;
    Ok(answer::changed(
        wallet.version,
        position,
        &WalletView::from(&wallet),
    ))
}

/// Delete a wallet that has no bookings.
#[utoipa::path(
    tag = "wallets",
    operation_id = "delete_wallet",
    params(("id" = Uuid, Path, description = "The wallet")),
    responses((status = 204, description = "It is gone"))
)]
#[delete("/v1/wallets/{id}")]
pub(super) async fn delete(
    api: web::Data<Api>,
    session: Session,
    id: web::Path<Uuid>,
    expected: IfMatch,
) -> Result<HttpResponse, Problem> {
    let (user_id, id) = (session.user_id(), *id);
    let ((), position) = answer::write(&api, user_id, move |tx| async move {
        wallets::delete(&tx, user_id, id, expected.0).await?;
        Ok(((), None))
    })
    .await?;
    Ok(answer::deleted(position))
}
