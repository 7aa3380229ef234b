//! What opens which operation: said here, once. The server asks it, and the OpenAPI document is made of it.

use crate::domain::scope::Scope;

/// What opens an operation to personal access tokens. A session of somebody who has signed in opens all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// A token of this scope does.
    Scope(Scope),
    /// None does: matters of the account.
    SessionAlone,
    /// Nobody needs to have signed in: the link of a mail says who it is for.
    Link,
}

/// What opens the operation at this path; none of a path that nobody has thought of, which a session alone opens.
#[must_use]
pub fn needed(is_get: bool, path: &str) -> Option<Access> {
    let books = if is_get { Scope::Read } else { Scope::Write };
    match path.split('/').nth(2)? {
        "auth" | "tokens" => Some(Access::SessionAlone),
        "unsubscribe" | "confirm-email" => Some(Access::Link),
        "me" if !is_get => Some(Access::SessionAlone),
        "insights" => Some(Access::Scope(Scope::Ai)),
        "me" | "wallets" | "categories" | "transactions" | "recurring" | "upcoming" | "budgets"
        | "goals" | "contributions" | "rates" | "exchange-rate" | "rules" | "rule-preview"
        | "rule-runs" | "alerts" | "dashboard" => Some(Access::Scope(books)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::openapi;
    use super::*;

    #[test]
    fn every_operation_has_something_that_opens_it() {
        for path in openapi::document().paths.paths.keys() {
            for is_get in [true, false] {
                let place = "say in src/api/access.rs what opens it";
                assert!(needed(is_get, path).is_some(), "{path}: {place}");
            }
        }
    }

    #[test]
    fn matters_of_the_account_are_for_whoever_has_signed_in() {
        for (is_get, path) in [
            (false, "/v1/auth/logout"),
            (true, "/v1/tokens"),
            (false, "/v1/tokens"),
            (false, "/v1/tokens/{id}"),
            (false, "/v1/me"),
            (false, "/v1/me/notifications"),
            (false, "/v1/me/notifications/confirmation"),
        ] {
            assert_eq!(needed(is_get, path), Some(Access::SessionAlone), "{path}");
        }
        let of = |is_get, path| needed(is_get, path);
        assert_eq!(of(false, "/v1/unsubscribe"), Some(Access::Link));
        assert_eq!(of(false, "/v1/confirm-email"), Some(Access::Link));
        assert_eq!(of(true, "/v1/me"), Some(Access::Scope(Scope::Read)));
        let choices = "/v1/me/notifications";
        assert_eq!(of(true, choices), Some(Access::Scope(Scope::Read)));
        assert_eq!(of(true, "/v1/wallets"), Some(Access::Scope(Scope::Read)));
        assert_eq!(of(false, "/v1/wallets"), Some(Access::Scope(Scope::Write)));
        assert_eq!(of(true, "/v1/insights"), Some(Access::Scope(Scope::Ai)));
        for nowhere in ["", "/", "/v1", "/v1/", "/v1/new-things", "wallets"] {
            assert_eq!(of(true, nowhere), None, "{nowhere}");
        }
    }
}
