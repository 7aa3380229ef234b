//! What the program writes about a request: one line, and nothing of what people wrote.

use reqwest::{Client, Method};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Answer, Process};

/// Words that people write, none of which may be in the log.
const EMAIL: &str = "canary-mail";
const PASSWORD: &str = "canary-password-1";
const AMOUNT: &str = "4711.17";

/// A request with an id of its own.
struct Asked {
    id: String,
    method: &'static str,
    route: &'static str,
    status: u16,
}

struct Caller<'a> {
    http: Client,
    url: &'a str,
    token: String,
    asked: Vec<Asked>,
}

impl Caller<'_> {
    async fn ask(
        &mut self,
        method: &'static str,
        path: &str,
        route: &'static str,
        status: u16,
        body: Option<Value>,
    ) -> Answer {
        let id = format!("ask-{}", self.asked.len());
        let verb: Method = method.parse().expect("a method");
        let mut request = self
            .http
            .request(verb, format!("{}{path}", self.url))
            .header("X-Request-Id", &id)
            .header("If-Match", "*")
            .header(
                "traceparent",
                format!("00-{}-00f067aa0ba902b7-01", trace_id(&id)),
            );
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        if let Some(body) = body {
            request = request
                .header("Idempotency-Key", format!("canary-key-{id}"))
                .json(&body);
        }
        let answer = Answer::to(request).await;
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        self.asked.push(Asked {
            id,
            method,
            route,
            status,
        });
        answer
    }
}

fn trace_id(request_id: &str) -> String {
    let number: u32 = request_id
        .trim_start_matches("ask-")
        .parse()
        .expect("a number");
    format!("{:032x}", 0xabc_0000 + number)
}

/// Everything that somebody may do right and wrong; gives the secrets that came up.
async fn live_a_day(client: &mut Caller<'_>) -> Vec<String> {
    let email = format!("{EMAIL}@example.com");
    let new = json!({"email": email, "password": PASSWORD});
    let wrong = json!({"email": email, "password": "canary-wrong-password"});
    let (register, login) = ("/v1/auth/register", "/v1/auth/login");
    client
        .ask("POST", register, register, 201, Some(new.clone()))
        .await;
    client
        .ask("POST", register, register, 409, Some(new.clone()))
        .await;
    client.ask("POST", login, login, 401, Some(wrong)).await;
    let session = client.ask("POST", login, login, 200, Some(new)).await;
    let refresh = json!({"refresh_token": session.text("refresh_token")});
    client.token = session.text("access_token");
    let me = "/v1/me";
    client
        .ask("PATCH", me, me, 200, Some(json!({"name": "canary-name"})))
        .await;
    client
        .ask(
            "PATCH",
            me,
            me,
            422,
            Some(json!({"currency": "canary-currency"})),
        )
        .await;
    let wallets = "/v1/wallets";
    let wallet = json!({
        "name": "canary-wallet", "type": "bank", "currency": "USD", "opening_balance": AMOUNT
    });
    let wallet = client
        .ask("POST", wallets, wallets, 201, Some(wallet))
        .await
        .id();
    let budgets = "/v1/budgets";
    let budget = json!({
        "name": "canary-budget", "category_ids": [], "amount": "0.07", "currency": "USD", "period": "yearly"
    });
    client
        .ask("POST", budgets, budgets, 201, Some(budget))
        .await;
    let bookings = "/v1/transactions";
    let booking = json!({
        "wallet_id": wallet, "type": "expense", "amount": AMOUNT, "description": "canary-description",
        "payee": "canary-payee", "notes": "canary-notes"
    });
    client
        .ask("POST", bookings, bookings, 201, Some(booking))
        .await;
    let broken = json!({"amount": AMOUNT, "canary-field": "canary-value"});
    client
        .ask("POST", bookings, bookings, 422, Some(broken))
        .await;
    let path = format!("{wallets}/{wallet}");
    client
        .ask("GET", &path, "/v1/wallets/{id}", 200, None)
        .await;
    let query = format!("{bookings}?min_amount={AMOUNT}");
    client.ask("GET", &query, bookings, 200, None).await;
    client
        .ask(
            "GET",
            "/v1/wallets?canary-query=canary-value",
            wallets,
            422,
            None,
        )
        .await;
    client
        .ask(
            "GET",
            "/v1/wallets/canary-path",
            "/v1/wallets/{id}",
            404,
            None,
        )
        .await;
    client
        .ask("GET", "/canary-path?canary-query", "unmatched", 404, None)
        .await;
    client.ask("PUT", me, me, 405, None).await;
    let exchange = "/v1/auth/refresh";
    client
        .ask("POST", exchange, exchange, 200, Some(refresh.clone()))
        .await;
    client
        .ask("POST", exchange, exchange, 401, Some(refresh))
        .await;
    client.ask("GET", me, me, 401, None).await;
    let old = client.token.clone();
    client.token = "canary-token".to_owned();
    client.ask("GET", me, me, 401, None).await;
    client.token = String::new();
    client.ask("POST", login, login, 415, None).await;
    vec![old, session.text("refresh_token")]
}

#[tokio::test]
async fn a_request_is_one_line_that_tells_nothing_of_people() {
    let folder = TempDir::new().expect("a folder");
    let process = Process::start(folder.path(), &[]).await;
    let url = process.url.clone();
    let mut client = Caller {
        http: Client::new(),
        url: &url,
        token: String::new(),
        asked: Vec::new(),
    };
    let secrets = live_a_day(&mut client).await;
    let asked = std::mem::take(&mut client.asked);
    drop(client);
    let (lines, errors) = process.stop().await;

    assert_eq!(errors, "", "the error output is for crashes");
    let all = lines.join("\n").to_lowercase();
    for word in ["canary", "4711", "@example", "argon2", "eyj"] {
        let found: Vec<&String> = lines
            .iter()
            .filter(|it| it.to_lowercase().contains(word))
            .collect();
        assert!(found.is_empty(), "{word} in {found:#?}");
    }
    for secret in secrets {
        assert!(
            !all.contains(&secret.to_lowercase()),
            "a token is in the log"
        );
    }
    let lines: Vec<Value> = lines
        .iter()
        .map(|line| serde_json::from_str(line).expect("every line is JSON"))
        .collect();
    let requests: Vec<&Value> = lines
        .iter()
        .filter(|it| it["message"] == "request")
        .collect();
    assert_eq!(
        requests.len(),
        asked.len(),
        "one line for a request: {requests:#?}"
    );
    for Asked {
        id,
        method,
        route,
        status,
    } in &asked
    {
        let of_it: Vec<&&Value> = requests
            .iter()
            .filter(|it| it["request_id"] == id.as_str())
            .collect();
        let [line] = of_it.as_slice() else {
            panic!("{id}: {of_it:?}");
        };
        assert_eq!(line["method"], *method, "{line}");
        assert_eq!(line["route"], *route, "{line}");
        assert_eq!(line["status"], *status, "{line}");
        assert_eq!(line["trace_id"], trace_id(id), "{line}");
        assert!(line["duration_us"].is_u64(), "{line}");
    }
}
