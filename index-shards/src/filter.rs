//! Which rows of a shard a search may return.

use crate::fault::{Fault, expect};
use crate::sections::columns::{Columns, NO_TIME};
use crate::sections::removed::RemovedRows;
use crate::sections::zones::{ZONE_ROWS, Zone, Zones};
use crate::window::{Overlap, Window, WindowTest};
use std::ops::{Range, RangeInclusive};

/// What references must be like to be found. The default asks for nothing.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Filter {
    /// Only references within this part of the ground.
    pub window: Option<Window>,
    /// Only references that were captured in this span, Unix milliseconds UTC; none without a time.
    pub captured_ms: Option<RangeInclusive<i64>>,
    /// Only references of these sources; an empty list is none.
    pub sources: Option<Vec<String>>,
}

/// A filter that has been checked.
#[derive(Debug, Clone)]
pub(crate) struct FilterTest {
    window: Option<WindowTest>,
    captured_ms: Option<RangeInclusive<i64>>,
    pub(crate) sources: Option<Vec<String>>,
}

impl FilterTest {
    pub(crate) fn new(filter: &Filter) -> Result<Self, Fault> {
        if let Some(span) = &filter.captured_ms {
            expect(
                !span.is_empty(),
                "captured_ms",
                "a first time that is not after the last",
                format_args!("{span:?}"),
            )?;
        }
        Ok(Self {
            window: filter.window.as_ref().map(WindowTest::new).transpose()?,
            captured_ms: filter.captured_ms.clone(),
            sources: filter.sources.clone(),
        })
    }
}

/// A filter for the rows of one shard.
#[derive(Debug, Clone)]
pub(crate) struct Admission<'a> {
    window: Option<WindowTest>,
    captured_ms: Option<RangeInclusive<i64>>,
    /// The wanted sources as the shard numbers them.
    sources: Option<Vec<u16>>,
    /// Rows that a tombstone has removed.
    removed: Vec<RemovedRows<'a>>,
    columns: Columns<'a>,
    zones: Zones<'a>,
    rows: u32,
}

impl<'a> Admission<'a> {
    pub(crate) fn new(
        filter: &FilterTest,
        sources: Option<Vec<u16>>,
        removed: Vec<RemovedRows<'a>>,
        (columns, zones): (Columns<'a>, Zones<'a>),
        rows: u32,
    ) -> Self {
        let (window, captured_ms) = (filter.window, filter.captured_ms.clone());
        Self { window, captured_ms, sources, removed, columns, zones, rows }
    }

    /// Whether every row is admitted but for removed ones.
    pub(crate) fn is_open(&self) -> bool {
        self.window.is_none() && self.captured_ms.is_none() && self.sources.is_none()
    }

    /// Whether a row is admitted.
    pub(crate) fn admits(&self, row: u32) -> bool {
        self.is_wanted(row, false) && !self.is_removed(row)
    }

    fn is_removed(&self, row: u32) -> bool {
        self.removed.iter().any(|removed| removed.contains(row))
    }

    /// All but the tombstones; `in_window` where that is known already.
    fn is_wanted(&self, row: u32, in_window: bool) -> bool {
        let inside =
            |window: &WindowTest| self.columns.coordinates(row).is_some_and(|(lat, lon)| window.contains(lat, lon));
        let in_time = |span: &RangeInclusive<i64>| {
            self.columns.captured_ms(row).is_some_and(|at_ms| at_ms != NO_TIME && span.contains(&at_ms))
        };
        let of_source = |sources: &Vec<u16>| self.columns.source(row).is_some_and(|source| sources.contains(&source));
        (in_window || self.window.as_ref().is_none_or(inside))
            && self.captured_ms.as_ref().is_none_or(in_time)
            && self.sources.as_ref().is_none_or(of_source)
    }

    /// Number of zones.
    pub(crate) fn zones(&self) -> u32 {
        self.rows.div_ceil(ZONE_ROWS)
    }

    /// The rows of a zone.
    pub(crate) fn rows_of(&self, zone: u32) -> Range<u32> {
        let start = zone.saturating_mul(ZONE_ROWS).min(self.rows);
        start..start.saturating_add(ZONE_ROWS).min(self.rows)
    }

    /// How much of a zone may be admitted, tombstones aside.
    pub(crate) fn overlap(&self, zone: u32) -> Overlap {
        let Some(bounds) = self.zones.get(zone as usize) else { return Overlap::Some };
        if self.sources.as_ref().is_some_and(Vec::is_empty) || !self.meets_time(&bounds) {
            return Overlap::None;
        }
        self.window.map_or(Overlap::All, |window| window.overlap(&bounds))
    }

    fn meets_time(&self, bounds: &Zone) -> bool {
        let meets = |span: &RangeInclusive<i64>| {
            bounds.captured.is_some_and(|(first, last)| first <= *span.end() && last >= *span.start())
        };
        self.captured_ms.as_ref().is_none_or(meets)
    }

    /// Calls `visit` for every admitted row of a zone, in order, until it says false; whether it never did.
    pub(crate) fn for_each(&self, zone: u32, visit: &mut dyn FnMut(u32) -> bool) -> bool {
        let overlap = self.overlap(zone);
        if overlap == Overlap::None {
            return true;
        }
        let in_window = overlap == Overlap::All;
        self.rows_of(zone).filter(|row| self.is_wanted(*row, in_window) && !self.is_removed(*row)).all(visit)
    }

    /// Number of admitted rows, counted no further than just over `most`.
    pub(crate) fn count(&self, most: u64) -> u64 {
        if self.is_open() && self.removed.is_empty() {
            return u64::from(self.rows);
        }
        let mut count = 0;
        for zone in 0..self.zones() {
            let more = self.for_each(zone, &mut |_| {
                count += 1;
                count <= most
            });
            if !more {
                break;
            }
        }
        count
    }
}
