//! What somebody is told whose bank's export is booked day by day, each row on its day: for eyes to judge, since nobody
//! has labelled the file. `make insights CSV=FILE` prints it.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Months, NaiveDate, NaiveTime, Utc};
use serde::Deserialize;
use wealth_companion::domain::category::CategoryKind;
use wealth_companion::domain::money::AmountText;
use wealth_companion::domain::transaction::TransactionType;
use wealth_companion::store::insights::Wanted;
use wealth_companion::store::transactions::Draft;

use super::{listed, looker};
use crate::support::chain::Chain;

/// The story's clock only goes forward from 2026: all rows are so many years later than the file has them.
const LATER: Months = Months::new(12 * 9);

/// A row as banks and `tools/real_input.py` know it.
#[derive(Debug, Deserialize)]
struct Row {
    #[serde(rename = "Date")]
    date: String,
    #[serde(rename = "Description")]
    description: String,
    #[serde(rename = "Amount")]
    amount: String,
    #[serde(rename = "Transaction Type")]
    kind: String,
    #[serde(rename = "Category")]
    category: String,
    #[serde(rename = "Account Name")]
    account: String,
}

impl Row {
    fn date(&self) -> NaiveDate {
        NaiveDate::parse_from_str(&self.date, "%m/%d/%Y").expect("m/d/yyyy")
    }

    fn kind(&self) -> (TransactionType, CategoryKind) {
        match self.kind.as_str() {
            "debit" => (TransactionType::Expense, CategoryKind::Expense),
            "credit" => (TransactionType::Income, CategoryKind::Income),
            other => panic!("neither debit nor credit: {other}"),
        }
    }
}

fn evening(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(NaiveTime::from_hms_opt(20, 0, 0).expect("an hour"))
        .and_utc()
}

#[tokio::test]
#[ignore = "needs INSIGHTS_CSV, a bank's export: make insights CSV=FILE"]
async fn told_day_by_day() {
    let path = std::env::var("INSIGHTS_CSV").expect("INSIGHTS_CSV=FILE");
    let mut reader = csv::Reader::from_path(path).expect("a file");
    let mut rows: Vec<Row> = reader
        .deserialize()
        .map(|row| row.expect("a row"))
        .collect();
    rows.sort_by_key(Row::date);

    let chain = Chain::new().await;
    let ada = chain.household("ada").await;
    let looker = looker(&chain);
    let (mut wallets, mut categories) = (BTreeMap::new(), BTreeMap::new());
    let mut told = BTreeSet::new();
    for of_a_day in rows.chunk_by(|one, other| one.date() == other.date()) {
        let in_the_file = of_a_day[0].date();
        let day = in_the_file.checked_add_months(LATER).expect("a day");
        let ahead = evening(day) - chain.clock.now();
        chain.clock.advance(ahead.to_std().expect("later"));
        for row in of_a_day {
            let (kind, of_kind) = row.kind();
            if !wallets.contains_key(&row.account) {
                let name = format!("{} of the file", row.account);
                let id = chain.wallet(ada, &name, "USD").await;
                wallets.insert(row.account.clone(), id);
            }
            let key = (row.category.clone(), row.kind.clone());
            if !categories.contains_key(&key) {
                let name = format!("{} ({of_kind:?})", row.category);
                let id = chain.category(ada, &name, of_kind).await;
                categories.insert(key.clone(), id);
            }
            let amount = AmountText::Text(row.amount.clone());
            let draft = Draft {
                category_id: Some(categories[&key]),
                payee: Some(row.description.clone()),
                ..Draft::new(wallets[&row.account], kind, amount, day)
            };
            chain.book(ada, draft).await;
        }
        chain.settle().await;
        looker.look(ada.user_id).await.expect("a look");
        for found in listed(&chain, ada, Wanted::default()).await {
            if told.insert(found.id) {
                let insight = found.insight;
                println!(
                    "{in_the_file} {:<16} {:>3} %  {}: {}",
                    insight.kind.as_str(),
                    insight.confidence,
                    insight.title,
                    insight.message
                );
            }
        }
    }
    println!("{} bookings, {} insights", rows.len(), told.len());
}
