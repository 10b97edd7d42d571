//! The stages that every operation passes, whatever protocol it came by.

pub mod coerce;
pub mod complete;
pub mod cost;
pub mod documents;
pub mod encode;
pub mod execute;
pub mod lexical_limits;
pub mod parameters;
pub mod rules;
pub mod stream;
pub mod unsent_variables;

pub use cost::Cost;
pub use execute::measure;
