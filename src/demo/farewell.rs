//! How to go on by hand: lines for a shell.

use serde_json::json;

use super::Demo;
use super::books::Books;
use super::client::Client;
use super::household::{BUDGETS, Booking, Kind};
use super::story::shell_word;

const JSON: &str = "-H 'Content-Type: application/json'";
const BEARER: &str = "-H \"Authorization: Bearer $TOKEN\"";
/// Takes the access token out of a session.
const TOKEN_OF_SESSION: &str = r#"sed 's/.*"access_token":"\([^"]*\)".*/\1/'"#;

impl Demo {
    /// Prints who the demo user is, and what to try next.
    pub(super) fn how_to_go_on(&self, client: &Client, books: &Books) -> anyhow::Result<()> {
        let base = client.base();
        self.teller.chapter("Go on by hand")?;
        self.teller
            .say(&format!("every route, in the browser: {base}/docs"))?;
        self.teller.say(&format!(
            "e-mail {}  password {}",
            self.email, self.options.password
        ))?;
        self.teller.paragraph("Sign in:", &[&self.sign_in(base)])?;
        let dashboard = format!("curl -s {} {BEARER}", at(base, "/v1/dashboard"));
        self.teller.paragraph("This month:", &[&dashboard])?;
        let listen = format!("curl -sN {} {BEARER} &", at(base, "/v1/alerts/stream"));
        let book = self.break_a_budget(base, books)?;
        self.teller
            .paragraph("Listen, and break the next budget:", &[&listen, &book])?;
        Ok(())
    }

    fn sign_in(&self, base: &str) -> String {
        let body = json!({"email": self.email, "password": self.options.password}).to_string();
        let login = at(base, "/v1/auth/login");
        format!(
            "TOKEN=$(curl -s {login} {JSON} -d {} | {TOKEN_OF_SESSION})",
            shell_word(&body)
        )
    }

    /// A booking as large as the last budget.
    fn break_a_budget(&self, base: &str, books: &Books) -> anyhow::Result<String> {
        let [.., budget] = &BUDGETS;
        let booking = Booking {
            wallet: "Cash",
            kind: Kind::Expense,
            category: budget.categories[0],
            cents: budget.limit_cents,
            date: self.options.today,
            description: "One night out",
            payee: "Grand Cinema",
            key: uuid::Uuid::nil(),
        };
        let body = shell_word(&books.booking_body(&booking)?.to_string());
        Ok(format!(
            "curl -s {} {BEARER} {JSON} -d {body}",
            at(base, "/v1/transactions")
        ))
    }
}

fn at(base: &str, path: &str) -> String {
    shell_word(&format!("{base}{path}"))
}
