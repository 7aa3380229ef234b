//! A double of the Gemini API that speaks its wire format over HTTP, its errors too. Requests and answers are those of
//! <https://ai.google.dev/api/generate-content>; errors have the shape of
//! <https://cloud.google.com/apis/design/errors>, with the details that the API sends: a `RetryInfo` with a quota that
//! is used up, an `ErrorInfo` with a key that it does not know (which it repeats in a `DebugInfo`).

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web::{self, Bytes};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::sync::Notify;

/// The key that it knows.
pub(crate) const KEY: &str = "AIza-S3CR3T-k3y";
/// The model that it has.
pub(crate) const MODEL: &str = "gemini-3.5-flash-lite";

/// What it does with a question.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// The rules' words, with something before the title and behind the message.
    Around(&'static str, &'static str),
    /// Any text, and how it ended.
    Text(&'static str, String),
    /// A status and its body.
    Body(u16, String),
    /// The rules' words, when the test says so.
    WhenTold,
    /// The head of an answer, a part of its body, and the end of the connection.
    Cut,
}

/// A running double.
pub(crate) struct Gemini {
    pub(crate) url: String,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// What it does next; after that the rules' words.
    script: Mutex<VecDeque<Reply>>,
    heard: Mutex<Vec<Heard>>,
    came: Notify,
    told: Notify,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Heard {
    pub(crate) uri: String,
    pub(crate) headers: String,
    pub(crate) body: Value,
}

impl Heard {
    /// What was asked, as JSON.
    pub(crate) fn question(&self) -> Value {
        let text = self.body["contents"][0]["parts"][0]["text"].as_str();
        serde_json::from_str(text.expect("a text")).expect("JSON")
    }
}

impl Gemini {
    pub(crate) fn start() -> Self {
        let shared = Arc::<Shared>::default();
        let data = web::Data::from(Arc::clone(&shared));
        let server = HttpServer::new(move || {
            App::new().app_data(data.clone()).route(
                "/v1beta/models/{model}:generateContent",
                web::post().to(generate),
            )
        });
        let server = server.workers(1).disable_signals();
        let server = server.bind(("127.0.0.1", 0)).expect("a free port");
        let url = format!("http://{}", server.addrs()[0]);
        tokio::spawn(server.run());
        Self { url, shared }
    }

    /// What it does with the next questions.
    pub(crate) fn next(&self, replies: impl IntoIterator<Item = Reply>) {
        lock(&self.shared.script).extend(replies);
    }

    /// All that was asked.
    pub(crate) fn heard(&self) -> Vec<Heard> {
        lock(&self.shared.heard).clone()
    }

    /// How often it was asked.
    pub(crate) fn count(&self) -> usize {
        lock(&self.shared.heard).len()
    }

    /// Waits until somebody asks.
    pub(crate) async fn asked(&self) {
        let came = self.shared.came.notified();
        let waited = tokio::time::timeout(Duration::from_secs(20), came).await;
        waited.expect("a question");
    }

