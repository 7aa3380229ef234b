use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actix_web::web::{self, Bytes};
use actix_web::{App, HttpResponse, HttpServer};
use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::path_of;
use crate::support::{Answer, Document, Operation, Person, Process, Things, until};

/// An amount that nobody has by chance. Whole units and minor units begin with the same digits.
const AMOUNT: &str = "48151623.42";
const PASSWORD: &str = "canary-password";

/// Headers that clients send. Of these two it is the client who chooses what the log says, to find it
/// there: `X-Request-Id` and a good `traceparent`.
const HEADERS: [(&str, &str); 18] = [
    ("accept", "text/canary"),
    ("accept-language", "canary"),
    ("authorization", "Bearer canary.canary.canary"),
    ("authorization", "Basic Y2FuYXJ5OmNhbmFyeQ"),
    ("baggage", "canary=canary"),
    ("content-type", "canary/canary"),
    ("cookie", "canary=canary"),
    ("forwarded", "for=canary"),
    ("idempotency-key", "canary"),
    ("if-match", "\"canary\""),
    ("last-event-id", "canary"),
    ("origin", "https://canary.example"),
    ("referer", "https://canary.example/canary"),
    ("traceparent", "canary"),
    ("tracestate", "canary=canary"),
    ("user-agent", "canary/1.0"),
    ("x-forwarded-for", "canary"),
    ("x-canary", "canary"),
];

/// Keeps all that is said of spans, as a collector of traces would get it. As text, not as the bytes that came: among so
/// many ids of random bytes any few letters stand by chance.
struct Outside {
    url: String,
    kept: Arc<Mutex<String>>,
}

impl Outside {
    fn start() -> Self {
        let kept = Arc::<Mutex<String>>::default();
        let data = web::Data::from(Arc::clone(&kept));
        let server = HttpServer::new(move || {
            let keeps = async |kept: web::Data<Mutex<String>>, body: Bytes| {
                let said = ExportTraceServiceRequest::decode(body).expect("OTLP");
                lock(&kept).push_str(&format!("{said:#?}\n"));
                HttpResponse::Ok().finish()
            };
            App::new()
                .app_data(data.clone())
                .app_data(web::PayloadConfig::new(64 << 20))
                .default_service(web::to(keeps))
        });
        let server = server.workers(1).disable_signals();
        let server = server.bind(("127.0.0.1", 0)).expect("a free port");
        let url = format!("http://{}", server.addrs()[0]);
        tokio::spawn(server.run());
        Self { url, kept }
    }

    fn text(&self) -> String {
        lock(&self.kept).clone()
    }
}

fn lock(kept: &Mutex<String>) -> MutexGuard<'_, String> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A process with somebody about whom everything is a secret.
struct Story {
    process: Process,
    document: Document,
    ada: Person,
    things: Things,
    /// Tokens that were given out.
    tokens: Vec<String>,
    sent: usize,
    accepted: usize,
}

impl Story {
    async fn begin(process: Process) -> Self {
        let url = format!("{}/openapi.json", process.url);
        let document = Document(Answer::to(process.http.get(url)).await.expect(200).body);
        let ada = person(&process, "register", "canary-ada").await;
        let things = Things::of(&ada, &document).await;
        let secret = script(&ada).await;
        Self {
            tokens: vec![ada.token.clone(), ada.refresh_token.clone(), secret],
            process,
            document,
            ada,
            things,
            sent: 0,
            accepted: 0,
        }
    }

    /// Whose session the operation may end.
    async fn who(&mut self, operation: &Operation) -> Person {
        let who = match (operation.method.as_str(), operation.path.as_str()) {
            ("DELETE", "/v1/me") => {
                let name = format!("canary-{}", self.sent);
                person(&self.process, "register", &name).await
            }
            ("POST", "/v1/auth/logout") => person(&self.process, "login", "canary-ada").await,
            _ => return self.ada.clone(),
        };
        self.tokens.push(who.token.clone());
        self.tokens.push(who.refresh_token.clone());
        who
    }

    /// The operation without a body.
    async fn request(&mut self, operation: &Operation) -> RequestBuilder {
        let path = path_of(operation, &self.things);
        let who = self.who(operation).await;
        who.request(operation.method.clone(), &path)
    }

    async fn send(&mut self, request: RequestBuilder) {
        let answer = request.send().await.expect("an answer");
        self.sent += 1;
        self.accepted += usize::from(answer.status().is_success());
        let media = answer.headers().get("content-type");
        let is_stream = media.is_some_and(|it| it == "text/event-stream");
        if !is_stream {
            let answer = Answer::read(answer).await;
            for token in ["access_token", "refresh_token", "secret"] {
                let token = answer.body[token].as_str().map(ToOwned::to_owned);
                self.tokens.extend(token);
            }
        }
    }

