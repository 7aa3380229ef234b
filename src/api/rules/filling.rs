//! What the user's rules fill in of a new booking: the category and the payee if it has none, and tags.
//!
//! Who has no rules is told by the session, and pays nothing. Of who has some they are remembered ready to be asked,
//! for as long as the session is.

use std::sync::Arc;

use moka::sync::Cache;
use uuid::Uuid;

use crate::api::Api;
use crate::api::session::{CACHE_TTL, Session};
use crate::domain::money::Money;
use crate::domain::rule::{Booked, Labels, Mode, Ruleset};
use crate::domain::transaction::TAGS_MAX;
use crate::store::transactions::Draft;
use crate::store::{StoreError, categories, rules, wallets};

/// What is remembered at the most: patterns are what takes room, a few hundred kilobytes each.
const WEIGHT_MAX: u64 = 400;

/// Rules of users that were asked a moment ago.
#[derive(Debug)]
pub struct Rulesets(Cache<Uuid, Arc<Ruleset>>);

impl Default for Rulesets {
    fn default() -> Self {
        let weight = |_: &Uuid, rules: &Arc<Ruleset>| {
            u32::try_from(rules.patterns())
                .unwrap_or(u32::MAX)
                .saturating_add(1)
        };
        Self(
            Cache::builder()
                .max_capacity(WEIGHT_MAX)
                .weigher(weight)
                .time_to_live(CACHE_TTL)
                .build(),
        )
    }
}

impl Rulesets {
    /// Reads the user's rules again at the next booking.
    pub(crate) fn forget(&self, user_id: Uuid) {
        self.0.invalidate(&user_id);
    }
}

/// Fills in what the booking leaves out.
///
/// # Errors
/// The database cannot be read.
pub(in crate::api) async fn fill(
    api: &Api,
    session: &Session,
    draft: &mut Draft,
) -> Result<(), StoreError> {
    // Too many tags are refused as they are.
    if !session.has_rules || draft.tags.len() > TAGS_MAX {
        return Ok(());
    }
    let (reads, user_id) = (api.store.reads(), session.user_id());
    let Some(amount) = amount(api, user_id, draft).await? else {
        return Ok(());
    };
    let rules = asked(api, user_id).await?;
    let Some(labels) = labelled(&rules, draft, amount) else {
        return Ok(());
    };
    // Another replica may have seen it go a moment ago.
    let category_id = match labels.category_id {
        Some(id) if draft.category_id.is_none() => {
            match categories::get(reads, user_id, id).await {
                Err(StoreError::NotFound(_)) => None,
                found => Some(found?.id),
            }
        }
        same => same,
    };
    draft.category_id = category_id;
    draft.payee = labels.payee;
    draft.tags = labels.tags;
    Ok(())
}

/// In the wallet's currency; none where the booking will be refused.
async fn amount(api: &Api, user_id: Uuid, draft: &Draft) -> Result<Option<Money>, StoreError> {
    let wallet = wallets::get(api.store.reads(), user_id, draft.wallet_id).await;
    match wallet {
        Err(StoreError::NotFound(_)) => Ok(None),
        wallet => Ok(draft.amount.amount(wallet?.currency()).ok()),
    }
}

async fn asked(api: &Api, user_id: Uuid) -> Result<Arc<Ruleset>, StoreError> {
    if let Some(rules) = api.rulesets.0.get(&user_id) {
        return Ok(rules);
    }
    let rules = rules::wanted(api.store.reads(), user_id, None).await?;
    let rules = Arc::new(Ruleset::new(rules).map_err(StoreError::defect)?);
    api.rulesets.0.insert(user_id, Arc::clone(&rules));
    Ok(rules)
}

fn labelled(rules: &Ruleset, draft: &Draft, amount: Money) -> Option<Labels> {
    let mut tags = draft.tags.clone();
    tags.sort_unstable();
    tags.dedup();
    let labels = Labels {
        category_id: draft.category_id,
        payee: draft.payee.clone(),
        tags,
    };
    let booked = Booked {
        transaction_type: draft.transaction_type,
        wallet_id: draft.wallet_id,
        to_wallet_id: draft.to_wallet_id,
        amount,
        description: draft.description.as_deref(),
        is_split: !draft.splits.is_empty(),
        labels: &labels,
    };
    Some(rules.apply(booked, Mode::Fill)?.labels)
}
