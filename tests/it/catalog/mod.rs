//! Reads of the catalogue: lists, filters, search, pages, and who sees a connector.

mod counts;
mod fast_path;
pub(crate) mod filters;
mod leaks;
mod listing;
mod owners;
mod paging;
mod recall;
mod search;
mod smoke;
mod spelling;
mod users;
