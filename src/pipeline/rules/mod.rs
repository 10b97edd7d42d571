//! Validation rules that the library lacks, or that cost too much in it.

pub mod correct_values;
pub mod overlapping_fields;
pub mod unknown_names;
pub mod variable_positions;