    async fn spoil_path_and_headers(&mut self, operation: &Operation) {
        for (name, value) in HEADERS {
            let mut request = self.request(operation).await;
            if name == "authorization" {
                let url = format!("{}{}", self.process.url, path_of(operation, &self.things));
                request = self.process.http.request(operation.method.clone(), url);
            }
            if let Some(schema) = &operation.body {
                request = request.json(&self.things.example(schema));
            }
            self.send(request.header(name, value)).await;
        }
        let queries = operation.query.iter().map(String::as_str);
        let queries: Vec<&str> = queries.chain(["canary"]).collect();
        for name in queries {
            for value in ["canary", AMOUNT, "canary@example.com"] {
                let request = self.request(operation).await;
                self.send(request.query(&[(name, value)])).await;
            }
        }
        if operation.path.contains('{') {
            let path = operation.path_with("canary");
            let request = self.ada.request(operation.method.clone(), &path);
            self.send(request).await;
        }
    }

    async fn spoil_body(&mut self, operation: &Operation, schema: &Value) {
        let names = schema["properties"].as_object().expect("properties");
        let names = names.keys().map(String::as_str).chain(["canary-field"]);
        for name in names {
            for value in 0..7 {
                let mark = format!("canary-{}", self.sent);
                let value = match value {
                    0 => json!(format!("canary-text-{}", self.sent)),
                    1 => json!([mark]),
                    2 => json!(format!("{mark}@example.com")),
                    3 => json!(AMOUNT),
                    4 => json!(4_815_162_342_u64),
                    5 => json!({mark: "canary"}),
                    _ => json!(mark.repeat(100)),
                };
                let mut body = self.things.example(schema);
                // Names are unique, and so are addresses.
                let unique = [
                    ("name", format!("canary-text {}", self.sent)),
                    ("email", format!("canary-{}@example.org", self.sent)),
                ];
                for (unique, text) in unique {
                    if body.get(unique).is_some() {
                        body[unique] = json!(text);
                    }
                }
                body[name] = value;
                let request = self.request(operation).await;
                let request = request.header("If-Match", "*");
                self.send(request.json(&body)).await;
            }
        }
        for raw in [
            "canary",
            "{\"canary",
            "\"canary\"",
            "[\"canary\"]",
            "{\"canary\": canary}",
        ] {
            let request = self.request(operation).await;
            let request = request.header("content-type", "application/json");
            self.send(request.header("If-Match", "*").body(raw)).await;
        }
    }

    /// Everything that one can say wrong or right, and a budget that breaks.
    async fn live(&mut self) {
        for operation in self.document.operations() {
            self.spoil_path_and_headers(&operation).await;
            if let Some(schema) = &operation.body {
                self.spoil_body(&operation, schema).await;
            }
        }
        for (method, path) in [
            ("GET", "/canary?canary=canary"),
            ("GET", "/v1/canary/%63anary"),
            ("CANARY", "/v1/me"),
            ("OPTIONS", "/v1/wallets?canary"),
        ] {
            let method: Method = method.parse().expect("a method");
            let request = self.ada.request(method, path);
            self.send(request).await;
        }
        let mut stream = self.ada.follow(None).await;
        let budget = json!({
            "name": "canary-budget", "category_ids": [], "amount": AMOUNT, "currency": "USD",
            "period": "yearly"
        });
        self.ada.post("/v1/budgets", &budget).await.expect(201);
        let spent = json!({
            "wallet_id": self.things.id("wallets"), "type": "expense", "amount": AMOUNT,
            "description": "canary-description", "payee": "canary-payee", "notes": "canary-notes"
        });
        self.ada.post("/v1/transactions", &spent).await.expect(201);
        let ada = self.ada.clone();
        until("she is told of the budget", async || {
            let alerts = ada.get("/v1/alerts?limit=200").await.expect(200);
            alerts.body.to_string().contains("canary-budget")
        })
        .await;
        stream.alert().await.expect("an alert");
    }

