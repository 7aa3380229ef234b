//! A connection that asks how each statement is answered.

use std::sync::Mutex;

use sea_orm::prelude::async_trait::async_trait;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, ExecResult, QueryResult, Statement};

use wealth_companion::store::Connection;

use crate::support::Chain;

/// A connection that asks of each statement how it would be answered, and then has it answered.
pub(super) struct Explained {
    db: Connection,
    pub(super) plans: Mutex<Vec<Plan>>,
}

/// A statement, and how the database answers it.
pub(super) struct Plan {
    sql: String,
    pub(super) steps: Vec<String>,
}

impl Explained {
    pub(super) fn new(chain: &Chain) -> Self {
        Self {
            db: chain.store.reads().clone(),
            plans: Mutex::default(),
        }
    }

    async fn explain(&self, statement: &Statement) -> Result<(), DbErr> {
        let mut explain = statement.clone();
        explain.sql = format!("EXPLAIN QUERY PLAN {}", statement.sql);
        let rows = self.db.query_all_raw(explain).await?;
        let steps = rows.iter().map(|row| row.try_get("", "detail"));
        let plan = Plan {
            sql: statement.sql.clone(),
            steps: steps.collect::<Result<_, _>>()?,
        };
        self.plans.lock().expect("no panic before").push(plan);
        Ok(())
    }

    /// Asserts that something was asked, and that nothing of it reads a whole table; in an order
    /// that no index has only where that is `sorted`.
    #[track_caller]
    pub(super) fn assert_walks_indexes(&self, about: &str, sorted: bool) {
        let plans = std::mem::take(&mut *self.plans.lock().expect("no panic before"));
        assert!(!plans.is_empty(), "{about} asked nothing");
        for Plan { sql, steps } in plans {
            let scans = steps.iter().any(|step| is_scan(step));
            let sorts = steps.iter().any(|step| is_sort(step));
            assert!(!scans && (sorted || !sorts), "{about}: {sql}\n{steps:#?}");
        }
    }
}

impl Explained {
    /// Asserts the same, and that the index of this name is walked.
    #[track_caller]
    pub(super) fn assert_walks(&self, about: &str, index: &str) {
        self.assert_walk(about, &[index]);
    }

    /// The same of statements that walk one of several.
    pub(super) fn assert_walk(&self, about: &str, indexes: &[&str]) {
        let is_one = |step: &String| indexes.iter().any(|index| step.contains(index));
        let named = |plan: &Plan| plan.steps.iter().any(is_one);
        let plans = self.plans.lock().expect("no panic before");
        let walked = plans.iter().all(named);
        drop(plans);
        assert!(walked, "{about} does not walk {indexes:?}");
        self.assert_walks_indexes(about, false);
    }
}

/// Rows that the statement itself brings along are no table.
pub(super) fn is_scan(step: &str) -> bool {
    let given = [
        "CONSTANT ROW",
        "SCAN given",
        "SCAN json_each ",
        "SCAN ordered",
    ];
    step.starts_with("SCAN ") && !given.iter().any(|given| step.contains(given))
}

pub(super) fn is_sort(step: &str) -> bool {
    step.contains("TEMP B-TREE FOR") && step.contains("ORDER BY")
}

#[async_trait]
impl ConnectionTrait for Explained {
    fn get_database_backend(&self) -> DbBackend {
        self.db.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.explain(&statement).await?;
        self.db.execute_raw(statement).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.db.execute_unprepared(sql).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.explain(&statement).await?;
        self.db.query_one_raw(statement).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.explain(&statement).await?;
        self.db.query_all_raw(statement).await
    }
}
