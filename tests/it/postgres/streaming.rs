//! Streams on many writers: an alert may be committed long after one that has a greater number.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseConnection, TransactionTrait};
use tokio::time::timeout;
use wealth_companion::clock::Clock;

use crate::support::{Person, Stack, World, stack};

/// Two looks behind the tail at least lie between the alerts of others that come in between.
const OTHERS: usize = 10;
/// Far more than a look behind the tail every 20 ms.
const QUIET: Duration = Duration::from_millis(200);

/// What another replica's notifier writes: it holds the user, then draws a number.
async fn alert(db: &impl ConnectionTrait, of: &Person) {
    let id = &of.id;
    let hold = format!("SELECT 1 FROM users WHERE id = '{id}' FOR NO KEY UPDATE");
    db.execute_unprepared(&hold).await.expect("the user");
    db.execute_unprepared(&format!(
        "INSERT INTO alerts (id, user_id, kind, title, message, details, source_event, source_event_id, historic, \
         version, created_at, updated_at) VALUES (gen_random_uuid(), '{id}', 'budget_warning', '', '', '{{}}', \
         'ai.insight.generated', gen_random_uuid(), false, 1, now(), now())"
    ))
    .await
    .expect("an alert");
}

/// Bob's alerts come one after the other, then Ada's, which was written before them.
async fn the_late_one_comes(
    world: &World,
    people: [&Person; 2],
    late: &DatabaseConnection,
    db: &DatabaseConnection,
) {
    let [ada, bob] = people.map(|person| person.at(world));
    let mut stream = ada.follow(None).await;
    let mut others = bob.follow(None).await;
    let late = late.begin().await.expect("a transaction");
    alert(&late, &ada).await;
    for _ in 0..OTHERS {
        alert(db, &bob).await;
        others.alert().await.expect("bob's alert");
    }
    let early = timeout(QUIET, stream.alert()).await;
    assert!(early.is_err(), "it is not committed: {early:?}");
    late.commit().await.expect("committed");
    stream.alert().await.expect("ada's alert");
}

#[tokio::test]
async fn an_alert_that_is_committed_late_is_not_passed_over() {
    let url = Stack::get().database_url(&stack::fresh_database());
    let set = [
        ("database.url", url.as_str()),
        ("auth.jwt_secret_key", stack::SIGNING_KEY),
        ("streams.poll_ms", "20"),
    ];
    let world = World::with(&set, Clock::system()).await;
    let [ada, bob] = [world.register("ada").await, world.register("bob").await];
    // Each is one connection.
    let [slow, db] = [stack::connect(&url).await, stack::connect(&url).await];
    for _ in 0..3 {
        the_late_one_comes(&world, [&ada, &bob], &slow, &db).await;
    }

    // One that had begun before the server did.
    let late = slow.begin().await.expect("a transaction");
    alert(&late, &ada).await;
    alert(&db, &bob).await;
    let (ended, data_dir) = world.stop().await;
    ended.expect("a clean end");
    let world = World::on(data_dir, &set, Clock::system()).await;
    let [ada, bob] = [ada.at(&world), bob.at(&world)];
    let mut stream = ada.follow(None).await;
    let mut others = bob.follow(None).await;
    for _ in 0..OTHERS {
        alert(&db, &bob).await;
        others.alert().await.expect("bob's alert");
    }
    late.commit().await.expect("committed");
    stream.alert().await.expect("ada's alert");
}
