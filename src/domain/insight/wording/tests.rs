//! What is given away, and what of an answer is believed.

#![allow(clippy::unwrap_used)]

use chrono::NaiveDate;
use proptest::prelude::*;

use super::*;
use crate::domain::insight::Thing;
use uuid::Uuid;

/// A price that was raised, at a payee of some name.
fn raised(payee: &str) -> Insight {
    Insight {
        kind: Kind::Subscription,
        key: "price".to_owned(),
        title: format!("{payee} costs more"),
        message: format!("{payee} took 1,234.50 USD on 2026-02-10, 1003.00 USD before: 23 % more.")
            .replace("1,234.50", "1234.50"),
        facts: json!({
            "payee": payee, "amount": "1234.50", "before": "1003.00", "currency": "USD", "percent": 23,
            "on": "2026-02-10", "times": 4, "every": "month", "payees": ["Somebody"], "note": "for Ada",
        }),
        confidence: 90,
        related: vec![(Thing::Transaction, Uuid::nil())],
        expires_on: NaiveDate::from_ymd_opt(2026, 4, 11),
    }
}

fn answer(title: &str, message: &str) -> Wording {
    Wording {
        title: title.to_owned(),
        message: message.to_owned(),
    }
}

fn said(message: &str) -> Result<Wording, Refusal> {
    let ask = Ask::of(&raised("Streaming")).unwrap();
    ask.accept(&answer("{payee} has raised its price", message))
}

#[test]
fn names_and_ids_stay_here() {
    let insight = raised("Jane Doe, IBAN DE02120300000000202051");
    let text = Ask::of(&insight).unwrap().text();
    for secret in [
        "Jane", "Doe", "IBAN", "DE02", "Somebody", "Ada", "0000", "price\"",
    ] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    let sent: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(sent["title"], "{payee} costs more");
    assert_eq!(
        sent["message"],
        "{payee} took 1234.50 USD on 2026-02-10, 1003.00 USD before: 23 % more."
    );
    let figures = json!({
        "amount": "1234.50", "before": "1003.00", "currency": "USD", "percent": 23, "on": "2026-02-10",
        "times": 4, "every": "month",
    });
    assert_eq!(sent["figures"], figures);
}

#[test]
fn a_name_is_put_where_its_slot_is() {
    for name in [
        "Streaming",
        "24/7 Shop",
        "costs",
        "Zoë & 李",
        "x.example",
        "https://evil.example",
    ] {
        let ask = Ask::of(&raised(name)).unwrap();
        let good = answer("{payee} has raised its price", "Now it is 1,234.50 USD.");
        let wording = ask.accept(&good).unwrap();
        assert_eq!(wording.title, format!("{name} has raised its price"));
    }
    // No figure can be told from them, or no slot.
    for name in ["1234.50", "7", "{payee}", "a {budget}"] {
        assert!(Ask::of(&raised(name)).is_none(), "{name}");
    }
}

#[test]
fn figures_are_the_same_however_they_are_written() {
    for message in [
        "It took 1234.50 USD on 2026-02-10.",
        "It took 1,234.5 USD on February 10, 2026, up from 1,003 USD.",
        "It went up by 23% to $1,234.50.",
        "On 10 February you paid USD 1,234.50 (23 percent more).",
        "On Feb 10th you paid 1234.5 dollars, 23 per cent more than 1003.",
        "In February 2026 it was 1234.50 USD; that is 4 times by now, four in all.",
        "Once a month it takes 1234.50 USD. It\u{2019}s one to look at\u{2014}maybe.",
    ] {
        assert!(said(message).is_ok(), "{message}: {:?}", said(message));
    }
}

