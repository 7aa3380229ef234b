//! How good the insights are, on cases of which it is known what should be said: what was said and should have been
//! (precision), and what should have been and was (recall), of each kind. Each case is somebody's year with some noise.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use chrono::{Days, Months, NaiveDate};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use uuid::Uuid;

use super::month::{CategoryMonths, Pace, PastMonth, forecast, patterns, will_not_hold};
use super::{Expense, Insight, Kind, Payee, charge, regular};
use crate::domain::money::Currency;
use crate::domain::period::{Period, PeriodKind};

/// Of each case.
const TIMES: u64 = 40;

struct Life {
    rng: StdRng,
    today: NaiveDate,
    expenses: Vec<Expense>,
}

fn usd() -> Currency {
    Currency::parse("USD").unwrap()
}

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

impl Life {
    fn new(seed: u64) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
            today: day("2026-02-20"),
            expenses: Vec::new(),
        }
    }

    fn ago(&self, days: u64) -> NaiveDate {
        self.today.checked_sub_days(Days::new(days)).unwrap()
    }

    fn pay(&mut self, payee: &str, minor: i64, date: NaiveDate) -> Uuid {
        self.pay_from(1, 1, payee, minor, date)
    }

    fn pay_from(
        &mut self,
        wallet: u128,
        category: u128,
        payee: &str,
        minor: i64,
        date: NaiveDate,
    ) -> Uuid {
        let id = Uuid::from_u128(1 + self.expenses.len() as u128);
        self.expenses.push(Expense {
            id,
            date,
            minor,
            wallet_id: Uuid::from_u128(wallet),
            category_id: Some(Uuid::from_u128(category)),
            payee: Some(Payee::new(payee.to_owned())),
        });
        id
    }

    /// On the same day of each month, or up to some days later.
    fn monthly(&mut self, payee: &str, amounts: &[i64], late: u64) {
        let first = self.ago(8);
        for (ago, minor) in (0..).zip(amounts.iter().rev()) {
            let date = first.checked_sub_months(Months::new(ago)).unwrap();
            let later = self.rng.random_range(0..=late);
            let number = self.rng.random_range(100..999);
            self.pay(
                &format!("{payee} {number}"),
                *minor,
                date.checked_add_days(Days::new(later)).unwrap(),
            );
        }
    }

    /// Shops, as everybody has them.
    fn noise(&mut self) {
        for (shop, most) in [
            ("Grocer", 12_000_i64),
            ("Corner Café", 900),
            ("Fuel & Go", 6_000),
        ] {
            for _ in 0..self.rng.random_range(20..60) {
                let (minor, ago) = (
                    self.rng.random_range(150..most),
                    self.rng.random_range(0..380),
                );
                let date = self.ago(ago);
                self.pay_from(1, most.unsigned_abs().into(), shop, minor, date);
            }
        }
    }

    fn found(&self) -> Vec<Insight> {
        let comes_back = regular::regular(&self.expenses, self.today);
        let usual: BTreeSet<String> = comes_back.iter().map(|it| it.key.clone()).collect();
        let mut found = regular::insights(&comes_back, usd());
        found.extend(regular::tip(&comes_back, usd(), self.today));
        found.extend(charge::twice(&self.expenses, usd(), self.today));
        let name_of = |_| Some("Something".to_owned());
        found.extend(charge::unusual(
            &self.expenses,
            &usual,
            name_of,
            usd(),
            self.today,
        ));
        found
    }
}

#[derive(Default, Debug)]
struct Score {
    right: u32,
    wrong: u32,
    missed: u32,
}

impl Score {
    fn add(&mut self, found: &BTreeSet<String>, wanted: &BTreeSet<String>) {
        let count =
            |it: std::collections::btree_set::Iter<'_, String>| u32::try_from(it.count()).unwrap();
        let both: BTreeSet<String> = found.intersection(wanted).cloned().collect();
        self.right += count(both.iter());
        self.wrong += count(found.iter()) - count(both.iter());
        self.missed += count(wanted.iter()) - count(both.iter());
    }

    /// In percent, rounded down.
    fn precision(&self) -> u32 {
        100 * self.right / (self.right + self.wrong).max(1)
    }

