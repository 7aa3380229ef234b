//! Live streams: nothing lost, nothing twice, nothing of somebody else's.

use std::time::Duration;

use serde_json::json;
use wealth_companion::clock::Clock;

use crate::support::chain::noon;
use crate::support::world::PASSWORD;
use crate::support::{Answer, Person, World};

/// Somebody with budgets that are all exceeded by spending a hundred dollars.
struct Spender {
    person: Person,
    wallet: String,
    category: String,
}

impl Spender {
    async fn new(world: &World, name: &str) -> Self {
        let person = world.register(name).await;
        Self {
            wallet: person.wallet("Checking", "USD", "0").await,
            category: person.category("Groceries").await,
            person,
        }
    }

    /// Gives two alerts for each new budget.
    async fn overspend(&self, world: &World, budgets: usize) {
        for _ in 0..budgets {
            self.person.budget(&[&self.category], "1.00").await;
        }
        let today = world.clock.now().date_naive().to_string();
        self.person
            .spend(&self.wallet, &self.category, "100.00", &today)
            .await;
    }
}

#[tokio::test]
async fn a_stream_goes_on_where_it_broke_off() {
    let world = World::start().await;
    let ada = Spender::new(&world, "ada").await;
    let mut stream = ada.person.follow(None).await;
    ada.overspend(&world, 3).await;
    let mut seen = Vec::new();
    for _ in 0..6 {
        seen.push(stream.alert().await.expect("an alert"));
    }
    drop(stream);
    let list = ada.person.alerts(6).await;
    let listed: Vec<_> = list.iter().rev().map(|alert| &alert["id"]).collect();
    let streamed: Vec<_> = seen.iter().map(|(_, alert)| &alert["id"]).collect();
    assert_eq!(streamed, listed);

    // More comes while nobody listens; then the server stops and starts.
    ada.overspend(&world, 1).await;
    ada.person.alerts(8).await;
    let (ended, data_dir) = world.stop().await;
    ended.expect("a clean end");
    let world = World::on(data_dir, &[], Clock::system()).await;
    let person = ada.person.at(&world);
    for resume in [0, 2, 5] {
        let mut stream = person.follow(Some(&seen[resume].0)).await;
        for missed in &seen[resume + 1..] {
            assert_eq!(&stream.alert().await.expect("a missed one"), missed);
        }
        let mut last: i64 = seen[5].0.parse().expect("a place");
        for _ in 0..2 {
            let (id, _) = stream.alert().await.expect("a missed one");
            let id = id.parse().expect("a place");
            assert!(id > last);
            last = id;
        }
    }
}

#[tokio::test]
async fn alerts_that_come_during_the_catch_up_come_once() {
    // One connection to read with: who catches up waits for the others, and the alerts come in between.
    let set = [
        ("streams.per_user_max", "1000"),
        ("database.read_connections_max", "1"),
    ];
    let world = World::with(&set, Clock::system()).await;
    let ada = Spender::new(&world, "ada").await;
    for round in 1..=5 {
        ada.person.budget(&[&ada.category], "1.00").await;
        let follows = (0..40).map(|_| ada.person.follow(Some("0")));
        let follows = futures_util::future::join_all(follows);
        let (streams, ()) = futures_util::future::join(follows, ada.overspend(&world, 0)).await;
        // What came twice would come before what comes next.
        ada.overspend(&world, 1).await;
        for mut stream in streams {
            for place in 1..=4 * round {
                let (id, _) = stream.alert().await.expect("an alert");
                assert_eq!(id, place.to_string());
            }
        }
    }
    assert_eq!(ada.person.alerts(20).await.len(), 20);
}

#[tokio::test]
async fn everybody_hears_their_own_on_all_their_streams() {
    let world = World::start().await;
    let people = [
        Spender::new(&world, "ada").await,
        Spender::new(&world, "bob").await,
    ];
    let mut streams = Vec::new();
    for spender in &people {
        for _ in 0..4 {
            streams.push((&spender.person, spender.person.follow(None).await));
        }
    }
    for spender in &people {
        spender.overspend(&world, 1).await;
    }
    for spender in people.iter().rev() {
        spender.overspend(&world, 1).await;
    }
    for (person, stream) in &mut streams {
        let mine = person.alerts(4).await;
        for alert in mine.iter().rev() {
            assert_eq!(stream.alert().await.expect("an alert").1["id"], alert["id"]);
        }
    }
    // Nor does resuming from the beginning show another's.
    let mut stream = people[1].person.follow(Some("0")).await;
    let first = stream.alert().await.expect("an alert").1;
    let mine = people[1].person.alerts(4).await;
    assert_eq!(first["id"], mine[3]["id"]);
}

