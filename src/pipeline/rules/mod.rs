//! Validation rules that the library lacks or implements too slowly.

pub mod correct_values;
pub mod overlapping_fields;
pub(crate) mod unknown_names;
pub(crate) mod variable_positions;