    fn recall(&self) -> u32 {
        100 * self.right / (self.right + self.missed).max(1)
    }

    #[track_caller]
    fn holds(&self, what: &str, precision: u32, recall: u32) {
        println!(
            "{what}: precision {} %, recall {} %, {self:?}",
            self.precision(),
            self.recall()
        );
        assert!(
            self.precision() >= precision && self.recall() >= recall,
            "{what}: {self:?}"
        );
    }
}

fn keys(found: &[Insight], prefix: &str) -> BTreeSet<String> {
    let keys = found.iter().map(|it| it.key.clone());
    keys.filter(|key| key.starts_with(prefix)).collect()
}

fn some(keys: &[&str]) -> BTreeSet<String> {
    keys.iter().map(|key| (*key).to_owned()).collect()
}

#[test]
fn what_comes_back_is_found_and_shops_are_not() {
    let mut score = Score::default();
    for seed in 0..TIMES {
        let mut life = Life::new(seed);
        life.noise();
        life.monthly("Streaming", &[1_299; 7], 0);
        life.monthly("Rent", &[95_000; 11], 3);
        life.monthly("Phone", &[2_000, 2_010, 1_990, 2_000, 2_050], 4);
        life.monthly("Journal", &[500, 500, 500], 1);
        for week in 0..12 {
            let date = life.ago(2 + 7 * week);
            life.pay("Swimming", 1_200, date);
        }
        // It has ended.
        for month in 0..5 {
            let date = life.ago(120 + 30 * month);
            life.pay("Old Gym", 3_000, date);
        }
        // What differs is a bill, and what came twice is not known to come back.
        let bill: Vec<i64> = (0..8)
            .map(|_| life.rng.random_range(3_000..15_000))
            .collect();
        life.monthly("Power", &bill, 2);
        life.monthly("New Club", &[4_000, 4_000], 0);
        let found = keys(&life.found(), "subscription");
        let wanted = some(&[
            "subscription month USD streaming",
            "subscription month USD rent",
            "subscription month USD phone",
            "subscription month USD journal",
            "subscription week USD swimming",
        ]);
        score.add(&found, &wanted);
    }
    score.holds("regular payments", 95, 95);
}

#[test]
fn a_price_that_rises_is_found_and_a_bill_that_moves_is_not() {
    let mut score = Score::default();
    for seed in 0..TIMES {
        let mut life = Life::new(seed);
        life.noise();
        let was = life.rng.random_range(500..5_000);
        let rise = was * life.rng.random_range(5..12) / 100 + 31;
        life.monthly("Streaming", &[was, was, was, was, was + rise], 2);
        life.monthly("Steady", &[999; 6], 2);
        life.monthly("Cheaper", &[1_500, 1_500, 1_500, 1_500, 1_400], 2);
        let moves: Vec<i64> = (0..6)
            .map(|_| 5_000 + life.rng.random_range(-200..200))
            .collect();
        life.monthly("Water", &moves, 2);
        let found = keys(&life.found(), "price");
        let of: BTreeSet<String> = found
            .iter()
            .map(|key| key.rsplit_once(' ').unwrap().0.to_owned())
            .collect();
        score.add(&of, &some(&["price streaming"]));
    }
    score.holds("price rises", 95, 90);
}

#[test]
fn a_charge_made_twice_is_suspected_and_a_habit_is_not() {
    let mut score = Score::default();
    for seed in 0..TIMES {
        let mut life = Life::new(seed);
        life.noise();
        let (minor, apart) = (
            life.rng.random_range(1_500..90_000),
            life.rng.random_range(0..=2),
        );
        let (first, second) = (life.ago(5), life.ago(5 - apart));
        let pair = [
            life.pay("Furniture", minor, first),
            life.pay("Furniture", minor, second),
        ];
        // Another wallet, another amount, another week, and long ago.
        life.pay_from(1, 1, "Dentist", 8_000, first);
        life.pay_from(2, 1, "Dentist", 8_000, first);
        life.pay("Shoes", 7_000, first);
        life.pay("Shoes", 7_001, first);
        let week = life.ago(12);
        life.pay("Garage", 30_000, week);
        life.pay("Garage", 30_000, first);
        for ago in [200, 200] {
            let date = life.ago(ago);
            life.pay("Flight", 40_000, date);
        }
        // Two tickets, every time.
        for ago in [4, 40, 90] {
            let date = life.ago(ago);
            life.pay("Cinema", 1_800, date);
            life.pay("Cinema", 1_800, date);
        }
        let wanted = format!("twice {} {}", pair[0], pair[1]);
        score.add(&keys(&life.found(), "twice"), &some(&[&wanted]));
    }
    score.holds("charged twice", 95, 95);
}

