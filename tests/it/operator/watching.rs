//! `events lag` and `events tail`: what is on the topics, and who has read it.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use chrono::TimeDelta;
use wealth_companion::app::Role;
use wealth_companion::events::EventType;

use crate::support::kafka::Kafka;
use crate::support::recount::recount_of;
use crate::support::until;

#[tokio::test]
async fn lag_is_what_the_groups_have_still_to_read() {
    let kafka = Kafka::new().await;
    let chain = kafka.quiet_chain().await;
    for name in ["ada", "ben", "cleo"] {
        let household = chain.household(name).await;
        for _ in 0..7 {
            chain.spend(household, "1.00", "2026-11-10").await;
        }
    }
    let log = chain.log().await;
    kafka.publish_again(&log[..14]).await;
    let lag = kafka
        .run(&["events", "lag", "--json"])
        .await
        .ended(0)
        .json();
    assert_eq!(lag["total"], 14);
    let partitions = lag["partitions"].as_array().expect("partitions");
    // Three partitions of what each of the consumers hears.
    assert_eq!(partitions.len(), 21);
    assert!(partitions.iter().all(|it| it["committed"].is_null()));
    let sum: u64 = partitions.iter().filter_map(|it| it["lag"].as_u64()).sum();
    assert_eq!(sum, 14);

    let projector = kafka.start(&[Role::Projector]).await;
    until("all are read", || async {
        let lag = kafka.run(&["events", "lag", "--max", "0"]).await;
        lag.code == Some(0)
    })
    .await;
    projector.stop().await;
    kafka.publish_again(&log[14..]).await;
    let lag = kafka
        .run(&["events", "lag"])
        .await
        .ended(0)
        .with("7 events behind");
    assert!(lag.text.starts_with("group "), "{lag:?}");
    kafka.run(&["events", "lag", "--max", "7"]).await.ended(0);
    kafka.run(&["events", "lag", "--max", "6"]).await.ended(1);
    assert_eq!(recount_of(&chain.store).await.transactions, 21);
}

#[tokio::test]
async fn tail_shows_what_is_wanted_and_no_more() {
    let kafka = Kafka::new().await;
    let chain = kafka.quiet_chain().await;
    let ada = chain.household("ada").await;
    let ben = chain.household("ben").await;
    for _ in 0..3 {
        chain.spend(ada, "81.25", "2026-11-10").await;
        chain.spend(ben, "2.50", "2026-11-10").await;
    }
    kafka.publish_again(&chain.log().await).await;
    let created = kafka.topic(EventType::TransactionCreated);
    kafka
        .write(&created, Some(b"\xff"), Some(b"\x1b[31m no event"))
        .await;
    kafka.write(&created, None, None).await;

    let all = ["events", "tail", "--from", "beginning", "--no-follow"];
    let shown = kafka.run(&all).await.ended(0);
    assert_eq!(shown.text.lines().count(), 8, "{shown:?}");
    // No time of a record reads like that: a minute has 60 seconds.
    assert!(
        !shown.text.contains("81.25") && !shown.text.contains('\u{1b}'),
        "{shown:?}"
    );
    let shown = shown.with("a tombstone").with("not a CloudEvent");
    assert!(shown.text.contains(&ada.user_id.to_string()));

    let user = ada.user_id.to_string();
    let of_ada = [&all[..], &["--json", "--user", &user]].concat();
    let lines = kafka.run(&of_ada).await.ended(0).json_lines();
    assert_eq!(lines.len(), 3);
    for line in &lines {
        assert_eq!(line["key"], user.as_str());
        assert_eq!(line["value"]["data"]["amount"].to_string(), "81.25");
        assert!(line["wrong"].is_null() && line["written_at"].is_string());
    }
    let few = [
        &all[..],
        &[
            "--json",
            "--limit",
            "2",
            "--topic",
            "finance.transaction.created",
        ],
    ]
    .concat();
    assert_eq!(kafka.run(&few).await.ended(0).json_lines().len(), 2);
    // The whole name will do as well.
    let whole = [&all[..], &["--topic", &created]].concat();
    assert_eq!(kafka.run(&whole).await.ended(0).text.lines().count(), 8);
    let others = [&all[..], &["--topic", "ai.insight.generated"]].concat();
    assert_eq!(kafka.run(&others).await.ended(0).text, "");
    for (from, wanted) in [("-1h", 8), ("end", 0), ("2020-01-01", 8)] {
        let args = ["events", "tail", "--no-follow", "--from", from];
        assert_eq!(
            kafka.run(&args).await.ended(0).text.lines().count(),
            wanted,
            "{from}"
        );
    }
    let later = (chain.clock.now() + TimeDelta::hours(1)).to_rfc3339();
    let args = ["events", "tail", "--no-follow", "--from", &later];
    assert_eq!(kafka.run(&args).await.ended(0).text, "");
}

#[tokio::test]
async fn tail_follows_until_it_is_stopped() {
    let kafka = Kafka::new().await;
    let chain = kafka.quiet_chain().await;
    let ada = chain.household("ada").await;
    chain.spend(ada, "1.00", "2026-11-10").await;
    let log = chain.log().await;
    kafka.publish_again(&log).await;
    let mut command = kafka.command(&["events", "tail", "--json", "--from", "beginning"]);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("it runs");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let (mut lines, first) = tokio::task::spawn_blocking(move || {
        let first = lines.next();
        (lines, first)
    })
    .await
    .expect("it does not panic");
    assert!(
        first
            .expect("a line")
            .expect("text")
            .contains(&ada.user_id.to_string())
    );
    kafka.publish_again(&log).await;
    let next = tokio::task::spawn_blocking(move || lines.next()).await;
    next.expect("it does not panic")
        .expect("a line")
        .expect("text");
    let pid = child.id().to_string();
    let sent = std::process::Command::new("kill")
        .args(["-s", "INT", &pid])
        .status();
    assert!(sent.expect("kill").success());
    let ended = tokio::task::spawn_blocking(move || child.wait()).await;
    assert!(
        ended
            .expect("it does not panic")
            .expect("it ended")
            .success()
    );
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused_with_what_could_be() {
    let kafka = Kafka::without_topics(&[("kafka.timeout_ms", "2000")]);
    let unknown = kafka
        .run(&["events", "tail", "--topic", "finance.transaction.undone"])
        .await;
    unknown
        .ended(2)
        .refused("there are finance.transaction.created");
    let moment = kafka.run(&["events", "tail", "--from", "yesterday"]).await;
    moment.ended(2).refused("-30m");
    let user = kafka.run(&["events", "tail", "--user", "ada"]).await;
    user.ended(2)
        .refused("invalid value 'ada' for '--user <ID>'");
    for command in ["tail", "lag"] {
        let missing = kafka.run(&["events", command]).await;
        missing
            .ended(2)
            .refused("`events topics apply` makes what is missing");
    }
}
