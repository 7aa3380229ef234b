//! How the story looks on paper and on a terminal.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{Teller, bar, decimal, shell_word};
use crate::demo::answers::{Alert, Budget, CategorySum, Standing, TrendMonth};

#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn told(terminal: bool, tell: impl FnOnce(&Teller) -> io::Result<()>) -> String {
    let paper = Paper::default();
    tell(&Teller::new(Box::new(paper.clone()), terminal, terminal)).unwrap();
    String::from_utf8(paper.0.lock().unwrap().clone()).unwrap()
}

fn alert(kind: &str) -> Alert {
    Alert {
        kind: kind.to_owned(),
        title: "Groceries: 100 % reached".to_owned(),
        message: "Spent.".to_owned(),
        budget_id: None,
        historic: false,
    }
}

#[test]
fn amounts_and_bars() {
    assert_eq!(
        [5, 99, 100, 123_456].map(decimal),
        ["0.05", "0.99", "1.00", "1234.56"]
    );
    assert_eq!(bar(0, 100), "[....................]");
    assert_eq!(bar(83, 100), "[################....]");
    assert_eq!(bar(250, 100), bar(100, 100));
    assert_eq!(bar(0, 0), bar(0, 100));
}

#[test]
fn a_shell_reads_one_word_whatever_is_in_it() {
    assert_eq!(shell_word("a b"), "'a b'");
    assert_eq!(shell_word("a household's year"), r"'a household'\''s year'");
}

#[test]
fn elsewhere_than_on_a_terminal_there_are_plain_lines() {
    let text = told(false, |teller| {
        teller.chapter("A year")?;
        teller.progress("2026-02", 3, 30)?;
        teller.month_done("2026-02", 30)?;
        teller.note("slowly")?;
        teller.alert(&alert("budget_exceeded"), Duration::from_micros(41_700))
    });
    assert_eq!(
        text,
        "\nA year\n  2026-02  30 bookings\n  (slowly)\n             ALERT  Groceries: 100 % reached  \
         41 ms after the booking\n                    Spent.\n"
    );
}

#[test]
fn on_a_terminal_one_line_moves_and_gives_way_to_the_next() {
    let text = told(true, |teller| {
        teller.progress("2026-01", 15, 30)?;
        teller.progress("2026-02", 30, 30)?;
        teller.month_done("2026-02", 15)?;
        teller.say("done")
    });
    assert_eq!(
        text,
        "\r\x1b[2K  2026-01  [##########..........]  15 of 30 bookings\
         \r\x1b[2K  2026-02  [####################]  30 of 30 bookings\
         \r\x1b[2K  done\n"
    );
    let text = told(true, |teller| {
        teller.alert(&alert("budget_warning"), Duration::ZERO)
    });
    assert!(text.contains("\x1b[33mALERT"), "{text:?}");
}

#[test]
fn the_look_back_is_three_tables() {
    let month = TrendMonth {
        month: "2026-02".to_owned(),
        income: "5500.00".to_owned(),
        spending: "6000.25".to_owned(),
        net: "-500.25".to_owned(),
    };
    let sum = |name: Option<&str>, kind: &str| CategorySum {
        name: name.map(str::to_owned),
        kind: kind.to_owned(),
        amount: "12.00".to_owned(),
    };
    let budget = Budget {
        name: "Fun".to_owned(),
        amount: "160.00".to_owned(),
        current: Standing {
            spent: "80.00".to_owned(),
            percent: 50,
        },
    };
    let text = told(false, |teller| {
        teller.trend(&[month])?;
        teller.top_categories(&[sum(Some("Salary"), "income"), sum(None, "expense")])?;
        teller.budgets(&[budget])
    });
    assert_eq!(
        text,
        "  month         income    spending         net\n  \
         2026-02      5500.00     6000.25     -500.25\n  \
         without a category         12.00\n  \
         Fun                 [##########..........]   50 %  80.00 of 160.00\n"
    );
}