#[test]
fn what_is_not_among_the_facts_is_refused() {
    for (message, refusal) in [
        ("It took 1234.51 USD.", Refusal::NotAFact),
        ("It took 1,234.50 USD, 231.50 USD more.", Refusal::NotAFact),
        ("It took about 1,200 USD.", Refusal::NotAFact),
        ("It took 1234.50 USD, 24 % more.", Refusal::NotAFact),
        // The right number of the wrong thing.
        ("It took 1234.50 USD, 23 times.", Refusal::NotAFact),
        ("It took 1234.50 USD, then 4 USD.", Refusal::NotAFact),
        ("It took 1234.50 USD, 4 % more.", Refusal::NotAFact),
        ("It took 1234.50 USD on 2026-02-11.", Refusal::NotAFact),
        ("It took 1234.50 USD on March 10.", Refusal::NotAFact),
        (
            "It took 1234.50 USD on 10 February 2025.",
            Refusal::NotAFact,
        ),
        ("It took 1234.50 USD in January.", Refusal::NotAFact),
        ("It took 1234.50 USD in 2026.", Refusal::NotAFact),
        // In words.
        ("It took 1234.50 USD, twice.", Refusal::NotAFact),
        (
            "It took 1234.50 USD, half of what you have.",
            Refusal::NotAFact,
        ),
        ("It took 1234.50 USD, a hundred more.", Refusal::NotAFact),
        ("It took 1234.50 USD, twenty-three more.", Refusal::Unclear),
        ("It took 1234.50 USD, four percent more.", Refusal::Unclear),
        // In other writings.
        ("It took 1.234,50 USD.", Refusal::Unclear),
        ("It took 1 234.50 USD.", Refusal::Unclear),
        ("It took 1'234.50 USD.", Refusal::Unclear),
        ("It took 12,34.50 USD.", Refusal::Unclear),
        ("It took -1234.50 USD.", Refusal::Unclear),
        ("It took 1234.50k USD.", Refusal::Unclear),
        ("It took 1234.50 USD for the 4th time.", Refusal::Unclear),
        ("It took 1234.50 USD on 10/02/2026.", Refusal::NotPlain),
        ("It took \u{ff11}234.50 USD.", Refusal::NotPlain),
        ("It took 1234.50 USD, \u{bd} more.", Refusal::NotPlain),
        ("It took \u{661} USD.", Refusal::NotPlain),
        ("It took 1234.50 USD, \u{4e94} more.", Refusal::NotPlain),
        // Of another currency.
        ("It took 1234.50 EUR.", Refusal::Currency),
        ("It took \u{20ac}1234.50.", Refusal::Currency),
        ("It took 1234.50 pounds.", Refusal::Currency),
        // No plain text.
        (
            "It took 1234.50 USD. See https://evil.example",
            Refusal::NotPlain,
        ),
        ("It took 1234.50 USD. See evil.example", Refusal::NotPlain),
        ("It took 1234.50 USD. Mail a@b.", Refusal::NotPlain),
        ("It took **1234.50 USD**.", Refusal::NotPlain),
        ("It took 1234.50 USD.\n\nBye.", Refusal::NotPlain),
        ("It took 1234.50 USD.\u{202e}", Refusal::NotPlain),
        ("It took <b>1234.50 USD</b>.", Refusal::NotPlain),
        // Names.
        ("{category} took 1234.50 USD.", Refusal::Names),
        ("{user} took 1234.50 USD.", Refusal::Names),
        ("{payee took 1234.50 USD.", Refusal::Names),
        ("{payee}7 took 1234.50 USD.", Refusal::Unclear),
        // Nothing.
        ("It costs more than before.", Refusal::NoAmount),
        ("", Refusal::NoAmount),
    ] {
        assert_eq!(said(message), Err(refusal), "{message}");
    }
    let ask = Ask::of(&raised("Streaming")).unwrap();
    let nameless = ask.accept(&answer("A price was raised", "It took 1234.50 USD."));
    assert_eq!(nameless, Err(Refusal::Names));
    let long = format!("It took 1234.50 USD{}.", " and more".repeat(60));
    assert_eq!(said(&long), Err(Refusal::Length));
    let title = "{payee} ".repeat(20);
    assert_eq!(
        ask.accept(&answer(&title, "It took 1234.50 USD.")),
        Err(Refusal::Length)
    );
}

#[test]
fn the_rules_words_can_be_said_again() {
    let insight = raised("Streaming");
    let ask = Ask::of(&insight).unwrap();
    let again = ask.accept(&answer(&ask.title, &ask.message)).unwrap();
    assert_eq!(again, answer(&insight.title, &insight.message));
}

/// A number in one of the ways in which people write them.
fn written() -> impl Strategy<Value = (String, String)> {
    let amount = (0_u32..10_000_000, 0_u32..100).prop_map(|(whole, cents)| {
        let part = if cents == 0 {
            String::new()
        } else {
            format!(".{cents:02}")
        };
        (whole, part)
    });
    let grouped = |whole: u32| {
        let digits = whole.to_string();
        let groups: Vec<&str> = digits
            .as_bytes()
            .rchunks(3)
            .rev()
            .map(|group| std::str::from_utf8(group).unwrap())
            .collect();
        groups.join(",")
    };
    (amount, 0_usize..9).prop_map(move |((whole, part), form)| {
        let (plain, many) = (
            format!("{whole}{part}"),
            format!("{}{part}", grouped(whole)),
        );
        let text = match form {
            0 => plain.clone(),
            1 => many,
            2 => format!("{plain} USD"),
            3 => format!("${many}"),
            4 => format!("{plain}%"),
            5 => format!("{many} percent"),
            6 => format!("({plain})"),
            7 => format!("{plain}-fold"),
            _ => format!("USD {many}"),
        };
        let value = figures::number_of(&plain).unwrap();
        (text, value)
    })
}

proptest! {
    #[test]
    fn a_number_that_is_not_among_the_facts_is_always_refused(
        (text, value) in written(), before in "[a-z ]{0,20}", after in "[ .,;:!?)a-z]{0,20}",
    ) {
        prop_assume!(!["1234.5", "1003", "23", "4"].contains(&value.as_str()));
        let message = format!("It took 1234.50 USD. {before} {text}{after}");
        prop_assert!(said(&message).is_err(), "{}", message);
    }

    #[test]
    fn no_text_makes_it_panic_or_says_other_figures(title in "\\PC{0,60}", message in "\\PC{0,200}") {
        let ask = Ask::of(&raised("Streaming")).unwrap();
        let _ = ask.accept(&answer(&title, &message));
        let _ = ask.accept(&answer("{payee}", &format!("1234.50 {message}")));
    }

    #[test]
    fn whatever_the_name_it_is_not_given_away(name in "[A-Z][a-z]{5,12}[0-9]{0,4}( [A-Z][a-z]{4,12}){0,2}") {
        if let Some(ask) = Ask::of(&raised(&name)) {
            prop_assert!(!ask.text().contains(&name), "{}", ask.text());
        }
    }
}