#[test]
fn a_charge_far_above_the_usual_is_found_and_a_wide_range_is_not() {
    let mut score = Score::default();
    for seed in 0..TIMES {
        let mut life = Life::new(seed);
        for _ in 0..30 {
            let (minor, ago) = (
                life.rng.random_range(2_000..6_000),
                life.rng.random_range(20..300),
            );
            let date = life.ago(ago);
            life.pay_from(1, 7, "Restaurant", minor, date);
            // Anything between 5 and 500.
            let minor = life.rng.random_range(500..50_000);
            life.pay_from(1, 8, "Department Store", minor, date);
            let minor = life.rng.random_range(200..500);
            life.pay_from(1, 9, "Café", minor, date);
        }
        // Small things, and now and then something big.
        for number in 0..40 {
            let date = life.ago(20 + 5 * number);
            let (payee, minor) = if number % 8 == 0 {
                let shops = ["Shoes", "Lamps", "Books", "Garden", "Toys"];
                (
                    shops[usize::try_from(number / 8).expect("small")],
                    life.rng.random_range(10_000..22_000),
                )
            } else {
                ("Web Shop", life.rng.random_range(1_000..1_500))
            };
            life.pay_from(1, 11, payee, minor, date);
        }
        let now = life.ago(3);
        life.pay_from(1, 11, "Paint", 12_000, now);
        let dinner = life.rng.random_range(30_000..60_000);
        let dinner = life.pay_from(1, 7, "Restaurant", dinner, now);
        // The largest of a wide range, a little more than usual, small money, and a category that is new.
        life.pay_from(1, 8, "Department Store", 52_000, now);
        life.pay_from(1, 7, "Restaurant", 7_000, now);
        life.pay_from(1, 9, "Café", 2_500, now);
        life.pay_from(1, 10, "Bicycle", 150_000, now);
        // What comes back is known, whatever its category.
        for month in 0..6 {
            let date = life.ago(6 + 30 * month);
            life.pay_from(1, 7, "Canteen", 20_000, date);
        }
        let found = keys(&life.found(), "unusual");
        score.add(&found, &some(&[&format!("unusual {dinner}")]));
    }
    score.holds("unusual charges", 90, 95);
}

#[test]
fn a_category_that_stands_out_is_found() {
    let mut score = Score::default();
    for seed in 0..TIMES {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut category = |id: u128, usual: i64, now: i64, months: usize| {
            let before = (0..months).map(|_| usual + rng.random_range(-usual / 5..=usual / 5));
            CategoryMonths {
                category_id: Uuid::from_u128(id),
                name: "Something".to_owned(),
                before: before.collect(),
                now,
            }
        };
        let categories = [
            category(1, 20_000, 40_000, 6),
            category(2, 20_000, 23_000, 6),
            // Twice as much, of very little.
            category(3, 1_000, 3_000, 6),
            category(4, 20_000, 90_000, 2),
            category(5, 0, 90_000, 6),
            category(6, 80_000, 150_000, 3),
        ];
        let found = patterns(&categories, usd(), day("2026-02-20"));
        let of: BTreeSet<String> = found.iter().map(|it| it.related[0].1.to_string()).collect();
        let wanted = [1, 6].map(|id| Uuid::from_u128(id).to_string());
        score.add(&of, &wanted.into());
    }
    score.holds("categories beside their past", 95, 95);
}

