//! What people choose to be told of, how, and when: the resource, its defaults, and what does not fit.

use reqwest::Method;
use serde_json::{Value, json};
use wealth_companion::links::{CONFIRM_PATH, UNSUBSCRIBE_PATH};
use wealth_companion::store::event_log::LogPosition;

use crate::support::chain::log_of;
use crate::support::{Answer, Person, Rows, World};

const PATH: &str = "/v1/me/notifications";
const ASK: &str = "/v1/me/notifications/confirmation";

async fn chosen(person: &Person) -> Answer {
    person.get(PATH).await.expect(200)
}

#[tokio::test]
async fn who_has_chosen_nothing_is_told_of_all_in_the_application() {
    let world = World::start().await;
    let ada = world.register("ada").await;
    let usual = chosen(&ada).await;
    let kinds = usual.body["kinds"].as_object().expect("kinds");
    let names: Vec<&String> = kinds.keys().collect();
    assert_eq!(
        names,
        [
            "anomaly",
            "budget_exceeded",
            "budget_warning",
            "forecast",
            "goal_achieved",
            "savings_tip",
            "spending_pattern",
            "subscription",
        ]
    );
    for channels in kinds.values() {
        assert_eq!(*channels, json!({"in_app": true, "email": false}));
    }
    assert_eq!(usual.body["quiet_hours"], Value::Null);
    assert_eq!(usual.body["digest"], "none");
    assert_eq!(usual.body["digest_hour"], "08:00");
    assert_eq!(usual.body["email_available"], false);
    assert_eq!(usual.body["email_state"], "unconfirmed");
    assert_eq!(usual.body["email_bounced_at"], Value::Null);
    assert_eq!(usual.header("etag"), "\"1\"");
}

#[tokio::test]
async fn what_is_chosen_is_kept_and_the_rest_stays() {
    let world = World::start().await;
    let (ada, bob) = (world.register("ada").await, world.register("bob").await);
    let change = json!({
        "kinds": {"budget_exceeded": {"email": true}, "savings_tip": {"in_app": false}},
        "quiet_hours": {"start": "22:00", "end": "07:30"}
    });
    let first = ada.patch(PATH, &change).await.expect(200);
    assert_eq!(first.header("etag"), "\"2\"");
    assert_eq!(
        first.body["kinds"]["budget_exceeded"],
        json!({"in_app": true, "email": true})
    );
    assert_eq!(
        first.body["kinds"]["savings_tip"],
        json!({"in_app": false, "email": false})
    );
    assert_eq!(
        first.body["quiet_hours"],
        json!({"start": "22:00", "end": "07:30"})
    );
    assert_eq!(chosen(&ada).await.body, first.body);
    let daily = json!({"digest": "daily", "digest_hour": "18:00", "kinds": {"forecast": {}}});
    let second = ada.patch(PATH, &daily).await.expect(200);
    assert_eq!(second.body["kinds"], first.body["kinds"]);
    assert_eq!(second.body["quiet_hours"], first.body["quiet_hours"]);
    assert_eq!(second.body["digest"], "daily");
    assert_eq!(second.body["digest_hour"], "18:00");
    let back = json!({
        "kinds": {"budget_exceeded": {"email": false}, "savings_tip": {"in_app": true}},
        "quiet_hours": null, "digest": "none", "digest_hour": "08:00", "email_state": "ok"
    });
    let last = ada.patch(PATH, &back).await.expect(200);
    let mut usual = chosen(&bob).await.body;
    assert_eq!(usual["version"], 1, "what others choose is theirs");
    usual["version"] = json!(4);
    assert_eq!(last.body, usual);
    // A change is for the version that was read.
    let stale = ada.request(Method::PATCH, PATH).header("If-Match", "\"3\"");
    let stale = Answer::to(stale.json(&daily)).await;
    assert_eq!(stale.problem(412, "stale").header("etag"), "\"4\"");
    let blind = ada.request(Method::PATCH, PATH).json(&daily);
    Answer::to(blind).await.expect(428);
    let first_of_bob = bob.request(Method::PATCH, PATH).header("If-Match", "\"1\"");
    Answer::to(first_of_bob.json(&daily)).await.expect(200);
}

