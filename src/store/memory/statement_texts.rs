//! The SQL of statements that read one connector, built once for each selection.
//!
//! Invariant: a text is reused only for a sight and fields that produce the same text, with that sight's own
//! parameters.

use std::{fmt, sync::Arc};

use quick_cache::sync::Cache;
use sea_orm::Value;

use crate::{
    domain::{field::Field, viewer::Sight},
    store::query::Query,
};

/// The most cached texts, of less than 2 KiB each.
const TEXTS: usize = 256;

/// The properties that determine a statement's text.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Shape {
    sight: Kind,
    fields: Vec<Field>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Everything,
    Public,
    Member {
        in_organization: bool,
        private_of_others: bool,
    },
}

/// A cache of statement texts.
pub(in crate::store) struct StatementTexts(Cache<Shape, Arc<str>>);

impl Default for StatementTexts {
    fn default() -> Self {
        Self(Cache::new(TEXTS))
    }
}

impl StatementTexts {
    /// Returns the statement that `build` would give for an id.
    pub(in crate::store) fn query(
        &self,
        sight: &Sight,
        fields: &[Field],
        id: String,
        build: impl Fn(&[String]) -> Query,
    ) -> Query {
        let shape = Shape {
            sight: kind(sight),
            fields: fields.to_vec(),
        };
        if let Some(sql) = self.0.get(&shape) {
            return Query {
                sql,
                values: values(sight, id),
            };
        }
        let query = build(std::slice::from_ref(&id));
        // Parameters in another order would not fit the text.
        if query.values == values(sight, id) {
            self.0.insert(shape, Arc::clone(&query.sql));
        }
        query
    }
}

fn kind(sight: &Sight) -> Kind {
    match sight {
        Sight::Everything => Kind::Everything,
        Sight::Public => Kind::Public,
        Sight::Member {
            user: _,
            organization,
            private_of_others,
        } => Kind::Member {
            in_organization: organization.is_some(),
            private_of_others: *private_of_others,
        },
    }
}

/// Returns the parameters of `catalog::in_sight`, and the id.
fn values(sight: &Sight, id: String) -> Vec<Value> {
    let mut values = Vec::with_capacity(3);
    if let Sight::Member {
        user,
        organization,
        private_of_others,
    } = sight
    {
        values.extend(organization.as_ref().map(Value::from));
        if !private_of_others {
            values.push(user.into());
        }
    }
    values.push(id.into());
    values
}

impl fmt::Debug for StatementTexts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatementTexts").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use sea_orm::{DbBackend, QuerySelect, QueryTrait};

    use super::*;
    use crate::store::catalog::{self, rows};

    #[test]
    fn a_text_that_is_used_again_is_the_one_that_would_be_built() {
        let member = |user: &str, organization: Option<&str>, private_of_others| Sight::Member {
            user: user.to_owned(),
            organization: organization.map(ToOwned::to_owned),
            private_of_others,
        };
        let mut sights = vec![Sight::Everything, Sight::Public];
        for user in ["ann", "bob"] {
            for organization in [None, Some("acme"), Some("umbrella")] {
                sights.extend([true, false].map(|private| member(user, organization, private)));
            }
        }
        let selections = [
            vec![],
            vec![Field::Id, Field::Name],
            vec![Field::Name, Field::Id],
        ];
        for backend in [DbBackend::Sqlite, DbBackend::Postgres] {
            let texts = StatementTexts::default();
            for sight in &sights {
                for fields in &selections {
                    for id in ["pcon_1", "pcon_2"] {
                        let build = |ids: &[String]| {
                            let columns = fields.iter().map(|field| rows::column(*field));
                            let select = catalog::by_id(sight, ids).select_only().columns(columns);
                            Query::build(&select.into_query(), backend)
                        };
                        let fresh = build(&[id.to_owned()]);
                        let given = texts.query(sight, fields, id.to_owned(), build);
                        assert_eq!((&given.sql, &given.values), (&fresh.sql, &fresh.values));
                    }
                }
            }
            // Two kinds of sight besides members', and four of members.
            assert_eq!(texts.0.len(), 6 * selections.len());
        }
    }
}
