#![allow(clippy::unwrap_used)]

use chrono::{DateTime, Utc};
use tempfile::TempDir;

use super::*;
use crate::clock::{Clock, Ids};
use crate::config::{Config, LoadArgs};
use crate::domain::money::Currency;
use crate::domain::notification::AlertKind;
use crate::events::Cause;
use crate::store::alerts::NewAlert;
use crate::store::users::{self, User};
use crate::telemetry::trace::TraceContext;

async fn api(folder: &TempDir) -> Arc<Api> {
    let args = LoadArgs::new()
        .flag("data_dir", folder.path().to_str().unwrap(), "--set")
        .flag("auth.jwt_secret_key", "k".repeat(32), "--set");
    let config = Arc::new(Config::load(&args).unwrap().config);
    let (store, _writer) = Store::open(&config).await.unwrap();
    let clock = Clock::fixed("2026-02-10T12:00:00Z".parse::<DateTime<Utc>>().unwrap());
    let stop = CancellationToken::new();
    Arc::new(Api::new(store, config, clock, Ids::seeded(1), stop, None).unwrap())
}

async fn somebody(api: &Api) -> Uuid {
    let now = api.clock.now();
    let user = User {
        id: api.ids.v7(now),
        email: "ada@example.com".to_owned(),
        name: None,
        currency: Currency::parse("USD").unwrap(),
        time_zone: chrono_tz::UTC,
        ai_enabled: false,
        version: 1,
        created_at: now,
        updated_at: now,
    };
    let id = user.id;
    api.store
        .write(move |tx| async move { users::create(&tx, &user, String::new()).await })
        .await
        .unwrap();
    id
}

async fn alert(api: &Api, user_id: Uuid) {
    let now = api.clock.now();
    let alert = NewAlert {
        id: api.ids.v7(now),
        user_id,
        kind: AlertKind::BudgetWarning,
        title: String::new(),
        message: String::new(),
        details: serde_json::json!({}),
        source_event: "ai.insight.generated",
        source_event_id: api.ids.v4(),
        budget_id: None,
        historic: false,
        cause: Cause {
            correlation_id: api.ids.v4(),
            causation_id: None,
            begun_at: None,
            trace: TraceContext {
                trace_id: api.ids.trace_id(),
                span_id: api.ids.span_id(),
                sampled: false,
            },
        },
    };
    api.store
        .write(move |tx| async move { alerts::write(&tx, &[alert], now).await })
        .await
        .unwrap();
}

/// Between the subscription and the catch-up lies a moment in which an alert comes both ways.
#[tokio::test]
async fn what_comes_live_and_by_the_catch_up_comes_once() {
    let folder = TempDir::new().unwrap();
    let api = api(&folder).await;
    let user_id = somebody(&api).await;
    let mut live = Live {
        subscription: api.streams.subscribe(user_id, Uuid::nil(), 0).unwrap(),
        last: 0,
        behind: true,
        ready: VecDeque::new(),
        expires: Some(Instant::now() + Duration::from_secs(60)),
        api: Arc::clone(&api),
    };
    for _ in 0..2 {
        alert(&api, user_id).await;
    }
    assert_eq!(api.streams.tick(&api.store).await.unwrap(), 2);
    for id in 1..=2 {
        let event = live.next().await.unwrap();
        assert!(event.starts_with(&format!("id: {id}\n")), "{event}");
    }
    alert(&api, user_id).await;
    assert_eq!(api.streams.tick(&api.store).await.unwrap(), 1);
    let event = live.next().await.unwrap();
    assert!(event.starts_with("id: 3\n"), "{event}");
}
