#![allow(clippy::unwrap_used)]

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};

use super::*;
use crate::domain::money::Currency;

fn condition(field: Field, operator: Operator, value: &str) -> Condition {
    let value = value.to_owned();
    Condition {
        field,
        operator,
        value,
    }
}

fn rule(number: u128, conditions: Vec<Condition>) -> Rule {
    Rule {
        id: Uuid::from_u128(number),
        conditions,
        category_id: None,
        payee: None,
        tags: Vec::new(),
        stops: false,
    }
}

fn payee(operator: Operator, value: &str) -> Condition {
    condition(Field::Payee, operator, value)
}

fn labels(payee: &str) -> Labels {
    Labels {
        payee: Some(payee.to_owned()),
        ..Labels::default()
    }
}

fn booked<'a>(labels: &'a Labels, amount: &str) -> Booked<'a> {
    let currency = Currency::parse("USD").unwrap();
    Booked {
        transaction_type: TransactionType::Expense,
        wallet_id: Uuid::from_u128(7),
        to_wallet_id: None,
        amount: Money::parse(amount, currency).unwrap(),
        description: Some("Weekly Shopping"),
        is_split: false,
        labels,
    }
}

fn holds(condition: Condition, payee: &str) -> bool {
    let mut marks = rule(1, vec![condition.checked().unwrap()]);
    marks.tags = vec!["it".to_owned()];
    let rules = Ruleset::new(vec![marks]).unwrap();
    rules
        .apply(booked(&labels(payee), "12.34"), Mode::Fill)
        .is_some()
}

#[test]
fn texts_are_compared_in_any_case() {
    for (operator, value, expected) in [
        (Operator::Contains, "ÉPICERIE", true),
        (Operator::Contains, "nord", true),
        (Operator::Contains, "epicerie", false),
        (Operator::Equals, "l'épicerie du NORD", true),
        (Operator::Equals, "l'épicerie", false),
        (Operator::StartsWith, "L'É", true),
        (Operator::StartsWith, "épi", false),
        (Operator::Matches, r"É\w+ d[eu] (nord|sud)$", true),
        (Operator::Matches, "^épicerie", false),
    ] {
        let asked = payee(operator, value);
        assert_eq!(
            holds(asked, "L'Épicerie du Nord"),
            expected,
            "{operator:?} {value}"
        );
    }
    // What is not there holds nothing.
    let mut any = rule(1, vec![payee(Operator::Matches, ".*")]);
    any.tags = vec!["it".to_owned()];
    let rules = Ruleset::new(vec![any]).unwrap();
    assert_eq!(
        rules.apply(booked(&Labels::default(), "1"), Mode::Fill),
        None
    );
}

#[test]
fn amounts_are_compared_exactly() {
    for (operator, value, expected) in [
        (Operator::AtLeast, "12.34", true),
        (Operator::AtLeast, "12.3401", false),
        (Operator::AtMost, "12.34", true),
        (Operator::AtMost, "12.3399", false),
        (Operator::Equals, "12.3400", true),
        (Operator::Equals, "12", false),
        (Operator::AtMost, "999999999999999", true),
    ] {
        let asked = condition(Field::Amount, operator, value);
        assert_eq!(holds(asked, "x"), expected, "{operator:?} {value}");
    }
}