    /// Lets go of a question that waits.
    pub(crate) fn tell(&self) {
        self.shared.told.notify_one();
    }
}

async fn generate(
    shared: web::Data<Shared>,
    head: HttpRequest,
    model: web::Path<String>,
    body: Bytes,
) -> HttpResponse {
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    let key = head.headers().get("x-goog-api-key").cloned();
    lock(&shared.heard).push(Heard {
        uri: head.uri().to_string(),
        headers: format!("{:?}", head.headers()),
        body: body.clone(),
    });
    shared.came.notify_one();
    if key.is_none_or(|key| key != KEY) {
        return sent(400, bad_key());
    }
    if *model != MODEL {
        return sent(404, error(404, "NOT_FOUND", &json!([])));
    }
    if let Err(fault) = check(&body) {
        let violation = json!([{
            "@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [{"description": fault}],
        }]);
        return sent(400, error(400, "INVALID_ARGUMENT", &violation));
    }
    let reply = lock(&shared.script).pop_front();
    let reply = reply.unwrap_or(Reply::Around("", ""));
    if matches!(reply, Reply::WhenTold) {
        shared.told.notified().await;
    }
    match reply {
        Reply::Around(before, after) => sent(200, around(&body, before, after)),
        Reply::WhenTold => sent(200, around(&body, "Now: ", "")),
        Reply::Text(finish, text) => sent(200, answer(finish, &text)),
        Reply::Body(status, body) => sent(status, body),
        Reply::Cut => {
            let pieces = [
                Ok(Bytes::from_static(b"{\"candidates\": [{\"content\"")),
                Err(std::io::Error::other("cut")),
            ];
            HttpResponse::Ok().streaming(stream::iter(pieces))
        }
    }
}

fn sent(status: u16, body: String) -> HttpResponse {
    let status = StatusCode::from_u16(status).expect("a status");
    HttpResponse::build(status)
        .content_type("application/json; charset=UTF-8")
        .body(body)
}

/// Google refuses fields that it does not know, and values that are none.
fn check(body: &Value) -> Result<(), String> {
    only(body, &["systemInstruction", "contents", "generationConfig"])?;
    let contents = [&body["contents"][0], &body["systemInstruction"]];
    for content in contents {
        only(content, &["role", "parts"])?;
        let parts = content["parts"].as_array().ok_or("parts")?;
        for part in parts {
            only(part, &["text"])?;
            part["text"].as_str().ok_or("text")?;
        }
    }
    let config = &body["generationConfig"];
    let known = [
        "candidateCount",
        "maxOutputTokens",
        "responseMimeType",
        "responseSchema",
        "thinkingConfig",
    ];
    only(config, &known)?;
    only(&config["thinkingConfig"], &["thinkingLevel"])?;
    let level = config["thinkingConfig"]["thinkingLevel"].as_str();
    let is_level = level.is_some_and(|it| ["minimal", "low", "medium", "high"].contains(&it));
    let schema = &config["responseSchema"];
    only(
        schema,
        &["type", "properties", "required", "propertyOrdering"],
    )?;
    let is_schema = schema["type"] == "OBJECT" && config["responseMimeType"] == "application/json";
    let is_good = is_level && is_schema && config["maxOutputTokens"].is_u64();
    if is_good {
        Ok(())
    } else {
        Err("generationConfig".to_owned())
    }
}

fn only(value: &Value, known: &[&str]) -> Result<(), String> {
    let fields = value.as_object().ok_or("not an object")?;
    match fields.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(format!("Unknown name \"{key}\"")),
        None => Ok(()),
    }
}

fn around(body: &Value, before: &str, after: &str) -> String {
    let text = body["contents"][0]["parts"][0]["text"].as_str();
    let question: Value = serde_json::from_str(text.expect("a text")).expect("JSON");
    let of = |field: &str| question[field].as_str().expect("a text").to_owned();
    let said = json!({
        "title": format!("{before}{}", of("title")), "message": format!("{}{after}", of("message")),
    });
    answer("STOP", &said.to_string())
}

/// An answer of the API: one candidate, and what it took.
pub(crate) fn answer(finish: &str, text: &str) -> String {
    json!({
        "candidates": [{
            "content": {"parts": [{"text": text}], "role": "model"}, "finishReason": finish, "index": 0,
        }],
        "usageMetadata": {
            "promptTokenCount": 400, "candidatesTokenCount": 100, "totalTokenCount": 500,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 400}],
        },
        "modelVersion": MODEL, "responseId": "2pmHaJqQEoqC-8YP6eStyAY",
    })
    .to_string()
}

/// An answer to a question that it does not want to answer.
pub(crate) fn blocked() -> String {
    json!({
        "promptFeedback": {"blockReason": "SAFETY", "safetyRatings": [
            {"category": "HARM_CATEGORY_DANGEROUS_CONTENT", "probability": "HIGH", "blocked": true},
        ]},
        "usageMetadata": {"promptTokenCount": 400, "totalTokenCount": 400},
        "modelVersion": MODEL,
    })
    .to_string()
}

/// An error of Google's APIs.
pub(crate) fn error(code: u16, status: &str, details: &Value) -> String {
    let message = format!("In words, which may repeat the key: {KEY}");
    json!({"error": {"code": code, "message": message, "status": status, "details": details}})
        .to_string()
}

/// A quota is used up: somebody may ask again after so many seconds.
pub(crate) fn quota(seconds: u32) -> String {
    let details = json!([
        {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{
            "quotaMetric": "generativelanguage.googleapis.com/generate_content_free_tier_requests",
            "quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier",
            "quotaDimensions": {"location": "global", "model": MODEL}, "quotaValue": "20",
        }]},
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": format!("{seconds}.5s")},
    ]);
    error(429, "RESOURCE_EXHAUSTED", &details)
}

/// A key that nobody knows.
fn bad_key() -> String {
    let details = json!([
        {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID",
            "domain": "googleapis.com", "metadata": {"service": "generativelanguage.googleapis.com"},
        },
        {"@type": "type.googleapis.com/google.rpc.DebugInfo", "detail": "Invalid API key: wr0ng-S3CR3T"},
    ]);
    error(400, "INVALID_ARGUMENT", &details)
}

fn lock<T>(kept: &Mutex<T>) -> MutexGuard<'_, T> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}