    /// What somebody else is told who does everything wrong, and with the ids of hers.
    async fn told_to(&self, bob: &Person) -> String {
        let mut told = String::new();
        for operation in self.document.operations() {
            if operation.path.ends_with("/stream") || operation.path.ends_with("/logout") {
                continue;
            }
            let path = path_of(&operation, &self.things);
            let url = format!("{}{path}", self.process.url);
            let asks = || bob.request(operation.method.clone(), &path);
            let http = &self.process.http;
            for request in [
                http.request(operation.method.clone(), url),
                asks(),
                asks().header("If-Match", "\"7\"").json(&json!({})),
                asks().header("If-Match", "*").json(&json!({"field": 1})),
                asks().query(&[("limit", "0"), ("field", "1")]),
            ] {
                // What he is told when it works is his own, but for one route that ends him.
                if operation.method == Method::DELETE && operation.path == "/v1/me" {
                    continue;
                }
                let answer = Answer::to(request).await;
                told.push_str(&format!("{:?} {}\n", answer.headers, answer.body));
            }
        }
        told
    }
}

/// The secret of a script of hers, which has come in, tried what it may not do, and was mistyped.
async fn script(ada: &Person) -> String {
    let token = json!({"name": "canary-script", "scopes": ["read"]});
    let made = ada.post("/v1/tokens", &token).await.expect(201);
    let mut script = ada.with_token(&made.text("secret"));
    script.get("/v1/wallets").await.expect(200);
    script.get("/v1/insights").await.problem(403, "forbidden");
    script.token.push('x');
    script.get("/v1/wallets").await.problem(401, "unauthorized");
    made.text("secret")
}

async fn person(process: &Process, way: &str, name: &str) -> Person {
    let url = format!("{}/v1/auth/{way}", process.url);
    let body = json!({"email": format!("{name}@example.com"), "password": PASSWORD});
    let answer = Answer::to(process.http.post(url).json(&body)).await;
    assert!(matches!(answer.status, 200 | 201), "{answer:?}");
    Person::signed_in(&process.url, &process.http, &answer.body)
}

/// The canary as it was sent, and as it might come out: in base 64, wherever it begins, and in
/// hexadecimal.
fn needles() -> Vec<String> {
    let mut needles = vec![
        "canary".to_owned(),
        hex::encode("canary"),
        "48151623".to_owned(),
        // Hashes, and tokens of ours.
        "argon2".to_owned(),
        "eyj".to_owned(),
        "wct_".to_owned(),
    ];
    for before in ["", "x", "xx"] {
        let encoded = BASE64_STANDARD_NO_PAD.encode(format!("{before}canary"));
        // The letters at both ends depend on what stands beside.
        let whole = &encoded[before.len() + usize::from(!before.is_empty())..encoded.len() - 1];
        needles.push(whole.to_lowercase());
    }
    needles
}

#[track_caller]
fn is_silent(what: &str, text: &str, tokens: &[String]) {
    let lower = text.to_lowercase();
    for needle in needles() {
        let found: Vec<&str> = lower.lines().filter(|it| it.contains(&needle)).collect();
        let found = &found[..found.len().min(5)];
        assert!(found.is_empty(), "{needle} in {what}: {found:#?}");
    }
    for token in tokens {
        assert!(!text.contains(token), "a token in {what}");
    }
}

#[tokio::test]
async fn what_is_sent_comes_out_nowhere_else() {
    let (folder, outside) = (TempDir::new().expect("a folder"), Outside::start());
    let set = [
        // Of a path that it cannot read, the framework tells at its own level debug.
        ("log.level", "debug,actix_web=info,wealth_companion=trace"),
        ("traces.exporter", "otlp"),
        ("traces.otlp_endpoint", &*outside.url),
        ("traces.sample_percent", "100"),
        ("traces.slow_ms", "1"),
    ];
    let process = Process::start(folder.path(), &set).await;
    let bob = process.register("bob").await;
    let mut story = Story::begin(process).await;
    story.live().await;
    assert!(story.sent > 1_000, "{} were sent", story.sent);
    assert!(story.accepted > 100, "{} were accepted", story.accepted);

    let told = story.told_to(&bob).await;
    is_silent("what others are told", &told, &story.tokens);
    // Who leaves is said to leave, and no more.
    story.ada.delete("/v1/me").await.expect(204);
    let Story {
        process, tokens, ..
    } = story;
    for path in ["/metrics", "/readyz", "/livez", "/log-level"] {
        is_silent(path, &process.internal_text(path).await, &tokens);
    }
    let (lines, errors) = process.stop().await;
    is_silent("the log", &lines.join("\n"), &tokens);
    assert_eq!(errors, "", "the error output is for crashes");
    let spans = outside.text();
    is_silent("the spans", &spans, &tokens);
    // All of it was there to be searched.
    let has_debug = lines.iter().any(|it| it.contains("\"level\":\"DEBUG\""));
    assert!(has_debug, "{lines:#?}");
    for span in ["POST /v1/wallets", "SELECT", "event_log", "notifier"] {
        assert!(spans.contains(span), "no {span} in the spans");
    }
}
