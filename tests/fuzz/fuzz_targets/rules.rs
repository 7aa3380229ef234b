//! What is taken as a condition is one, and stays so; whatever rules are applied to, they keep what is there if they are
//! told to, and leave tags in order and few enough.
#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use uuid::Uuid;
use wealth_companion::domain::money::{Currency, Money};
use wealth_companion::domain::rule::{
    Booked, Condition, Field, Labels, Mode, Operator, Rule, Ruleset,
};
use wealth_companion::domain::transaction::{TAGS_MAX, TransactionType};

const FIELDS: [Field; 5] = [
    Field::Payee,
    Field::Description,
    Field::Amount,
    Field::WalletId,
    Field::Type,
];
const OPERATORS: [Operator; 6] = [
    Operator::Contains,
    Operator::Equals,
    Operator::StartsWith,
    Operator::Matches,
    Operator::AtLeast,
    Operator::AtMost,
];
/// With 0, 2, 3 and 4 digits.
const CODES: [&str; 4] = ["JPY", "EUR", "KWD", "CLF"];

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    rules: Vec<RuleInput<'a>>,
    transaction_type: u8,
    currency: u8,
    minor: u32,
    description: Option<&'a str>,
    payee: Option<&'a str>,
    category: Option<u8>,
    tags: Vec<&'a str>,
    overwrite: bool,
}

#[derive(Arbitrary, Debug)]
struct RuleInput<'a> {
    conditions: Vec<(u8, u8, &'a str)>,
    category: Option<u8>,
    payee: Option<&'a str>,
    tags: Vec<&'a str>,
    stops: bool,
}

fuzz_target!(|input: Input<'_>| {
    let rules: Vec<Rule> = input.rules.iter().take(10).filter_map(rule).collect();
    let rules = Ruleset::new(rules).expect("each condition was taken");
    let mut tags: Vec<String> = input.tags.iter().map(|tag| (*tag).to_owned()).collect();
    tags.sort_unstable();
    tags.dedup();
    tags.truncate(TAGS_MAX);
    let labels = Labels {
        category_id: input.category.map(id),
        payee: input.payee.map(str::to_owned),
        tags,
    };
    let types = TransactionType::ALL;
    let currency = CODES[usize::from(input.currency) % CODES.len()];
    let currency = Currency::parse(currency).expect("it is in use");
    let booked = Booked {
        transaction_type: types[usize::from(input.transaction_type) % types.len()],
        wallet_id: id(1),
        to_wallet_id: None,
        amount: Money::new(i64::from(input.minor), currency),
        description: input.description,
        is_split: input.minor % 2 != 0,
        labels: &labels,
    };
    let mode = if input.overwrite {
        Mode::Overwrite
    } else {
        Mode::Fill
    };
    let Some(made) = rules.apply(booked, mode) else {
        return;
    };
    assert!(made.labels != labels && !made.by.is_empty());
    assert!(made.labels.tags.is_sorted() && made.labels.tags.len() <= TAGS_MAX);
    assert!(labels.tags.iter().all(|tag| made.labels.tags.contains(tag)));
    assert!(booked.takes_category() || made.labels.category_id == labels.category_id);
    if mode == Mode::Fill {
        assert!(labels.payee.is_none() || made.labels.payee == labels.payee);
        assert!(labels.category_id.is_none() || made.labels.category_id == labels.category_id);
    }
});

fn id(number: u8) -> Uuid {
    Uuid::from_u128(number.into())
}

/// The rule, of those of its conditions that are some.
fn rule(input: &RuleInput<'_>) -> Option<Rule> {
    let conditions = input.conditions.iter().take(10);
    let conditions = conditions.filter_map(|(field, operator, value)| {
        let condition = Condition {
            field: FIELDS[usize::from(*field) % FIELDS.len()],
            operator: OPERATORS[usize::from(*operator) % OPERATORS.len()],
            value: (*value).to_owned(),
        };
        let taken = condition.checked().ok()?;
        assert_eq!(taken.clone().checked().as_ref(), Ok(&taken));
        Some(taken)
    });
    let conditions: Vec<Condition> = conditions.collect();
    (!conditions.is_empty()).then(|| Rule {
        id: Uuid::nil(),
        conditions,
        category_id: input.category.map(id),
        payee: input.payee.map(str::to_owned),
        tags: input.tags.iter().map(|tag| (*tag).to_owned()).collect(),
        stops: input.stops,
    })
}
