//! What people want to be told of and how, and what is on its way to them outside of the application.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{small_integer, small_integer_null, string_len, uuid, uuid_null};

use crate::columns::{
    drop_tables, id, index, moment, moment_null, revision, unique, user_id, user_key,
};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = "notification_choices";
        let mut user = user_id();
        user.primary_key();
        // Who has chosen nothing has no row. What differs from the defaults is kept, so that a kind which comes later
        // is as it is for everybody.
        let choices = revision(
            Table::create()
                .table(table)
                .col(user)
                // Words, by spaces.
                .col(string_len("in_app_off", 500))
                .col(string_len("email_on", 500))
                // Minutes since midnight; both or none.
                .col(small_integer_null("quiet_start"))
                .col(small_integer_null("quiet_end"))
                .col(string_len("digest", 16))
                .col(small_integer("digest_hour"))
                .col(moment_null("email_bounced_at"))
                .foreign_key(&mut user_key(table)),
        )
        .to_owned();
        manager.create_table(choices).await?;
        let table = "deliveries";
        let mut last_cause = ColumnDef::new("last_cause");
        last_cause.string_len(32).null();
        let deliveries = Table::create()
            .table(table)
            .col(id())
            .col(user_id())
            // Not a reference: an alert that is sent by mail alone is not listed.
            .col(uuid("alert_id"))
            .col(string_len("channel", 16))
            .col(string_len("kind", 32))
            .col(string_len("title", 100))
            .col(string_len("message", 500))
            .col(string_len("source_event", 64))
            .col(uuid("source_event_id"))
            .col(uuid("correlation_id"))
            .col(string_len("traceparent", 55))
            .col(moment("chain_begun_at"))
            .col(string_len("status", 16))
            .col(moment("due_at"))
            // When it is tried next; while it is being sent, when somebody else may.
            .col(moment("next_at"))
            .col(small_integer("attempts"))
            // The mail that it goes out in, from the first attempt on.
            .col(uuid_null("mail_id"))
            .col(last_cause)
            .col(moment("created_at"))
            .col(moment_null("finished_at"))
            .foreign_key(&mut user_key(table))
            .to_owned();
        manager.create_table(deliveries).await?;
        manager
            .create_index(unique(table, &["alert_id", "channel"]))
            .await?;
        manager
            .create_index(index(table, &["user_id", "id"]))
            .await?;
        for (name, column) in [
            ("ix_deliveries_next", "next_at"),
            ("ix_deliveries_due", "due_at"),
        ] {
            let pending = index(table, &[column])
                .name(name)
                .and_where(Expr::col("status").eq("pending"))
                .to_owned();
            manager.create_index(pending).await?;
        }
        manager.create_index(index(table, &["finished_at"])).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, &["deliveries", "notification_choices"]).await
    }
}