#[test]
fn what_is_no_condition_is_refused() {
    let long = "x".repeat(201);
    let bomb = "(x{0,40}){0,40}".repeat(5);
    let deep = format!("{}x{}", "(".repeat(40), ")".repeat(40));
    for (field, operator, value, error) in [
        (
            Field::Payee,
            Operator::AtLeast,
            "1",
            ConditionError::Operator,
        ),
        (
            Field::Amount,
            Operator::Contains,
            "1",
            ConditionError::Operator,
        ),
        (
            Field::Amount,
            Operator::Matches,
            "1",
            ConditionError::Operator,
        ),
        (
            Field::Type,
            Operator::Contains,
            "income",
            ConditionError::Operator,
        ),
        (Field::Type, Operator::Equals, "gift", ConditionError::Type),
        (
            Field::WalletId,
            Operator::Equals,
            "mine",
            ConditionError::Wallet,
        ),
        (
            Field::Amount,
            Operator::Equals,
            "-1",
            ConditionError::Amount,
        ),
        (
            Field::Amount,
            Operator::Equals,
            "1e3",
            ConditionError::Amount,
        ),
        (
            Field::Amount,
            Operator::Equals,
            "1.",
            ConditionError::Amount,
        ),
        (
            Field::Amount,
            Operator::Equals,
            "1.00001",
            ConditionError::Amount,
        ),
        (
            Field::Amount,
            Operator::AtMost,
            "1000000000000000",
            ConditionError::Amount,
        ),
        (
            Field::Payee,
            Operator::Matches,
            "(",
            ConditionError::Pattern,
        ),
        (
            Field::Payee,
            Operator::Matches,
            r"(a)\1",
            ConditionError::Pattern,
        ),
        (
            Field::Payee,
            Operator::Matches,
            "(?=a)",
            ConditionError::Pattern,
        ),
        (
            Field::Payee,
            Operator::Matches,
            &deep,
            ConditionError::Pattern,
        ),
        (
            Field::Payee,
            Operator::Matches,
            &bomb,
            ConditionError::PatternTooLarge,
        ),
        (
            Field::Payee,
            Operator::Matches,
            r"\w{90}",
            ConditionError::PatternTooLarge,
        ),
    ] {
        let refused = condition(field, operator, value).checked();
        assert_eq!(refused, Err(error), "{field:?} {operator:?} {value}");
    }
    for value in ["", " ", "a\0b", &long] {
        let refused = payee(Operator::Contains, value).checked();
        assert!(matches!(refused, Err(ConditionError::Text(_))), "{value}");
    }
    // What people write fits.
    for value in [
        r"^\w+ \d{4} .*gmbh$",
        r"(amzn|amazon)( mktp)?\W+\w{2}\*\w+",
        r"\bsp\s?\d+\b",
    ] {
        payee(Operator::Matches, value).checked().unwrap();
    }
}

#[test]
fn a_pattern_reads_a_text_once() {
    // Of those that take years where patterns are tried one way after the other.
    let text = "a".repeat(100) + "!";
    for value in [r"^(a+)+$", r"^(a|aa)+$", r"^(a|a?)+$", r"^(.*a){12}$"] {
        assert!(!holds(payee(Operator::Matches, value), &text), "{value}");
    }
}

#[test]
fn rules_are_asked_in_their_order() {
    let mut names = rule(1, vec![payee(Operator::StartsWith, "amzn")]);
    names.payee = Some("Amazon".to_owned());
    let mut sorts = rule(2, vec![payee(Operator::Equals, "amazon")]);
    sorts.category_id = Some(Uuid::from_u128(100));
    let mut late = rule(3, vec![condition(Field::Type, Operator::Equals, "expense")]);
    late.category_id = Some(Uuid::from_u128(200));
    late.tags = vec!["spent".to_owned()];
    let amazon = labels("AMZN Mktp DE*2X");
    let all = vec![names.clone(), sorts.clone(), late.clone()];
    let apply = |rules: Vec<Rule>, mode| {
        Ruleset::new(rules)
            .unwrap()
            .apply(booked(&amazon, "5"), mode)
    };
    // The second sees what the first has made, and the third finds the category set.
    let made = apply(all.clone(), Mode::Overwrite).unwrap();
    assert_eq!(made.labels.payee.as_deref(), Some("Amazon"));
    assert_eq!(made.labels.category_id, Some(Uuid::from_u128(100)));
    assert_eq!(made.labels.tags, ["spent"]);
    assert_eq!(made.by, [names.id, sorts.id, late.id]);
    // What is there stays, and so the second has nothing to see.
    let filled = apply(all.clone(), Mode::Fill).unwrap();
    assert_eq!(filled.labels.payee, amazon.payee);
    assert_eq!(filled.labels.category_id, Some(Uuid::from_u128(200)));
    // The other way round the third is first.
    let turned = apply(
        vec![late.clone(), names.clone(), sorts.clone()],
        Mode::Overwrite,
    )
    .unwrap();
    assert_eq!(turned.labels.category_id, Some(Uuid::from_u128(200)));
    // And one that stops is the last.
    names.stops = true;
    let stopped = apply(vec![names.clone(), sorts, late], Mode::Overwrite).unwrap();
    assert_eq!(
        (stopped.labels.category_id, stopped.by),
        (None, vec![names.id])
    );
}

#[test]
fn what_cannot_have_a_category_gets_none_and_tags_have_an_end() {
    let mut sorts = rule(1, vec![condition(Field::Amount, Operator::AtLeast, "0")]);
    sorts.category_id = Some(Uuid::from_u128(100));
    let few = labels("x");
    let mut transfer = booked(&few, "5");
    transfer.transaction_type = TransactionType::Transfer;
    let mut split = booked(&few, "5");
    split.is_split = true;
    let rules = Ruleset::new(vec![sorts.clone()]).unwrap();
    assert_eq!(rules.apply(transfer, Mode::Overwrite), None);
    assert_eq!(rules.apply(split, Mode::Overwrite), None);
    let mut full = labels("x");
    full.tags = (10..10 + TAGS_MAX).map(|tag| tag.to_string()).collect();
    sorts.category_id = None;
    sorts.tags = vec!["one more".to_owned()];
    let rules = Ruleset::new(vec![sorts]).unwrap();
    assert_eq!(rules.apply(booked(&full, "5"), Mode::Overwrite), None);
}

