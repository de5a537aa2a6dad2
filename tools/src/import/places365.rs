//! Tables in the form of GeoEstimation: `IMG_ID,AUTHOR,LAT,LON,...` with scene labels of Places365.

use std::path::Path;

use super::coordinates::Order;
use super::table::{Form, Table};

/// The columns of such a table that are taken over, with what is written of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Columns {
    pub(super) picture: usize,
    pub(super) lat: usize,
    pub(super) lon: usize,
    pub(super) author: Option<usize>,
    pub(super) country: Option<usize>,
    pub(super) region: Option<usize>,
    pub(super) city: Option<usize>,
    pub(super) scene: Option<usize>,
}

/// What is written beside `file,lat,lon`.
pub(super) const MORE: [&str; 6] = ["photo", "user", "country", "region", "city", "scene"];

impl Columns {
    /// # Errors
    /// A column that is needed is missing.
    pub(super) fn of(table: &Table) -> anyhow::Result<Self> {
        Ok(Self {
            picture: table.column(&["IMG_ID", "img_id", "image", "file"])?,
            lat: table.column(&["LAT", "latitude"])?,
            lon: table.column(&["LON", "LNG", "longitude"])?,
            author: table.find(&["AUTHOR", "user"]),
            country: table.find(&["country_code", "country"]),
            region: table.find(&["region", "state"]),
            city: table.find(&["city"]),
            scene: table.find(&["S3_Label"]),
        })
    }
}

/// Whether the header of a table names LAT and LON the wrong way round, by all of its rows.
pub(super) fn is_exchanged(path: &Path) -> anyhow::Result<bool> {
    let mut table = Table::open(path, Form::Csv)?;
    let (columns, mut order) = (Columns::of(&table)?, Order::default());
    while let Some(row) = table.next_row()? {
        if let Ok(fields) = row {
            order.add(fields.text(columns.lat), fields.text(columns.lon));
        }
    }
    Ok(order.is_exchanged())
}
