//! A body of any input of the API is taken or refused with a problem that says where: 400 for what is no JSON and for
//! nothing else, never 5xx. What is taken can be read back as it was answered, with the amount that was sent.
//!
//! The first byte chooses the input, the rest is the body.
#![no_main]

use std::cell::RefCell;
use std::mem::ManuallyDrop;

use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use wealth_companion::domain::money::{AmountText, Currency};
use wealth_companion_fuzz::api::{Answer, Person};

/// Every operation with a body that makes or changes something; `*` stands for what there is of the list before it.
const OPERATIONS: [(&str, &str); 23] = [
    ("POST", "/v1/transactions"),
    ("PATCH", "/v1/transactions/*"),
    ("POST", "/v1/budgets"),
    ("PATCH", "/v1/budgets/*"),
    ("POST", "/v1/wallets"),
    ("PATCH", "/v1/wallets/*"),
    ("POST", "/v1/categories"),
    ("PATCH", "/v1/categories/*"),
    ("PATCH", "/v1/me"),
    ("POST", "/v1/auth/register"),
    ("POST", "/v1/auth/login"),
    ("POST", "/v1/auth/refresh"),
    ("POST", "/v1/rates"),
    ("PATCH", "/v1/rates/*"),
    ("POST", "/v1/recurring"),
    ("PATCH", "/v1/recurring/*"),
    ("POST", "/v1/goals"),
    ("PATCH", "/v1/goals/*"),
    ("POST", "/v1/goals/*/contributions"),
    ("POST", "/v1/rules"),
    ("PATCH", "/v1/rules/*"),
    ("POST", "/v1/tokens"),
    ("PATCH", "/v1/me/notifications"),
];
/// In seeds these stand for the person's wallet and category, e-mail address and refresh token.
const WALLET: &str = "01920000-0000-7000-8000-00000000000a";
const CATEGORY: &str = "01920000-0000-7000-8000-00000000000b";
const EMAIL: &str = "ada@example.com";
const REFRESH_TOKEN: &str = "SKtFq0Qk7d1nH2w1v3cYx8Xb1p3rJ8Zb6q1m9s0t2uE";

// Never dropped: at the end of the thread others of its kind are gone already.
thread_local!(static PERSON: RefCell<Option<ManuallyDrop<Person>>> = const { RefCell::new(None) });

fuzz_target!(|data: &[u8]| {
    let Some((number, body)) = data.split_first() else {
        return;
    };
    let operation = OPERATIONS[usize::from(*number) % OPERATIONS.len()];
    PERSON.with_borrow_mut(|person| {
        send(
            person.get_or_insert_with(|| ManuallyDrop::new(Person::new())),
            operation,
            body,
        )
    });
});

fn send(person: &mut Person, (method, path): (&str, &str), body: &[u8]) {
    let body = with_own(person, body);
    let (path, begun) = match path.split_once("/*") {
        Some((list, rest)) => (format!("{list}/{}{rest}", thing(person, list)), true),
        None => (path.to_owned(), false),
    };
    let answer = person.send(method, &path, Some(&body));
    let is_json = serde_json::from_slice::<IgnoredAny>(&body).is_ok();
    assert_eq!(
        answer.status == 400,
        !is_json,
        "{} {answer:?}",
        String::from_utf8_lossy(&body)
    );
    match answer.status {
        200 | 201 => taken(person, &path, &body, &answer),
        400 | 409 | 422 => answer.is_problem(),
        401 if path.starts_with("/v1/auth/") => answer.is_problem(),
        404 if path.starts_with("/v1/transactions") || path.starts_with("/v1/budgets") => {
            answer.is_problem()
        }
        _ => panic!(
            "{method} {path} {} {answer:?}",
            String::from_utf8_lossy(&body)
        ),
    }
    if begun || answer.status < 300 {
        person.renew();
    }
}

/// The body, with what is the person's own in its places.
fn with_own(person: &Person, body: &[u8]) -> Vec<u8> {
    let id = |thing: &Value| thing["id"].as_str().expect("an id").to_owned();
    let own = [
        (WALLET, id(&person.wallet)),
        (CATEGORY, id(&person.category)),
        (EMAIL, person.email.clone()),
        (REFRESH_TOKEN, person.refresh_token.clone()),
    ];
    match std::str::from_utf8(body) {
        Ok(text) => own
            .iter()
            .fold(text.to_owned(), |text, (place, own)| {
                text.replace(place, own)
            })
            .into_bytes(),
        Err(_) => body.to_vec(),
    }
}

/// What there is to be changed.
fn thing(person: &mut Person, list: &str) -> String {
    let made = match list {
        "/v1/wallets" => person.wallet.clone(),
        "/v1/categories" => person.category.clone(),
        "/v1/budgets" => {
            let body = json!({"category_ids": [], "amount": "450.00", "currency": "USD", "period": "monthly"});
            person.made(list, &body)
        }
        "/v1/rates" => {
            let body = json!({"from": "EUR", "to": "USD", "rate": "1.0842"});
            person.made(list, &body)
        }
        "/v1/goals" => {
            let body = json!({"name": "Holidays", "target_amount": "3000.00", "currency": "USD"});
            person.made(list, &body)
        }
        "/v1/rules" => {
            let body = json!({
                "name": "Groceries", "tags": ["food"],
                "conditions": [{"field": "payee", "operator": "contains", "value": "shop"}]
            });
            person.made(list, &body)
        }
        "/v1/recurring" => {
            let body = json!({
                "wallet_id": person.wallet["id"], "type": "expense", "amount": "12.34", "rrule": "FREQ=MONTHLY"
            });
            person.made(list, &body)
        }
        _ => {
            let body =
                json!({"wallet_id": person.wallet["id"], "type": "expense", "amount": "12.34"});
            person.made(list, &body)
        }
    };
    made["id"].as_str().expect("an id").to_owned()
}

fn taken(person: &mut Person, path: &str, body: &[u8], answer: &Answer) {
    let mut told = answer.json();
    if path.starts_with("/v1/auth/") {
        assert!(
            told["access_token"].is_string() && told["refresh_token"].is_string(),
            "{answer:?}"
        );
        return;
    }
    if path == "/v1/tokens" {
        // It is shown once.
        assert!(told["secret"].take().is_string(), "{answer:?}");
    }
    let place = answer.location.clone().unwrap_or_else(|| path.to_owned());
    let read = person.send("GET", &place, None);
    assert_eq!(
        (read.status, read.json()),
        (200, told.clone()),
        "{answer:?}"
    );
    let sent: Value = serde_json::from_slice(body).expect("it was taken");
    let amount = match &sent["amount"] {
        Value::String(text) => AmountText::Text(text.clone()),
        Value::Number(number) => AmountText::Number(number.to_string()),
        _ => return,
    };
    // A contribution is in the currency of its goal.
    let currency = told["currency"].as_str().unwrap_or("USD");
    let currency = Currency::parse(currency).expect("a currency");
    let amount = amount.amount(currency).expect("it was taken");
    assert_eq!(told["amount"], json!(amount.to_string()), "{answer:?}");
}