#[tokio::test]
async fn what_does_not_fit_is_refused_and_nothing_is_written() {
    let world = World::start().await;
    let ada = world.register("ada").await;
    let rows = Rows::of(&world).await;
    let before = rows.all().await;
    for (body, pointers) in [
        (
            json!({"kinds": {"no_such": {"email": true}}}),
            &["/kinds/no_such"][..],
        ),
        (
            json!({"kinds": {"forecast": {"sms": true}}}),
            &["/kinds/forecast/sms"],
        ),
        (
            json!({"kinds": {"forecast": {"email": "yes"}}}),
            &["/kinds/forecast/email"],
        ),
        (
            json!({"kinds": {"forecast": {"email": null}}}),
            &["/kinds/forecast/email"],
        ),
        (json!({"kinds": {"forecast": null}}), &["/kinds/forecast"]),
        (json!({"kinds": null}), &["/kinds"]),
        (json!({"kinds": []}), &["/kinds"]),
        (
            json!({"quiet_hours": {"start": "22:00"}}),
            &["/quiet_hours/end"],
        ),
        (
            json!({"quiet_hours": {"start": "24:00", "end": "7:00"}}),
            &["/quiet_hours/start", "/quiet_hours/end"],
        ),
        (
            json!({"quiet_hours": {"start": "22:00", "end": "22:00"}}),
            &["/quiet_hours/end"],
        ),
        (
            json!({"quiet_hours": {"start": 22, "end": 7}}),
            &["/quiet_hours/end"],
        ),
        (json!({"digest": "weekly"}), &["/digest"]),
        (json!({"digest": null}), &["/digest"]),
        (json!({"digest_hour": "08:30"}), &["/digest_hour"]),
        (json!({"digest_hour": "24:00"}), &["/digest_hour"]),
        (json!({"digest_hour": null}), &["/digest_hour"]),
        (json!({"email_state": "bounced"}), &["/email_state"]),
        (json!({"email_state": "unconfirmed"}), &["/email_state"]),
        (json!({"email_state": "fine"}), &["/email_state"]),
        (json!({"email_available": true}), &["/email_available"]),
        (
            json!({
                "kinds": {"a/b~": {}}, "quiet_hours": {"start": "1", "end": "22:61"}, "digest_hour": "eight", "email_state": "bounced"
            }),
            &[
                "/quiet_hours/start",
                "/quiet_hours/end",
                "/digest_hour",
                "/email_state",
                "/kinds/a~1b~0",
            ],
        ),
    ] {
        let answer = ada.patch(PATH, &body).await.problem(422, "validation");
        let errors = answer.body["errors"].as_array().expect("errors");
        let found: Vec<&str> = errors
            .iter()
            .map(|error| error["pointer"].as_str().expect("a pointer"))
            .collect();
        assert_eq!(found, pointers, "{body}");
    }
    for body in [
        "",
        "{",
        "[]",
        "{\"kinds\": {\"forecast\": {\"email\": true}}",
    ] {
        let request = ada.request(Method::PATCH, PATH).header("If-Match", "*");
        let request = request
            .header("Content-Type", "application/json")
            .body(body);
        let status = Answer::to(request).await.status;
        assert!(matches!(status, 400 | 422), "{body}: {status}");
    }
    rows.unchanged(&before, "bad choices").await;
}

#[tokio::test]
async fn scripts_read_what_is_chosen_and_do_not_change_it() {
    let world = World::start().await;
    let ada = world.register("ada").await;
    let body = json!({"name": "Script", "scopes": ["read", "write", "ai"]});
    let made = ada.post("/v1/tokens", &body).await.expect(201);
    let script = ada.with_token(&made.text("secret"));
    script.get(PATH).await.expect(200);
    let change = json!({"digest": "daily"});
    script.patch(PATH, &change).await.problem(403, "forbidden");
    let asked = script.post(ASK, &Value::Null).await;
    asked.problem(403, "forbidden");
    assert_eq!(chosen(&ada).await.body["digest"], "none");
}

#[tokio::test]
async fn a_link_that_nobody_made_does_nothing() {
    let world = World::start().await;
    let ada = world.register("ada").await;
    let email = json!({"kinds": {"budget_exceeded": {"email": true}}});
    ada.patch(PATH, &email).await.expect(200);
    let rows = Rows::of(&world).await;
    let before = rows.all().await;
    let (long, longer) = ("A".repeat(64), "A".repeat(75));
    for query in [
        "?token=",
        "?token=abc",
        &format!("?token={long}"),
        &format!("?token={longer}"),
        &format!("?token={}", ada.id),
        &format!("?token={}", ada.token),
        "?token=%F0%9F%A6%80",
        "",
        "?other=1",
        &format!("?token={long}&token={long}"),
    ] {
        for (method, path) in [
            (Method::GET, UNSUBSCRIBE_PATH),
            (Method::POST, UNSUBSCRIBE_PATH),
            (Method::GET, CONFIRM_PATH),
            (Method::POST, CONFIRM_PATH),
        ] {
            let url = format!("{}{path}{query}", world.url);
            let answer = Answer::to(world.http.request(method.clone(), url)).await;
            assert_eq!(answer.status, 422, "{method} {path}{query}");
            answer.problem(422, "validation");
        }
    }
    rows.unchanged(&before, "links that nobody made").await;
}

#[tokio::test]
async fn a_server_that_sends_no_mail_asks_for_no_address() {
    let world = World::start().await;
    let ada = world.register("ada").await;
    let rows = Rows::of(&world).await;
    let before = rows.all().await;
    let asked = ada.post(ASK, &Value::Null).await.problem(409, "conflict");
    let detail = asked.text("detail");
    assert!(detail.contains("sends no e-mail"), "{detail}");
    rows.unchanged(&before, "what is not sent").await;
    // What she chooses is kept all the same, and nobody is asked for anything.
    let email = json!({"kinds": {"budget_exceeded": {"email": true}}});
    let chosen = ada.patch(PATH, &email).await.expect(200);
    assert_eq!(chosen.body["email_state"], "unconfirmed");
    assert_eq!(chosen.body["email_available"], false);
    let store = world.store().await;
    assert!(log_of(&store, LogPosition::default()).await.is_empty());
}