#[test]
fn the_end_of_a_month_lies_in_the_range_that_was_foreseen() {
    let (mut within, mut all) = (0_u32, 0_u32);
    for seed in 0..TIMES {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut month = || PastMonth {
            until_today: rng.random_range(80_000..120_000),
            rest: rng.random_range(40_000..60_000),
        };
        let before: Vec<PastMonth> = (0..6).map(|_| month()).collect();
        let this = month();
        let found = forecast(this.until_today, &before, usd(), day("2026-02-20")).unwrap();
        let minor = |of: &str| {
            let text = found.facts[of].as_str().unwrap().replace('.', "");
            text.parse::<i64>().unwrap()
        };
        let end = this.until_today + this.rest;
        assert!(minor("low") <= minor("likely") && minor("likely") <= minor("high"));
        assert_eq!(found.confidence, 71);
        within += u32::from((minor("low")..=minor("high")).contains(&end));
        all += 1;
    }
    println!("forecasts: {within} of {all} ends lay in the range");
    // The range of six months holds five of seven on average, as the confidence says.
    assert!(within * 100 >= all * 60, "{within} of {all}");
}

#[test]
fn too_early_too_late_and_without_a_past_nothing_is_foreseen() {
    let past = |rest| PastMonth {
        until_today: 100,
        rest,
    };
    let full = [past(5), past(6), past(7)];
    let of_three = forecast(1, &full, usd(), day("2026-02-20")).unwrap();
    assert_eq!(of_three.confidence, 50, "two of four gaps");
    let roof = [past(5), past(6), past(7), past(8), past(9), past(900_000)];
    let of_five = forecast(1, &roof, usd(), day("2026-02-20")).unwrap();
    assert_eq!(of_five.facts["high"], "0.10", "the new roof is left out");
    assert_eq!(of_five.confidence, 57, "four of seven gaps");
    assert!(forecast(1, &full, usd(), day("2026-02-09")).is_none());
    assert!(forecast(1, &full, usd(), day("2026-02-26")).is_none());
    assert!(forecast(1, &full[..2], usd(), day("2026-02-20")).is_none());
    let empty = PastMonth {
        until_today: 0,
        rest: 0,
    };
    let mostly_empty = [past(5), past(6), empty];
    assert!(forecast(1, &mostly_empty, usd(), day("2026-02-20")).is_none());
}

#[test]
fn a_budget_that_will_not_hold_is_found_before_it_breaks() {
    let today = day("2026-02-14");
    let pace = |available, spent| Pace {
        budget_id: Uuid::nil(),
        name: "Food".to_owned(),
        period: Period::containing(PeriodKind::Monthly, None, today),
        available,
        spent,
        currency: usd(),
    };
    let found = will_not_hold(&pace(10_000, 6_000), today).unwrap();
    assert_eq!(found.facts["foreseen"], "120.00");
    assert_eq!(found.kind, Kind::Forecast);
    for (available, spent) in [
        (10_000, 5_000),
        (10_000, 5_700),
        (10_000, 10_000),
        (-5, 1),
        (10_000, 0),
    ] {
        assert_eq!(
            will_not_hold(&pace(available, spent), today),
            None,
            "{spent} of {available}"
        );
    }
    let early = day("2026-02-03");
    assert_eq!(will_not_hold(&pace(10_000, 6_000), early), None);
}

#[test]
fn texts_stay_within_their_bounds() {
    let long = "Ä".repeat(300);
    let mut life = Life::new(1);
    life.monthly(&long, &[1_000, 1_000, 1_000, 1_100], 0);
    let today = life.today;
    life.pay(&long, 1_000_000_000_000_000, today);
    life.pay(&long, 1_000_000_000_000_000, today);
    let categories = [CategoryMonths {
        category_id: Uuid::nil(),
        name: long,
        before: vec![1; 6],
        now: 1_000_000_000_000_000,
    }];
    let mut found = life.found();
    found.extend(patterns(&categories, usd(), today));
    assert!(found.len() >= 2, "{found:?}");
    for insight in found {
        assert!(insight.title.chars().count() <= 100, "{}", insight.title);
        assert!(
            insight.message.chars().count() <= 500,
            "{}",
            insight.message
        );
        assert!(insight.key.len() <= 200, "{}", insight.key);
        assert!((1..=100).contains(&insight.confidence));
    }
}
