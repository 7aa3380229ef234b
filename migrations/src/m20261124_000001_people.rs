//! Users, their sessions, and the refresh tokens of each session.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    binary, binary_len, boolean, string, string_len, string_null, uuid,
};

use crate::columns::{
    currency, drop_tables, id, index, moment, moment_null, part_key, revision, unique, user_id,
    user_key,
};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut users = Table::create();
        users
            .table("users")
            .col(id())
            .col(string_len("email", 254))
            .col(string("password_hash"))
            .col(string_null("name"))
            .col(currency())
            .col(string_len("time_zone", 64));
        revision(&mut users);
        manager.create_table(users).await?;
        manager.create_index(unique("users", &["email"])).await?;

        // Late events of somebody who has left are skipped, not dead-lettered: nothing of theirs stays.
        manager
            .create_table(
                Table::create()
                    .table("deleted_users")
                    .col(id())
                    .col(moment("deleted_at"))
                    .to_owned(),
            )
            .await?;

        manager
            .create_table(
                Table::create()
                    .table("sessions")
                    .col(id())
                    .col(user_id())
                    .col(moment("created_at"))
                    .col(moment("expires_at"))
                    .col(moment_null("revoked_at"))
                    .foreign_key(&mut user_key("sessions"))
                    .to_owned(),
            )
            .await?;
        manager
            .create_index(index("sessions", &["user_id"]))
            .await?;
        manager
            .create_index(index("sessions", &["expires_at"]))
            .await?;

        let mut token_hash = binary_len("token_hash", 32);
        token_hash.primary_key();
        manager
            .create_table(
                Table::create()
                    .table("refresh_tokens")
                    .col(token_hash)
                    .col(uuid("session_id"))
                    .col(boolean("used"))
                    .col(moment("created_at"))
                    .foreign_key(&mut part_key("refresh_tokens", "session_id", "sessions"))
                    .to_owned(),
            )
            .await?;
        manager
            .create_index(index("refresh_tokens", &["session_id"]))
            .await?;

        manager
            .create_table(
                Table::create()
                    .table("idempotency_keys")
                    .col(user_id())
                    .col(string_len("key", 255))
                    .col(binary_len("request_hash", 32))
                    .col(binary("answer"))
                    .col(moment("created_at"))
                    .primary_key(Index::create().col("user_id").col("key"))
                    .foreign_key(&mut user_key("idempotency_keys"))
                    .to_owned(),
            )
            .await?;
        manager
            .create_index(index("idempotency_keys", &["created_at"]))
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(
            manager,
            &[
                "idempotency_keys",
                "refresh_tokens",
                "sessions",
                "deleted_users",
                "users",
            ],
        )
        .await
    }
}
