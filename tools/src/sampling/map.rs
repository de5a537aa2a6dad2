//! A map of what was chosen: the Earth by degrees, a dot for each picture.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::Context;
use h3o::CellIndex;

use super::Candidate;

/// Width of the map; a degree is 4 units.
const WIDTH: f64 = 1440.0;
const HEIGHT: f64 = 720.0;

pub(super) fn write(path: &Path, chosen: &[(CellIndex, &Candidate)]) -> anyhow::Result<()> {
    fs::write(path, svg(chosen)).with_context(|| format!("{}: cannot write", path.display()))
}

fn svg(chosen: &[(CellIndex, &Candidate)]) -> String {
    let place = |lat: f64, lon: f64| ((lon + 180.0) / 360.0 * WIDTH, (90.0 - lat) / 180.0 * HEIGHT);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {}\" font-family=\"sans-serif\" font-size=\"14\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#eef3f7\"/>\n",
        HEIGHT + 28.0
    );
    // Writing into a string cannot fail.
    for lon in (-150..180).step_by(30) {
        let (x, _) = place(0.0, f64::from(lon));
        let _ = writeln!(
            svg,
            "<path d=\"M{x} 0V{HEIGHT}\" stroke=\"#ccd6de\"/><text x=\"{x}\" y=\"14\" fill=\"#66757f\">{lon}</text>"
        );
    }
    for lat in (-60..90).step_by(30) {
        let (_, y) = place(f64::from(lat), 0.0);
        let _ = writeln!(
            svg,
            "<path d=\"M0 {y}H{WIDTH}\" stroke=\"#ccd6de\"/><text x=\"4\" y=\"{y}\" fill=\"#66757f\">{lat}</text>"
        );
    }
    for (_, candidate) in chosen {
        let (x, y) = place(candidate.lat, candidate.lon);
        let _ = writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.5\" fill=\"#0072b2\" fill-opacity=\"0.6\"/>");
    }
    let _ = writeln!(svg, "<text x=\"4\" y=\"{}\">{} pictures</text>\n</svg>", HEIGHT + 20.0, chosen.len());
    svg
}
