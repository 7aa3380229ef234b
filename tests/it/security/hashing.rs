use serde_json::json;
use tempfile::TempDir;

use crate::support::world::PASSWORD;
use crate::support::{Answer, Process};

const HASHED: &str = "wealth_passwords_hashed_total";

/// What makes signing in slow is hashing, so it is counted, not timed: a clock would tell of the
/// machine's other work. That the hash which nobody has costs as much as a real one is told where it
/// is made, in src/api/passwords.rs.
#[tokio::test]
async fn an_address_that_nobody_has_costs_as_many_hashes_as_one_that_somebody_has() {
    let folder = TempDir::new().expect("a folder");
    let process = Process::start(folder.path(), &[]).await;
    process.register("ada").await;
    for (path, email, password, status) in [
        ("login", "ada@example.com", PASSWORD, 200),
        ("login", "ada@example.com", "wrong horse battery", 401),
        ("login", "ada@example.com", "", 401),
        ("login", "nobody@example.com", PASSWORD, 401),
        ("login", "nobody@example.com", "", 401),
        ("login", "no address", PASSWORD, 401),
        ("login", "", PASSWORD, 401),
        ("register", "ada@example.com", PASSWORD, 409),
        ("register", "grace@example.com", PASSWORD, 201),
    ] {
        let before: u64 = process.metric(HASHED).await;
        let url = format!("{}/v1/auth/{path}", process.url);
        let body = json!({"email": email, "password": password});
        let answer = Answer::to(process.http.post(url).json(&body)).await;
        assert_eq!(answer.status, status, "{email}: {answer:?}");
        let after: u64 = process.metric(HASHED).await;
        assert_eq!(after - before, 1, "{path} {email} {password}");
    }
}
