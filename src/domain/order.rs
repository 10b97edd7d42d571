//! The fields that a list is ordered by, and the directions.

use serde::Serialize;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum OrderField {
    Name,
    CreatedAt,
    UpdatedAt,
    Relevance,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Direction {
    Asc,
    Desc,
}

impl OrderField {
    /// The direction when none is given, in which ties go up by id; the other one is its exact reverse.
    pub const fn natural(self) -> Direction {
        match self {
            Self::Name | Self::Relevance => Direction::Asc,
            Self::CreatedAt | Self::UpdatedAt => Direction::Desc,
        }
    }
}
