//! Personal access tokens: what scripts come in with.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{binary_len, string_len};

use crate::columns::{drop_tables, id, index, moment_null, revision, unique, user_id, user_key};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = "personal_tokens";
        let tokens = revision(
            Table::create()
                .table(table)
                .col(id())
                .col(user_id())
                .col(string_len("name", 100))
                // SHA-256 of the secret, which nobody has but the user, and its last characters.
                .col(binary_len("token_hash", 32))
                .col(string_len("last_four", 4))
                // Words, by spaces.
                .col(string_len("scopes", 100))
                .col(moment_null("expires_at"))
                .col(moment_null("last_used_at"))
                .foreign_key(&mut user_key(table)),
        )
        .to_owned();
        manager.create_table(tokens).await?;
        manager.create_index(unique(table, &["token_hash"])).await?;
        manager.create_index(index(table, &["user_id", "id"])).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, &["personal_tokens"]).await
    }
}
