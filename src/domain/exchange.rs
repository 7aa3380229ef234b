//! Which rate holds on a day.
//!
//! Public rates are those of the European Central Bank: what a euro is worth, on working days. What is between two other
//! currencies follows from what a euro is worth in both of them on one day. People may have rates of their own, between any
//! two currencies. The rate of the latest day holds, and of one day a person's own; where there is none that is young
//! enough, there is no rate, and nobody guesses one.

use std::collections::BTreeMap;

use chrono::{Days, NaiveDate};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::money::Currency;
use crate::domain::rate::Rate;
use crate::domain::word::words;

/// The currency whose worth the public rates tell.
pub const BASE: &str = "EUR";

/// For how many days a public rate holds where no later one is known: longer than any holidays.
pub const PUBLIC_DAYS: u64 = 7;

/// The same of a rate of one's own: one a month is enough.
pub const OWN_DAYS: u64 = 31;

/// Where a rate comes from.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    ToSchema,
    JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum RateSource {
    /// The user has set it.
    Own,
    /// A reference rate of the European Central Bank.
    Ecb,
    /// Both are one currency.
    Same,
}

words!(RateSource {
    Own = "own",
    Ecb = "ecb",
    Same = "same",
});

/// What a euro was worth in a currency on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicRate {
    /// The currency; not the euro itself.
    pub currency: Currency,
    /// The day.
    pub date: NaiveDate,
    /// How much of it a euro was worth.
    pub rate: Rate,
}

/// What a currency was worth in another on a day, as somebody has set it for themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnRate {
    /// One unit of this currency
    pub from: Currency,
    /// was worth so much of this one.
    pub to: Currency,
    /// The day.
    pub date: NaiveDate,
    /// How much.
    pub rate: Rate,
}

/// A rate that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holding {
    /// The rate.
    pub rate: Rate,
    /// The day that it is of.
    pub date: NaiveDate,
    /// Where it comes from.
    pub source: RateSource,
}

/// The rates that may hold on a day.
#[derive(Debug, Clone)]
pub struct Exchange {
    day: NaiveDate,
    public: BTreeMap<Currency, BTreeMap<NaiveDate, Rate>>,
    own: BTreeMap<(Currency, Currency), (NaiveDate, Rate)>,
}

impl Exchange {
    /// The rates of a day; those that are too old for it, or of later days, are left out.
    #[must_use]
    pub fn new(
        day: NaiveDate,
        public: impl IntoIterator<Item = PublicRate>,
        own: impl IntoIterator<Item = OwnRate>,
    ) -> Self {
        let mut exchange = Self {
            day,
            public: BTreeMap::new(),
            own: BTreeMap::new(),
        };
        let (public_since, own_since) = (since(day, PUBLIC_DAYS), since(day, OWN_DAYS));
        for it in public {
            if (public_since..=day).contains(&it.date) {
                let of = exchange.public.entry(it.currency).or_default();
                of.insert(it.date, it.rate);
            }
        }
        for it in own {
            if (own_since..=day).contains(&it.date) {
                let latest = exchange.own.entry((it.from, it.to));
                let latest = latest.or_insert((it.date, it.rate));
                if it.date > latest.0 {
                    *latest = (it.date, it.rate);
                }
            }
        }
        exchange
    }

    /// What a unit of a currency is worth in another, if that is known.
    #[must_use]
    pub fn between(&self, from: Currency, to: Currency) -> Option<Holding> {
        if from == to {
            return Some(Holding {
                rate: Rate::ONE,
                date: self.day,
                source: RateSource::Same,
            });
        }
        match (self.own(from, to), self.public(from, to)) {
            (Some(own), Some(public)) if public.date > own.date => Some(public),
            (own, public) => own.or(public),
        }
    }

    /// As it was set, or the other way round; of one day as it was set.
    fn own(&self, from: Currency, to: Currency) -> Option<Holding> {
        let set = self.own.get(&(from, to)).copied();
        let turned = self.own.get(&(to, from));
        let turned = turned.and_then(|(date, rate)| Some((*date, rate.inverse().ok()?)));
        let (date, rate) = match (set, turned) {
            (Some(set), Some(turned)) if turned.0 > set.0 => turned,
            (set, turned) => set.or(turned)?,
        };
        let source = RateSource::Own;
        Some(Holding { rate, date, source })
    }

    /// Of the latest day of which both are known.
    fn public(&self, from: Currency, to: Currency) -> Option<Holding> {
        let is_base = |currency: Currency| currency.code() == BASE;
        let days = self.public.get(if is_base(from) { &to } else { &from })?;
        let of = |currency: Currency, date: &NaiveDate| {
            if is_base(currency) {
                return Some(Rate::ONE);
            }
            self.public.get(&currency)?.get(date).copied()
        };
        days.keys().rev().find_map(|date| {
            Some(Holding {
                rate: Rate::across(of(from, date)?, of(to, date)?).ok()?,
                date: *date,
                source: RateSource::Ecb,
            })
        })
    }
}

