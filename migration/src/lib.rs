//! The migrations, which alone define the database's schema, for SQLite and PostgreSQL.
//!
//! Invariant: a released migration is never edited. A change of the schema is a new migration.

mod m20261122_000001_catalogue;
mod m20261122_000002_feed;
mod m20261122_000003_health;
mod m20261128_000004_write_probe;
mod m20261129_000005_marks;
mod m20261129_000006_tools_settle;
mod m20261129_000007_kept_tools;
mod m20261130_000008_open_enums;
mod m20261130_000009_history;
mod m20261130_000010_orders;
mod m20261130_000011_curation;
mod m20261130_000012_user_profiles;
mod m20261130_000013_event_records;
mod m20261130_000014_category_source;
mod m20261201_000015_search_words;
mod m20261201_000016_words_of_rows;

pub use sea_orm_migration::MigratorTrait;
use sea_orm_migration::prelude::*;

/// All migrations, from the first to the last.
#[derive(Debug)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261122_000001_catalogue::Migration),
            Box::new(m20261122_000002_feed::Migration),
            Box::new(m20261122_000003_health::Migration),
            Box::new(m20261128_000004_write_probe::Migration),
            Box::new(m20261129_000005_marks::Migration),
            Box::new(m20261129_000006_tools_settle::Migration),
            Box::new(m20261129_000007_kept_tools::Migration),
            Box::new(m20261130_000008_open_enums::Migration),
            Box::new(m20261130_000009_history::Migration),
            Box::new(m20261130_000010_orders::Migration),
            Box::new(m20261130_000011_curation::Migration),
            Box::new(m20261130_000012_user_profiles::Migration),
            Box::new(m20261130_000013_event_records::Migration),
            Box::new(m20261130_000014_category_source::Migration),
            Box::new(m20261201_000015_search_words::Migration),
            Box::new(m20261201_000016_words_of_rows::Migration),
        ]
    }
}

/// Returns the names of the migrations that this program knows, from the first to the last.
pub fn names() -> Vec<String> {
    let known = Migrator::migrations().into_iter();
    known.map(|migration| migration.name().to_owned()).collect()
}
