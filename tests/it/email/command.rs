//! `wealth-companion email test`: whether mail goes out, and if not, why and what to do.

use std::process::Command;

use tempfile::TempDir;

use super::{came_for, mail, wire};
use crate::support::stack::Stack;

/// The code and all that was said.
async fn email_test(set: &[(&str, &str)], address: &str) -> (Option<i32>, String) {
    let folder = TempDir::new().expect("a folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_wealth-companion"));
    command.current_dir(folder.path()).env_clear();
    command
        .env("WEALTH__EMAIL__PUBLIC_URL", "https://books.example.com")
        .envs(set.iter().copied())
        .args(["email", "test", address]);
    let output = tokio::task::spawn_blocking(move || command.output()).await;
    let output = output.expect("it does not panic").expect("it runs");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).expect("UTF-8");
    // It needs no database, and makes none.
    let left = std::fs::read_dir(folder.path()).expect("a folder");
    assert_eq!(left.count(), 0, "{said}");
    (output.status.code(), said)
}

#[tokio::test]
async fn an_operator_sees_whether_mail_goes_out() {
    let stack = Stack::get();
    let url = ("SMTP_URL", stack.text("/smtp/url"));
    let ca = ("WEALTH__EMAIL__CA_FILE", stack.text("/smtp/ca_file"));
    let from = ("WEALTH__EMAIL__FROM", "books@example.com");
    let to = mail("operator").to;
    let (code, said) = email_test(&[url, ca, from], &to).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("has taken a mail"), "{said}");
    let came = came_for(&to);
    assert_eq!(came.len(), 1);
    let subject = &came[0]["headers"]["subject"];
    assert_eq!(subject, "Wealth Companion can send mail");
}

#[tokio::test]
async fn of_each_fault_is_told_what_to_do_and_no_secret() {
    let stack = Stack::get();
    let smtp = stack.text("/smtp/url");
    let password = smtp.split([':', '@']).nth(2).expect("a password");
    let wrong = smtp.replace(password, "S3CR3T");
    let nobody = wire::nobody().await;
    let url = ("SMTP_URL", smtp);
    let ca = ("WEALTH__EMAIL__CA_FILE", stack.text("/smtp/ca_file"));
    let from = ("WEALTH__EMAIL__FROM", "books@example.com");
    let to = &*mail("operator").to;
    let bounces = &*mail("bounce-550").to;
    let later = &*mail("later-451").to;
    for (set, to, why) in [
        (vec![], to, "set email.smtp_url (SMTP_URL) and email.from"),
        (vec![url, ca], to, "email.from: must say whom mail is from"),
        (vec![url, from], to, "TLS has failed"),
        (vec![url, from], to, "email.ca_file has the authority"),
        (
            vec![("SMTP_URL", &wrong), ca, from],
            to,
            "answered 535 5.7.8: check user and password",
        ),
        (
            vec![("SMTP_URL", &nobody), from],
            to,
            "cannot be reached: check host and port",
        ),
        (
            vec![url, ca, from],
            bounces,
            "answered 550 5.1.1: the server takes nothing for this address",
        ),
        (
            vec![url, ca, from],
            later,
            "answered 451 4.7.1: check host and port",
        ),
        (
            vec![url, ca, from],
            "gone",
            "that is no address: write an address",
        ),
        (
            vec![("SMTP_URL", "http://ann:S3CR3T@x")],
            to,
            "only smtp: or smtps:",
        ),
        (
            vec![
                ("SMTP_URL", "smtp://ann:S3CR3T@mail.example.com?tls=none"),
                from,
            ],
            to,
            "which would go there in the clear",
        ),
    ] {
        let (code, said) = email_test(&set, to).await;
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(why), "{why:?} is not in {said:?}");
        for secret in [password, "S3CR3T", to] {
            assert!(!said.contains(secret), "{secret} is told: {said}");
        }
    }
}