/// Conditions of what no rule sets, or with payees as well.
fn conditions(with_payee: bool) -> impl Strategy<Value = Condition> {
    let text = prop_oneof![
        Just(Operator::Contains),
        Just(Operator::Equals),
        Just(Operator::StartsWith),
        Just(Operator::Matches)
    ];
    let of_text = (text, "[ab]{1,2}").prop_map(move |(operator, value)| {
        let field = if with_payee {
            Field::Payee
        } else {
            Field::Description
        };
        condition(field, operator, &value)
    });
    let order = prop_oneof![Just(Operator::AtLeast), Just(Operator::AtMost)];
    let of_amount = (order, 1..5_u8)
        .prop_map(|(operator, value)| condition(Field::Amount, operator, &value.to_string()));
    prop_oneof![of_text, of_amount]
}

fn rules(with_payee: bool) -> impl Strategy<Value = Rule> {
    (
        vec(conditions(with_payee), 1..3),
        option::of(0..3_u128),
        option::of("[ab]{1,3}"),
        vec("[a-z]", 0..3),
        any::<bool>(),
        any::<u128>(),
    )
        .prop_map(|(conditions, category, payee, tags, stops, id)| Rule {
            category_id: category.map(Uuid::from_u128),
            payee,
            tags,
            stops,
            ..rule(id, conditions)
        })
}

fn twice(
    rules: Vec<Rule>,
    labels: &Labels,
    description: &str,
    amount: u8,
    mode: Mode,
) -> Option<(Labels, Labels)> {
    let rules = Ruleset::new(rules).unwrap();
    let amount = amount.to_string();
    let once = rules.apply(
        Booked {
            description: Some(description),
            ..booked(labels, &amount)
        },
        mode,
    )?;
    let booked = Booked {
        description: Some(description),
        ..booked(&once.labels, &amount)
    };
    let again = rules.apply(booked, mode);
    let again = again.map_or_else(|| once.labels.clone(), |again| again.labels);
    Some((once.labels, again))
}

proptest! {
    #[test]
    fn applied_again_they_change_nothing_more(
        all in vec(rules(false), 1..6),
        single in rules(true),
        payee in option::of("[ab]{1,3}"),
        description in "[ab]{1,3}",
        amount in 1..5_u8,
        overwrite: bool,
    ) {
        let mode = if overwrite { Mode::Overwrite } else { Mode::Fill };
        let labels = Labels { payee, ..Labels::default() };
        // Where no rule looks at what a later one sets.
        for rules in [all, vec![single]] {
            if let Some((once, again)) = twice(rules, &labels, &description, amount, mode) {
                prop_assert_eq!(once, again);
            }
        }
    }

    #[test]
    fn what_is_there_stays_unless_it_is_to_be_replaced(
        all in vec(rules(true), 1..6),
        payee in "[ab]{1,3}",
        category in 0..3_u128,
        amount in 1..5_u8,
    ) {
        let labels = Labels {
            category_id: Some(Uuid::from_u128(category)),
            payee: Some(payee),
            tags: vec!["m".to_owned()],
        };
        let made = Ruleset::new(all).unwrap().apply(booked(&labels, &amount.to_string()), Mode::Fill);
        if let Some(made) = made {
            prop_assert_eq!(&made.labels.category_id, &labels.category_id);
            prop_assert_eq!(&made.labels.payee, &labels.payee);
            prop_assert!(made.labels.tags.contains(&"m".to_owned()));
            prop_assert!(made.labels.tags.is_sorted() && !made.by.is_empty());
        }
    }

    #[test]
    fn any_text_is_a_condition_or_refused(value: String, field in 0..5_usize, operator in 0..6_usize) {
        let fields = [Field::Payee, Field::Description, Field::Amount, Field::WalletId, Field::Type];
        let operators = [
            Operator::Contains, Operator::Equals, Operator::StartsWith, Operator::Matches, Operator::AtLeast,
            Operator::AtMost,
        ];
        let asked = condition(fields[field], operators[operator], &value);
        if let Ok(checked) = asked.checked() {
            prop_assert_eq!(checked.clone().checked(), Ok(checked));
        }
    }
}
