//! Files of connectors: import, export, and the catalogue that a start loads.

mod bulk;
mod catalogue_file;
mod categories;
mod export;
mod forms;
mod import;
mod mutation;
mod names;