/// The first day whose rates hold on a day.
#[must_use]
pub fn since(day: NaiveDate, days: u64) -> NaiveDate {
    day.checked_sub_days(Days::new(days))
        .unwrap_or(NaiveDate::MIN)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn currency(code: &str) -> Currency {
        Currency::parse(code).unwrap()
    }

    fn public(code: &str, date: &str, rate: &str) -> PublicRate {
        PublicRate {
            currency: currency(code),
            date: date.parse().unwrap(),
            rate: Rate::parse(rate).unwrap(),
        }
    }

    fn own(from: &str, to: &str, date: &str, rate: &str) -> OwnRate {
        OwnRate {
            from: currency(from),
            to: currency(to),
            date: date.parse().unwrap(),
            rate: Rate::parse(rate).unwrap(),
        }
    }

    /// Whatever is asked for, what is known of 10 February.
    fn known(day: &str, public: &[PublicRate], own: &[OwnRate]) -> impl Fn(&str, &str) -> String {
        let exchange = Exchange::new(
            day.parse().unwrap(),
            public.iter().copied(),
            own.iter().copied(),
        );
        move |from, to| {
            let held = exchange.between(currency(from), currency(to));
            held.map_or_else(
                || "unknown".to_owned(),
                |it| format!("{} of {} {}", it.rate, it.date, it.source),
            )
        }
    }

    #[test]
    fn the_latest_day_of_which_both_are_known_holds() {
        let rates = [
            public("USD", "2026-02-09", "1.08"),
            public("USD", "2026-02-10", "1.25"),
            public("USD", "2026-02-11", "1.10"),
            public("JPY", "2026-02-09", "162"),
            public("BRL", "2026-02-02", "6.2"),
        ];
        let between = known("2026-02-10", &rates, &[]);
        assert_eq!(between("EUR", "USD"), "1.25 of 2026-02-10 ecb");
        assert_eq!(between("USD", "EUR"), "0.8 of 2026-02-10 ecb");
        assert_eq!(between("USD", "JPY"), "150 of 2026-02-09 ecb");
        assert_eq!(between("EUR", "EUR"), "1 of 2026-02-10 same");
        assert_eq!(between("ARS", "ARS"), "1 of 2026-02-10 same");
        // Older than a week.
        assert_eq!(between("EUR", "BRL"), "unknown");
        assert_eq!(between("EUR", "ARS"), "unknown");
        assert_eq!(between("ARS", "EUR"), "unknown");
        let between = known("2026-02-17", &rates, &[]);
        assert_eq!(between("EUR", "USD"), "1.1 of 2026-02-11 ecb");
        assert_eq!(between("USD", "JPY"), "unknown");
        let between = known("2026-02-08", &rates, &[]);
        assert_eq!(between("EUR", "USD"), "unknown", "it was not known then");
        assert_eq!(between("EUR", "BRL"), "6.2 of 2026-02-02 ecb");
    }

    #[test]
    fn of_one_day_ones_own_holds_either_way_round() {
        let rates = [
            public("USD", "2026-02-09", "1.25"),
            public("USD", "2026-02-10", "1.25"),
        ];
        let set = [
            own("EUR", "USD", "2026-02-10", "1.6"),
            own("USD", "ARS", "2026-01-10", "1000"),
            own("USD", "ARS", "2026-01-09", "999"),
            own("UYU", "USD", "2026-01-09", "0.025"),
        ];
        let between = known("2026-02-10", &rates, &set);
        assert_eq!(between("EUR", "USD"), "1.6 of 2026-02-10 own");
        assert_eq!(between("USD", "EUR"), "0.625 of 2026-02-10 own");
        assert_eq!(between("USD", "ARS"), "1000 of 2026-01-10 own");
        assert_eq!(between("ARS", "USD"), "0.001 of 2026-01-10 own");
        // Older than a month; and none is made of two.
        assert_eq!(between("UYU", "USD"), "unknown");
        assert_eq!(between("EUR", "ARS"), "unknown");
        // A later public one holds.
        let later = [&rates[..], &[public("USD", "2026-02-11", "1.3")]].concat();
        let between = known("2026-02-11", &later, &set);
        assert_eq!(between("EUR", "USD"), "1.3 of 2026-02-11 ecb");
        let between = known("2026-02-11", &rates, &set);
        assert_eq!(between("EUR", "USD"), "1.6 of 2026-02-10 own");
        // Set both ways, the later one; of one day each as it was set.
        let both = [
            own("EUR", "USD", "2026-02-10", "1.6"),
            own("USD", "EUR", "2026-02-10", "0.5"),
            own("USD", "ARS", "2026-02-09", "1000"),
            own("ARS", "USD", "2026-02-10", "0.002"),
        ];
        let between = known("2026-02-10", &[], &both);
        assert_eq!(between("EUR", "USD"), "1.6 of 2026-02-10 own");
        assert_eq!(between("USD", "EUR"), "0.5 of 2026-02-10 own");
        assert_eq!(between("USD", "ARS"), "500 of 2026-02-10 own");
    }

    #[test]
    fn the_ends_of_the_calendar_are_days_as_others() {
        for day in [NaiveDate::MIN, NaiveDate::MAX] {
            let exchange = Exchange::new(day, [], []);
            assert!(exchange.between(currency("EUR"), currency("USD")).is_none());
        }
    }
}
