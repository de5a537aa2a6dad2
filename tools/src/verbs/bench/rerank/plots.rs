//! The curves as pictures.

use std::fs;
use std::path::Path;

use anyhow::Context;
use geolocated::locate::rerank::Strategy;

use super::report::{Curve, Report, Summary};
use crate::svg::{LineChart, Series, XAxis};

/// What a curve is drawn over and by.
struct Plot {
    file: &'static str,
    candidates: usize,
    x: fn(&Summary) -> f64,
    x_label: &'static str,
    y: fn(&Summary) -> f64,
    y_label: &'static str,
}

const PLOTS: [Plot; 4] = [
    Plot {
        file: "top1-by-calls-16.svg",
        candidates: 16,
        x: |summary| summary.calls,
        x_label: "answers of the comparator for a frame",
        y: |summary| summary.top1,
        y_label: "Top-1",
    },
    Plot {
        file: "top1-by-ms-16.svg",
        candidates: 16,
        x: |summary| summary.ms,
        x_label: "milliseconds for a frame",
        y: |summary| summary.top1,
        y_label: "Top-1",
    },
    Plot {
        file: "ndcg10-by-ms-16.svg",
        candidates: 16,
        x: |summary| summary.ms,
        x_label: "milliseconds for a frame",
        y: |summary| summary.ndcg10,
        y_label: "NDCG@10",
    },
    Plot {
        file: "top1-by-ms-8.svg",
        candidates: 8,
        x: |summary| summary.ms,
        x_label: "milliseconds for a frame",
        y: |summary| summary.top1,
        y_label: "Top-1",
    },
];

/// Writes each plot into `folder`.
///
/// # Errors
/// The folder cannot be made, or a file not written.
pub(super) fn write(folder: &Path, report: &Report) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("{}: cannot make this folder", folder.display()))?;
    for plot in &PLOTS {
        let path = folder.join(plot.file);
        fs::write(&path, plot.chart(report).to_svg()).with_context(|| format!("{}: cannot write", path.display()))?;
    }
    Ok(())
}

impl Plot {
    fn chart(&self, report: &Report) -> LineChart {
        let curves: Vec<&Curve> = report.curves.iter().filter(|curve| curve.candidates == self.candidates).collect();
        let points = |curve: &Curve| -> Vec<(f64, f64)> {
            curve.points.iter().map(|point| ((self.x)(&point.summary), (self.y)(&point.summary))).collect()
        };
        let farthest = curves.iter().flat_map(|curve| points(curve)).filter(|(x, _)| *x > 0.0);
        let (low, high) = farthest.fold((f64::INFINITY, 0.0_f64), |(low, high), (x, _)| (low.min(x), high.max(x)));
        let series = curves.iter().map(|curve| {
            let level = points(curve).first().map_or(0.0, |point| point.1);
            let off = curve.strategy == Strategy::Off;
            Series {
                name: if off { "retrieval alone" } else { curve.strategy.as_str() }.to_owned(),
                points: if off { vec![(low, level), (high, level)] } else { points(curve) },
                dashed: off,
            }
        });
        LineChart {
            title: format!("{} of {} candidates, middling comparator", self.y_label, self.candidates),
            x_label: self.x_label.to_owned(),
            y_label: self.y_label.to_owned(),
            x_axis: XAxis::Logarithmic,
            series: series.collect(),
        }
    }
}
