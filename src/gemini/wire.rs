//! The bodies of `generateContent`, as far as they are of interest here.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Fault;

/// What is asked: texts of these names, about this.
#[derive(Debug, Clone, Copy)]
pub struct Question<'q> {
    /// What to do, whoever asks.
    pub instruction: &'q str,
    /// With what.
    pub text: &'q str,
    /// The names of the texts that are wanted.
    pub fields: &'q [&'q str],
}

/// The texts by their names, one for each that was asked for.
pub(super) type Texts = BTreeMap<String, String>;

/// What was counted of a question and its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Tokens {
    pub(super) sent: u64,
    pub(super) answered: u64,
}

impl Tokens {
    /// All of them.
    pub(super) const fn counted(self) -> u64 {
        self.sent.saturating_add(self.answered)
    }
}

/// The body of a request.
pub(super) fn request(question: &Question<'_>, model: &str, output_tokens_max: u32) -> Value {
    let fields = question.fields;
    let properties: Map<String, Value> = fields
        .iter()
        .map(|field| ((*field).to_owned(), json!({"type": "STRING"})))
        .collect();
    let mut config = json!({
        "candidateCount": 1,
        "maxOutputTokens": output_tokens_max,
        "responseMimeType": "application/json",
        "responseSchema": {
            "type": "OBJECT", "properties": properties, "required": fields, "propertyOrdering": fields,
        },
    });
    // There is nothing to think about. Models of the third generation are told in words, and are meant to keep
    // their own temperature; those before are told in tokens.
    if model.starts_with("gemini-3") {
        config["thinkingConfig"] = json!({"thinkingLevel": "minimal"});
    } else {
        config["temperature"] = json!(0.3);
        if model.starts_with("gemini-2.5-flash") {
            config["thinkingConfig"] = json!({"thinkingBudget": 0});
        }
    }
    json!({
        "systemInstruction": {"parts": [{"text": question.instruction}]},
        "contents": [{"role": "user", "parts": [{"text": question.text}]}],
        "generationConfig": config,
    })
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Response {
    candidates: Vec<Candidate>,
    prompt_feedback: PromptFeedback,
    usage_metadata: UsageMetadata,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Candidate {
    content: Content,
    finish_reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Content {
    parts: Vec<Part>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Part {
    text: String,
    /// What it thought on the way, which nobody asked for.
    thought: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PromptFeedback {
    block_reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct UsageMetadata {
    prompt_token_count: u64,
    candidates_token_count: u64,
    thoughts_token_count: u64,
}

/// The texts of an answer with status 200, and what it took.
pub(super) fn read(body: &[u8], fields: &[&str]) -> (Result<Texts, Fault>, Tokens) {
    let Ok(response) = serde_json::from_slice::<Response>(body) else {
        return (
            Err(Fault::Unreadable("it is not the JSON of the API")),
            Tokens::default(),
        );
    };
    let usage = &response.usage_metadata;
    let tokens = Tokens {
        sent: usage.prompt_token_count,
        answered: usage
            .candidates_token_count
            .saturating_add(usage.thoughts_token_count),
    };
    (texts(&response, fields), tokens)
}

fn texts(response: &Response, fields: &[&str]) -> Result<Texts, Fault> {
    let Some(candidate) = response.candidates.first() else {
        let reason = response.prompt_feedback.block_reason.as_deref();
        return Err(reason.map_or(Fault::Unreadable("it is empty"), |reason| {
            Fault::Blocked(format!("the question: {}", word_of(reason)))
        }));
    };
    match candidate.finish_reason.as_deref() {
        Some("STOP") => {}
        Some("MAX_TOKENS") => {
            return Err(Fault::Unreadable("it has no end (ai.output_tokens_max)"));
        }
        Some(reason) => return Err(Fault::Blocked(format!("the answer: {}", word_of(reason)))),
        None => return Err(Fault::Unreadable("it does not say how it ended")),
    }
    let parts = candidate.content.parts.iter().filter(|part| !part.thought);
    let text: String = parts.map(|part| part.text.as_str()).collect();
    let texts: Texts = serde_json::from_str(&text)
        .map_err(|_| Fault::Unreadable("it is not the JSON that was asked for"))?;
    let is_whole = texts.len() == fields.len() && fields.iter().all(|it| texts.contains_key(*it));
    if is_whole {
        Ok(texts)
    } else {
        Err(Fault::Unreadable("it has other fields than were asked for"))
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Refused {
    error: Status,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    status: String,
    details: Vec<Detail>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Detail {
    #[serde(rename = "@type")]
    kind: String,
    /// Of an `ErrorInfo`.
    reason: String,
    /// Of a `RetryInfo`: seconds with a point and an `s`.
    retry_delay: String,
}

/// What a status other than 200 means. Its message and its details stay unread: Google's may repeat the key.
pub(super) fn refusal(status: u16, body: &[u8]) -> Fault {
    let refused: Refused = serde_json::from_slice(body).unwrap_or_default();
    let details = &refused.error.details;
    let of_kind = |kind: &str| details.iter().find(|it| it.kind.ends_with(kind));
    let reason = of_kind("google.rpc.ErrorInfo").map(|info| word_of(&info.reason));
    let pause = of_kind("google.rpc.RetryInfo").and_then(|info| seconds(&info.retry_delay));
    // A key that it does not know is a bad argument to it.
    let is_of_the_key = reason
        .as_deref()
        .is_some_and(|it| it.starts_with("API_KEY_"));
    match status {
        429 | 503 => Fault::Busy { status, pause },
        500.. => Fault::Away(format!("HTTP {status}")),
        401 | 403 | 404 => not_set_up(status, reason, &refused.error.status),
        400 if is_of_the_key || refused.error.status == "FAILED_PRECONDITION" => {
            not_set_up(status, reason, &refused.error.status)
        }
        // Sent elsewhere: what is there is not the API.
        300..400 => not_set_up(status, reason, "moved"),
        _ => Fault::Unreadable("it does not understand the question"),
    }
}

fn not_set_up(status: u16, reason: Option<String>, otherwise: &str) -> Fault {
    Fault::NotSetUp {
        status,
        reason: reason.unwrap_or_else(|| word_of(otherwise)),
    }
}

/// A word as Google has them (`API_KEY_INVALID`), and nothing that is none.
fn word_of(text: &str) -> String {
    let is_word = |it: &char| it.is_ascii_alphabetic() || *it == '_';
    text.chars().take_while(is_word).take(60).collect()
}

/// A duration of Protocol Buffers in JSON (`19.5s`), in whole seconds, rounded up.
fn seconds(text: &str) -> Option<Duration> {
    let (whole, part) = text
        .strip_suffix('s')?
        .split_once('.')
        .unwrap_or((text.strip_suffix('s')?, ""));
    let whole: u64 = whole.parse().ok()?;
    let more = part.bytes().any(|it| it != b'0');
    Some(Duration::from_secs(whole.saturating_add(u64::from(more))))
}

#[cfg(test)]
mod tests;
