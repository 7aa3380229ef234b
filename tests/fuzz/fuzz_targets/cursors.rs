//! A cursor that was given out leads to the same place again; any other text is refused, and so is a cursor of another
//! list. Through the API each is answered with a page or 422.
#![no_main]

use std::cell::RefCell;
use std::fmt::Debug;
use std::mem::ManuallyDrop;

use chrono::NaiveDate;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::Uuid;
use wealth_companion::http::cursor::{self, LIMIT_MAX};
use wealth_companion::store::PageRequest;
use wealth_companion_fuzz::api::Person;

const LISTS: [&str; 8] = [
    "transactions",
    "wallets",
    "categories",
    "budgets",
    "alerts",
    "rates",
    "recurring",
    "upcoming",
];

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    list: u8,
    limit: Option<u32>,
    text: &'a str,
    /// The cursor is what this becomes when it is encoded as cursors are.
    json: Option<&'a str>,
    number: i64,
    id: [u8; 16],
    day: i32,
}

// Never dropped: at the end of the thread others of its kind are gone already.
thread_local!(static PERSON: RefCell<Option<ManuallyDrop<Person>>> = const { RefCell::new(None) });

fuzz_target!(|input: Input<'_>| {
    let id = Uuid::from_bytes(input.id);
    let day = NaiveDate::from_num_days_from_ce_opt(input.day).unwrap_or_default();
    going_on(&id);
    going_on(&input.number);
    going_on(&day);
    going_on(&(day, id));
    let text = input.json.map_or_else(|| input.text.to_owned(), encoded);
    reading::<Uuid>(&text, input.limit);
    reading::<i64>(&text, input.limit);
    reading::<NaiveDate>(&text, input.limit);
    reading::<(NaiveDate, Uuid)>(&text, input.limit);
    let list = LISTS[usize::from(input.list) % LISTS.len()];
    PERSON.with_borrow_mut(|person| {
        asking(
            person.get_or_insert_with(|| ManuallyDrop::new(Person::new())),
            list,
            &text,
            input.limit,
        )
    });
});

fn encoded(json: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(json)
}

fn going_on<K: Serialize + DeserializeOwned + PartialEq + Debug>(key: &K) {
    let text = cursor::next("this", Some(key))
        .expect("JSON")
        .expect("there is a key");
    assert!(
        text.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    );
    let page: PageRequest<K> = cursor::page("this", None, Some(&text)).expect("a cursor");
    assert_eq!(page.after.as_ref(), Some(key));
    assert!(cursor::page::<K>("that", None, Some(&text)).is_err());
}

fn reading<K: Serialize + DeserializeOwned + PartialEq + Debug>(text: &str, limit: Option<u32>) {
    for list in LISTS {
        match cursor::page::<K>(list, limit, Some(text)) {
            Ok(page) => {
                assert!((1..=LIMIT_MAX).contains(&page.limit));
                assert_eq!(page.limit, limit.unwrap_or(page.limit));
                going_on(&page.after.expect("a cursor was given"));
            }
            Err(problem) => assert!(
                problem.to_string().starts_with("Fields are wrong"),
                "{problem}"
            ),
        }
    }
}

fn asking(person: &mut Person, list: &str, text: &str, limit: Option<u32>) {
    let encoded: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let limit = limit.map_or_else(String::new, |limit| format!("&limit={limit}"));
    let answer = person.send("GET", &format!("/v1/{list}?cursor={encoded}{limit}"), None);
    match answer.status {
        200 => {
            let next = &answer.json()["next_cursor"];
            if let Value::String(next) = next {
                let answer = person.send("GET", &format!("/v1/{list}?cursor={next}"), None);
                assert_eq!(answer.status, 200, "{answer:?}");
            }
        }
        422 => answer.is_problem(),
        _ => panic!("{answer:?}"),
    }
}
