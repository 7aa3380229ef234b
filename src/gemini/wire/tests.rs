//! Bodies as Google documents and sends them: <https://ai.google.dev/api/generate-content>,
//! <https://ai.google.dev/gemini-api/docs/troubleshooting>, <https://cloud.google.com/apis/design/errors>, and the
//! answers that Firebase keeps for the tests of its libraries (FirebaseExtended/vertexai-sdk-test-data,
//! `mock-responses/googleai`).

use super::*;

const FIELDS: &[&str] = &["title", "message"];

fn answer(finish: &str, text: &str) -> String {
    json!({
        "candidates": [{
            "content": {"parts": [{"text": "Let me see.", "thought": true}, {"text": text}], "role": "model"},
            "finishReason": finish,
            "safetyRatings": [{"category": "HARM_CATEGORY_HARASSMENT", "probability": "NEGLIGIBLE"}],
            "index": 0,
        }],
        "usageMetadata": {
            "promptTokenCount": 14, "candidatesTokenCount": 2, "totalTokenCount": 40,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 14}], "thoughtsTokenCount": 24,
        },
        "modelVersion": "gemini-3.5-flash-lite", "responseId": "2pmHaJqQEoqC",
    })
    .to_string()
}

fn fault(body: &str) -> Fault {
    read(body.as_bytes(), FIELDS).0.expect_err("a fault")
}

#[test]
fn an_answer_is_its_texts_without_its_thoughts() {
    let body = answer("STOP", r#"{"title": "A", "message": "B"}"#);
    let (read, tokens) = read(body.as_bytes(), FIELDS);
    let texts = read.expect("an answer");
    assert_eq!((&*texts["title"], &*texts["message"]), ("A", "B"));
    let expected = Tokens {
        sent: 14,
        answered: 26,
    };
    assert_eq!(tokens, expected);
}

#[test]
fn an_answer_that_is_none_is_not_used() {
    let truncated = answer("MAX_TOKENS", r#"{"title": "A", "mess"#);
    assert!(matches!(fault(&truncated), Fault::Unreadable(_)));
    // Even if what there is happens to be JSON.
    let truncated = answer("MAX_TOKENS", r#"{"title": "A", "message": "B"}"#);
    assert!(matches!(fault(&truncated), Fault::Unreadable(_)));
    for text in [
        r#"{"title": "A", "mess"#,
        r#"{"title": "A"}"#,
        r#"{"title": "A", "message": "B", "more": "C"}"#,
        r#"{"title": "A", "message": 5}"#,
        r#"["A", "B"]"#,
        "Here it is: {}",
        "",
    ] {
        assert!(
            matches!(fault(&answer("STOP", text)), Fault::Unreadable(_)),
            "{text}"
        );
    }
    for body in [
        "",
        "{}",
        "[]",
        "<html>",
        r#"{"candidates": []}"#,
        r#"{"candidates": [{}]}"#,
    ] {
        assert!(matches!(fault(body), Fault::Unreadable(_)), "{body}");
    }
}

#[test]
fn what_is_blocked_says_why_in_a_word() {
    let of_answer = fault(&answer("SAFETY", r#"{"title": "A", "message": "B"}"#));
    assert_eq!(of_answer, Fault::Blocked("the answer: SAFETY".to_owned()));
    let body = json!({
        "promptFeedback": {
            "blockReason": "PROHIBITED_CONTENT",
            "safetyRatings": [{"category": "HARM_CATEGORY_DANGEROUS_CONTENT", "probability": "HIGH", "blocked": true}],
        },
        "usageMetadata": {"promptTokenCount": 14, "totalTokenCount": 14},
    });
    let of_question = fault(&body.to_string());
    assert_eq!(
        of_question,
        Fault::Blocked("the question: PROHIBITED_CONTENT".to_owned())
    );
}

fn error(code: u16, status: &str, details: &Value) -> String {
    let message = "Invalid API key: AIza-S3CR3T";
    json!({"error": {"code": code, "message": message, "status": status, "details": details}})
        .to_string()
}

#[test]
fn a_refusal_is_sorted_by_who_can_mend_it() {
    let quota = json!([
        {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{
            "quotaMetric": "generativelanguage.googleapis.com/generate_content_free_tier_requests",
            "quotaId": "GenerateRequestsPerMinutePerProjectPerModel-FreeTier", "quotaValue": "20",
        }]},
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "19.424395716s"},
    ]);
    let body = error(429, "RESOURCE_EXHAUSTED", &quota);
    let expected = Fault::Busy {
        status: 429,
        pause: Some(Duration::from_secs(20)),
    };
    assert_eq!(refusal(429, body.as_bytes()), expected);
    let body = error(503, "UNAVAILABLE", &json!([]));
    let expected = Fault::Busy {
        status: 503,
        pause: None,
    };
    assert_eq!(refusal(503, body.as_bytes()), expected);
    assert!(matches!(refusal(502, b"<html>"), Fault::Away(_)));
    assert!(matches!(refusal(500, b""), Fault::Away(_)));
    let info = |reason: &str| {
        json!([
            {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "googleapis.com"},
            {"@type": "type.googleapis.com/google.rpc.DebugInfo", "detail": "Invalid API key: AIza-S3CR3T"},
        ])
    };
    for (status, word, reason) in [
        (400, "INVALID_ARGUMENT", "API_KEY_INVALID"),
        (403, "PERMISSION_DENIED", "SERVICE_DISABLED"),
        (401, "UNAUTHENTICATED", "ACCESS_TOKEN_TYPE_UNSUPPORTED"),
    ] {
        let fault = refusal(status, error(status, word, &info(reason)).as_bytes());
        let reason = reason.to_owned();
        assert_eq!(fault, Fault::NotSetUp { status, reason });
        assert!(!fault.to_string().contains("S3CR3T"), "{fault}");
    }
    let unknown_model = error(404, "NOT_FOUND", &json!([]));
    let reason = "NOT_FOUND".to_owned();
    let expected = Fault::NotSetUp {
        status: 404,
        reason,
    };
    assert_eq!(refusal(404, unknown_model.as_bytes()), expected);
    let bad = error(400, "INVALID_ARGUMENT", &json!([]));
    assert!(matches!(refusal(400, bad.as_bytes()), Fault::Unreadable(_)));
}

#[test]
fn durations_are_rounded_up() {
    let read = |text| seconds(text).map(|it| it.as_secs());
    assert_eq!(read("19s"), Some(19));
    assert_eq!(read("0.5s"), Some(1));
    assert_eq!(read("7.000s"), Some(7));
    assert_eq!(read("52758s"), Some(52_758));
    for text in ["", "s", "5", "-5s", "5m", "1e9s"] {
        assert_eq!(read(text), None, "{text}");
    }
}

#[test]
fn thinking_is_switched_off_where_it_can_be() {
    let question = Question {
        instruction: "Say it.",
        text: "{}",
        fields: FIELDS,
    };
    let thinking =
        |model: &str| request(&question, model, 100)["generationConfig"]["thinkingConfig"].clone();
    assert_eq!(
        thinking("gemini-3.5-flash-lite"),
        json!({"thinkingLevel": "minimal"})
    );
    assert_eq!(thinking("gemini-2.5-flash"), json!({"thinkingBudget": 0}));
    assert_eq!(thinking("gemini-2.5-pro"), Value::Null);
}
