//! How the server has answered a statement, as it tells of it itself: `auto_explain` remarks with each
//! answer how it was found, the very one that the client gets.

use serde_json::Value;

/// Makes a session tell of all its plans. Only a superuser may ask for it.
pub(super) const TELLING: &str = "options[session_preload_libraries]=auto_explain\
     &options[auto_explain.log_min_duration]=0&options[auto_explain.log_level]=notice\
     &options[auto_explain.log_analyze]=on&options[auto_explain.log_buffers]=on\
     &options[auto_explain.log_timing]=off&options[auto_explain.log_format]=json\
     &options[client_min_messages]=notice";

/// Tables that stay small however much is booked: they may be read whole.
const SMALL: &[&str] = &["log_cursors", "deleted_users", "seaql_migrations"];

/// A statement, and how it was answered.
pub(super) struct Plan {
    text: String,
    root: Value,
}

impl Plan {
    /// What a remark of the server tells, if it tells of a plan.
    pub(super) fn of(notice: &str) -> Option<Self> {
        let (_, json) = notice.split_once("plan:\n")?;
        let mut told: Value = serde_json::from_str(json).expect("JSON");
        Some(Self {
            text: told["Query Text"].as_str().expect("a text").to_owned(),
            root: told["Plan"].take(),
        })
    }

    /// All steps, each before those under it.
    fn steps(&self) -> Vec<&Value> {
        let mut steps = vec![&self.root];
        let mut next = 0;
        while let Some(step) = steps.get(next) {
            steps.extend(step["Plans"].as_array().into_iter().flatten());
            next += 1;
        }
        steps
    }

    /// Whether it has to do with a table.
    pub(super) fn is_on(&self, table: &str) -> bool {
        let mut steps = self.steps().into_iter();
        steps.any(|step| step["Relation Name"] == table)
    }

    /// Tables that are read whole, but for small ones.
    pub(super) fn scanned(&self) -> Vec<&str> {
        let whole =
            |step: &&&Value| step["Node Type"] == "Seq Scan" && number(step, "Actual Loops") > 0;
        let steps = self.steps();
        let tables = steps.iter().filter(whole);
        let tables = tables.filter_map(|step| step["Relation Name"].as_str());
        tables.filter(|table| !SMALL.contains(table)).collect()
    }

    /// Blocks of 8 KiB that were looked at, as often as they were. What writes under the statement's own
    /// step is not always counted with that.
    pub(super) fn blocks(&self) -> u64 {
        let steps = self.steps();
        let under = steps[1..].iter();
        let writes = under.filter(|step| step["Node Type"] == "ModifyTable");
        let blocks =
            |step: &Value| number(step, "Shared Hit Blocks") + number(step, "Shared Read Blocks");
        blocks(steps[0]) + writes.map(|step| blocks(step)).sum::<u64>()
    }

    /// Rows that were looked at for nothing.
    pub(super) fn removed(&self) -> u64 {
        let of = |step: &&Value| {
            let rows = number(step, "Rows Removed by Filter")
                + number(step, "Rows Removed by Join Filter")
                + number(step, "Rows Removed by Index Recheck");
            rows * number(step, "Actual Loops")
        };
        self.steps().iter().map(of).sum()
    }

    /// The statement and the plan, to be read.
    pub(super) fn shown(&self) -> String {
        format!("{}\n{:#}", self.text, self.root)
    }
}

fn number(step: &Value, name: &str) -> u64 {
    step[name].as_u64().unwrap_or(0)
}