#[tokio::test]
async fn a_quiet_stream_has_a_heartbeat() {
    let world = World::with(&[("streams.heartbeat_ms", "5")], Clock::system()).await;
    let ada = world.register("ada").await;
    let mut stream = ada.follow(None).await;
    for _ in 0..3 {
        let block = stream.block().await.expect("a block");
        assert_eq!(block, ": heartbeat\n\n");
    }
}

#[tokio::test]
async fn so_many_streams_at_once_and_a_closed_one_makes_room() {
    let set = [("streams.per_user_max", "2"), ("streams.heartbeat_ms", "5")];
    let world = World::with(&set, Clock::system()).await;
    let (ada, bob) = (world.register("ada").await, world.register("bob").await);
    let first = ada.follow(None).await;
    let _second = ada.follow(None).await;
    let third = || ada.request(reqwest::Method::GET, "/v1/alerts/stream");
    let refused = third().send().await.expect("an answer");
    assert_eq!(refused.status(), 429);
    assert!(refused.headers().contains_key("retry-after"));
    let _his = bob.follow(None).await;

    // The server finds out at the next heartbeat.
    drop(first);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    let reopened = loop {
        let answer = third().send().await.expect("an answer");
        if answer.status() == 200 {
            break answer;
        }
        assert_eq!(answer.status(), 429);
        assert!(tokio::time::Instant::now() < deadline, "no room");
        tokio::task::yield_now().await;
    };
    let refused = third().send().await.expect("an answer");
    assert_eq!(refused.status(), 429);
    drop(reopened);
}

#[tokio::test]
async fn a_stream_ends_with_its_access_token() {
    let set = [("auth.access_token_secs", "60")];
    let world = World::with(&set, Clock::fixed(noon())).await;
    let ada = world.register("ada").await;
    let mut long = ada.follow(None).await;
    world.clock.advance(Duration::from_millis(59_900));
    let mut short = ada.follow(None).await;
    assert_eq!(short.block().await, None, "its tenth of a second is over");
    // Whoever came earlier has a minute from then.
    let spender = Spender {
        wallet: ada.wallet("Checking", "USD", "0").await,
        category: ada.category("Groceries").await,
        person: ada,
    };
    spender.overspend(&world, 1).await;
    assert!(long.alert().await.is_some());
    world.clock.advance(Duration::from_millis(100));
    let late = spender.person.get("/v1/alerts/stream").await;
    late.problem(401, "unauthorized");
}

#[tokio::test]
async fn a_bad_last_event_id_is_refused() {
    let world = World::start().await;
    let ada = world.register("ada").await;
    for bad in ["x", "", "1.5", "99999999999999999999", "0x1"] {
        let request = ada
            .request(reqwest::Method::GET, "/v1/alerts/stream")
            .header("Last-Event-ID", bad);
        Answer::to(request).await.problem(422, "header");
    }
    // One that is not reached yet is taken: nothing older comes.
    let spender = Spender {
        wallet: ada.wallet("Checking", "USD", "0").await,
        category: ada.category("Groceries").await,
        person: ada.clone(),
    };
    spender.overspend(&world, 1).await;
    let alerts = ada.alerts(2).await;
    let mut stream = ada.follow(Some("1")).await;
    let (id, alert) = stream.alert().await.expect("an alert");
    assert_eq!((id.as_str(), &alert["id"]), ("2", &alerts[0]["id"]));
    assert_eq!(alert["read_at"], json!(null));
}

#[tokio::test]
async fn a_stream_ends_with_its_session_here_and_at_another_replica() {
    let world = World::with(&[], Clock::fixed(noon())).await;
    let other = world.beside(&[]).await;
    let ada = world.register("ada").await;
    let body = json!({"email": "ada@example.com", "password": PASSWORD});
    let session = world.post("/v1/auth/login", &body).await.expect(200).body;
    let elsewhere = Person::new(&world, &session);
    let (mut here, mut there) = (ada.follow(None).await, ada.at(&other).follow(None).await);
    let mut hers = elsewhere.follow(None).await;
    ada.post("/v1/auth/logout", &json!({})).await.expect(204);
    assert_eq!(here.alert_or_end().await, None);
    // The other replica looks every five seconds.
    let ended = tokio::time::timeout(Duration::from_secs(20), there.alert_or_end()).await;
    assert_eq!(ended.expect("in time"), None);

    let wallet = elsewhere.wallet("Checking", "USD", "0").await;
    let food = elsewhere.category("Groceries").await;
    elsewhere.budget(&[&food], "1.00").await;
    elsewhere.spend(&wallet, &food, "0.90", "2026-02-10").await;
    assert!(hers.alert().await.is_some(), "another session goes on");
    elsewhere.delete("/v1/me").await.expect(204);
    while hers.alert_or_end().await.is_some() {}
}
