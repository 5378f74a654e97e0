//! History: what was replaced or deleted is kept in buckets below `history-backup/NAME/` at the endpoint.

pub mod current;
pub mod keeper;
pub mod pattern;
pub mod remote;
