//! Validation rules that the library lacks, or that cost too much in it.

pub mod correct_values;
pub mod overlapping_fields;
pub(crate) mod unknown_names;
pub(crate) mod variable_positions;
