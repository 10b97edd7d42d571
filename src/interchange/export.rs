//! The `export` command: writes connectors as published objects, one a line, ordered by name.

use std::io::Write;

use anyhow::Context;
use entity::{CategorySource, ConnectorType, ConnectorVisibility, personal_connector::Model};

use crate::{
    domain::{
        connector::IMPORTED,
        listing::{Filter, Listing},
        viewer::Sight,
    },
    store::{Catalog, Database, file_details, uncurated},
};

use super::published::{self, Assumed};

const UNWRITTEN: &str = "cannot write to standard output";

const ROWS_A_STATEMENT: u64 = 500;

/// Writes the official and platform-built connectors, and the custom ones of an organization and of these visibilities.
/// Without an organization, custom connectors of all are written. Returns their number. All come from one snapshot.
/// Curated fields have their files' values, unless curated ones are requested. Categories from rules are left out.
pub async fn export(
    database: &Database,
    organization: Option<&str>,
    visibilities: &[ConnectorVisibility],
    curated: bool,
    mut out: impl Write,
) -> anyhow::Result<u64> {
    let catalogue = Filter {
        r#type: Some(vec![ConnectorType::Official, ConnectorType::AitronosBuilt]),
        ..Filter::default()
    };
    let custom = Filter {
        r#type: Some(vec![ConnectorType::Custom]),
        visibility: Some(visibilities.to_vec()),
        ..Filter::default()
    };
    let either = Filter {
        or: Some(vec![catalogue, custom]),
        ..Filter::default()
    };
    let assumed = Assumed {
        organization: organization.map(ToOwned::to_owned),
        visibility: IMPORTED,
    };
    let catalog = Catalog::snapshot(database.clone(), Sight::Everything);
    let mut listing = Listing::all_by_name(either, ROWS_A_STATEMENT);
    let mut written = 0;
    loop {
        let (hits, more) = catalog.page(&listing).await?;
        let last = hits.last().map(|hit| hit.position.clone());
        for hit in hits {
            let row = hit.connector;
            let elsewhere =
                organization.is_some() && row.organization_id.as_deref() != organization;
            if row.r#type == ConnectorType::Custom && elsewhere {
                continue;
            }
            let row = written_row(row, curated);
            writeln!(out, "{}", published::write(&row, &assumed)).context(UNWRITTEN)?;
            written += 1;
        }
        match last {
            Some(last) if more => listing.go_on(last),
            _ => break,
        }
    }
    out.flush().context(UNWRITTEN)?;
    Ok(written)
}

/// Returns the row as it is written. A category from a rule is left out: as the file's own, it would outrank a better
/// rule later, and an import applies the rules again.
fn written_row(row: Model, curated: bool) -> Model {
    let is_curated = curated && file_details(&row).category.is_some();
    let mut row = if curated { row } else { uncurated(&row) };
    if row.category_source == Some(CategorySource::Rule) && !is_curated {
        row.category = None;
    }
    row
}
