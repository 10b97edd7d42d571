//! Connections, transactions, and the condition of the database.

pub(in crate::store) mod backup;
pub(in crate::store) mod connect;
pub(in crate::store) mod migrate;
pub(in crate::store) mod open_error;
pub(in crate::store) mod pool;
pub(in crate::store) mod reader;
pub(in crate::store) mod row;
pub(in crate::store) mod soundness;
pub(in crate::store) mod sqlite_file;
pub(in crate::store) mod sqlite_readers;
pub(in crate::store) mod statistics;
pub(in crate::store) mod transaction;
pub(in crate::store) mod write_status;
pub(in crate::store) mod write_watch;
