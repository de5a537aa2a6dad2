//! A page about an evaluation: where fixes lie and where they should, how far off they are, whether what they say of
//! themselves holds, and the worst of them with pictures.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::Context;
use geolocated::locate::{Pipeline, Plane};
use quantized_models::DecodeLimits;

use crate::certainty_report::Abstention;
use crate::evaluation::{Answered, Published};
use crate::explain::{STYLE as EXPLAIN_STYLE, escaped, picture, thumbnail};
use crate::metrics::quantile;
use crate::pictures;
use crate::report::Report;
use crate::svg::{LineChart, Series, XAxis};
use crate::systems::SystemReport;

const STYLE: &str = include_str!("evaluation_page.css");
/// So many of the worst fixes are shown.
const WORST: usize = 12;
/// The map is so wide, in its own units.
const MAP_WIDTH: f64 = 1000.0;
/// Around the outermost places, as a share of the map.
const MAP_MARGIN: f64 = 0.04;

/// An answer of a system that works on the whole Earth is right within so many metres: it found the city.
const CITY_M: f64 = 25_000.0;

const RIGHT: &str = "#0072b2";
const WRONG: &str = "#c8321f";
const NONE: &str = "#8a939c";

/// What a page is made of.
pub struct EvaluationPage<'a> {
    /// What answered.
    pub pipeline: &'a Pipeline,
    /// Folder of the queries' pictures, where there is one.
    pub images: Option<&'a Path>,
    /// The figures.
    pub report: &'a Report,
    /// All answers.
    pub answers: &'a [Answered],
}

impl EvaluationPage<'_> {
    /// Writes `report.html` into a folder, which is made where it is missing.
    ///
    /// # Errors
    /// The folder or the file cannot be written.
    pub fn write(&self, folder: &Path, limits: &DecodeLimits) -> anyhow::Result<()> {
        let path = folder.join("report.html");
        fs::create_dir_all(folder).with_context(|| format!("{}: cannot be made", folder.display()))?;
        fs::write(&path, self.html(limits)).with_context(|| format!("{}: cannot write", path.display()))?;
        eprintln!("geolocate: {}", path.display());
        Ok(())
    }

    fn right_within_m(&self) -> f64 {
        let usual = if self.report.system.as_ref().is_some_and(|system| system.generator.is_some()) {
            CITY_M
        } else {
            self.pipeline.fuse_options().same_place_m
        };
        self.report.abstention.as_ref().map_or(usual, |found| found.right_within_m)
    }

    fn html(&self, limits: &DecodeLimits) -> String {
        let evaluated = &self.report.evaluated;
        let model = evaluated.encoder.as_deref().unwrap_or(&evaluated.space);
        let mut page = format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n<title>Evaluation of {0}</title>\n\
             <style>\n{EXPLAIN_STYLE}{STYLE}</style>\n</head>\n<body>\n<h1>Evaluation of {0}</h1>\n\
             <p>{1} frames of mapped ground and {2} from outside against {3} references, index {4}.</p>\n",
            escaped(model),
            self.report.queries,
            self.report.outside,
            self.report.references,
            escaped(evaluated.digest.get(..12).unwrap_or(&evaluated.digest)),
        );
        page += &self.tiles();
        page += &self.report.system.as_ref().map(SystemReport::html).unwrap_or_default();
        page += &self.map();
        page += "<h2>What the figures look like</h2>\n<div class=\"charts\">\n";
        self.charts().iter().for_each(|chart| page += &chart.to_svg());
        page += "</div>\n";
        page += &self.worst(limits);
        page += "</body>\n</html>\n";
        page
    }

    fn tiles(&self) -> String {
        let report = self.report;
        let mut tiles = String::from("<dl class=\"tiles\">\n");
        let mut tile = |title: &str, figure: String, text: String| {
            // Writing into a string cannot fail.
            let _ = writeln!(
                tiles,
                "<div class=\"tile\"><dt>{}</dt><dd><strong>{}</strong><span>{}</span></dd></div>",
                escaped(title),
                escaped(&figure),
                escaped(&text)
            );
        };
        let withheld: usize = report.no_fix.values().sum();
        tile(
            "Fixes",
            report.fixes.to_string(),
            format!("of {} frames; {} ambiguous, {withheld} no fix", report.queries, report.ambiguous),
        );
        if let (Some(p50), Some(p90)) = (report.error_m.get("p50"), report.error_m.get("p90")) {
            tile("Median error", format!("{p50:.1} m"), format!("90 % of the fixes within {}", metres_text(*p90)));
        }
        if report.outside > 0 {
            tile("Fixes from outside", report.outside_fixes.to_string(), format!("of {} frames", report.outside));
        }
        if let Some(radius) = &report.radius {
            let [low, high] = radius.radius_coverage_intervals.get("95").copied().unwrap_or_default();
            let median_m = radius.radius_95_m.get("p50").copied().unwrap_or_default();
            tile(
                "Radius for 95 %",
                percent(radius.radius_95_coverage),
                format!(
                    "of the fixes within it ({:.0} to {}, by flight); median {}",
                    low * 100.0,
                    percent(high),
                    metres_text(median_m)
                ),
            );
        }
        let mapped = |found: &Abstention| found.auroc.get("mapped").or(found.auroc.get("confidence")).copied();
        if let Some((found, mapped)) = report.abstention.as_ref().and_then(|found| Some((found, mapped(found)?))) {
            let cosine = found.auroc.get("cosine").copied().unwrap_or_default();
            tile("Mapped against outside", format!("{mapped:.3}"), format!("AUROC; by cosine alone {cosine:.3}"));
        }
        tiles + "</dl>\n"
    }

    fn is_right(&self, answer: &Answered) -> bool {
        !answer.outside && answer.judged.fix_m.is_some_and(|metres| metres <= self.right_within_m())
    }

    /// Truth and fixes, north up; fixes far from all true places lie beyond its edge.
    fn map(&self) -> String {
        let truths: Vec<(f64, f64)> = self.answers.iter().map(|answer| answer.belief.truth).collect();
        let Some(frame) = MapFrame::around(&truths) else { return String::new() };
        let (width, height) = (MAP_WIDTH, frame.height);
        let mut svg = format!(
            "<h2>Where the frames were taken and where the fixes lie</h2>\n\
             <p class=\"key\"><b style=\"background:{RIGHT}\"></b>right, within {:.0} m\
             <b style=\"background:{WRONG}\"></b>wrong<b style=\"background:{NONE}\"></b>no fix. A line leads from where \
             the frame was taken to the fix.</p>\n<svg class=\"map\" viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" \
             aria-label=\"Map of truth and fixes\">\n",
            self.right_within_m()
        );
        // The wrong ones first, so that they do not hide the others.
        let rank = |answer: &&Answered| (answer.published != Published::Fix, self.is_right(answer));
        let mut drawn: Vec<&Answered> = self.answers.iter().collect();
        drawn.sort_by_key(rank);
        for answer in drawn {
            let (x, y) = frame.place(answer.belief.truth);
            let is_fix = answer.published == Published::Fix;
            let colour = if !is_fix {
                NONE
            } else if self.is_right(answer) {
                RIGHT
            } else {
                WRONG
            };
            if let Some((to_x, to_y)) = answer.belief.place.filter(|_| is_fix).map(|place| frame.place(place)) {
                let _ = writeln!(
                    svg,
                    "<line x1=\"{x:.1}\" y1=\"{y:.1}\" x2=\"{to_x:.1}\" y2=\"{to_y:.1}\" stroke=\"{colour}\" \
                     stroke-opacity=\"0.35\"/>"
                );
            }
            let error = answer.judged.fix_m.map(|metres| format!(", {metres:.0} m off")).unwrap_or_default();
            let _ = writeln!(
                svg,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.5\" fill=\"{colour}\"><title>{}{error}</title></circle>",
                escaped(&answer.file)
            );
        }
        svg += &frame.scale();
        svg + "</svg>\n"
    }

    fn charts(&self) -> Vec<LineChart> {
        let mut charts = vec![self.error_chart()];
        let Some(abstention) = &self.report.abstention else { return charts };
        let curves = abstention.risk_coverage.0.iter().map(|(name, points)| Series {
            name: name.replace('_', " "),
            points: points.iter().map(|at| (at.coverage, at.risk)).collect(),
            dashed: name != "confidence",
        });
        charts.push(LineChart {
            title: "Risk and coverage, by score".to_owned(),
            x_label: "share of the frames of mapped ground with a fix".to_owned(),
            y_label: "share of the fixes that are wrong".to_owned(),
            x_axis: XAxis::Linear,
            series: curves.collect(),
        });
        if !abstention.reliability.is_empty() {
            let told = abstention.reliability.iter().map(|bin| (bin.mean, bin.share_true)).collect();
            charts.push(LineChart {
                title: "Confidence and what it is worth".to_owned(),
                x_label: "mean confidence of a tenth of the frames".to_owned(),
                y_label: "share that is right".to_owned(),
                x_axis: XAxis::Linear,
                series: vec![
                    Series { name: "found".to_owned(), points: told, dashed: false },
                    Series { name: "as stated".to_owned(), points: vec![(0.0, 0.0), (1.0, 1.0)], dashed: true },
                ],
            });
        }
        charts
    }

    /// Which share of the fixes is off by how much at most, beside the radii that are published.
    fn error_chart(&self) -> LineChart {
        let inside = || self.answers.iter().filter(|answer| !answer.outside);
        let errors: Vec<f64> =
            inside().filter_map(|answer| answer.judged.fix_m).map(|metres| metres.max(1.0)).collect();
        let radii = inside().filter_map(|answer| Some(answer.belief.certainty?.radii?.radius_95_m));
        let radii: Vec<f64> = radii.collect();
        let line = |name: &str, values: &[f64], dashed| {
            let at = |share: u32| {
                let fraction = f64::from(share) / 50.0;
                Some((quantile(values, fraction)?, fraction))
            };
            let points: Vec<(f64, f64)> = (0..=50).filter_map(at).collect();
            (!points.is_empty()).then(|| Series { name: name.to_owned(), points, dashed })
        };
        LineChart {
            title: format!("Error of {} fixes", errors.len()),
            x_label: "metres (1 m and less at 1)".to_owned(),
            y_label: "share of the fixes within".to_owned(),
            x_axis: XAxis::Logarithmic,
            series: [line("error", &errors, false), line("radius, 95 %", &radii, true)].into_iter().flatten().collect(),
        }
    }

    /// The fixes that are furthest off, and those from outside, with the pictures of frame and best candidate.
    fn worst(&self, limits: &DecodeLimits) -> String {
        let error_m = |answer: &Answered| {
            let fix_m = answer.judged.fix_m.or(answer.belief.place_m.filter(|_| answer.published == Published::Fix))?;
            (!self.is_right(answer)).then_some(fix_m)
        };
        let mut wrong: Vec<(f64, &Answered)> =
            self.answers.iter().filter_map(|answer| Some((error_m(answer)?, answer))).collect();
        let confidence = |answer: &Answered| answer.belief.certainty.map_or(0.0, |certainty| certainty.confidence);
        // With a calibration those that were surest of themselves come first: they do the most harm.
        wrong.sort_by(|a, b| confidence(b.1).total_cmp(&confidence(a.1)).then(b.0.total_cmp(&a.0)));
        if wrong.is_empty() {
            return String::from("<h2>Worst frames</h2>\n<p>No fix is wrong.</p>\n");
        }
        let mut text = format!(
            "<h2>Worst frames</h2>\n<p>{} fixes are wrong. Shown are those that were surest of themselves, then those \
             furthest off: the frame, and the reference that was taken for its place.</p>\n<div class=\"worst\">\n",
            wrong.len()
        );
        for (metres, answer) in wrong.into_iter().take(WORST) {
            text += &self.card(metres, answer, limits);
        }
        text + "</div>\n"
    }

    fn card(&self, metres: f64, answer: &Answered, limits: &DecodeLimits) -> String {
        let belief = &answer.belief;
        let encoded = self.images.and_then(|images| pictures::read_below(images, &answer.file, limits).ok());
        let none = || "<span class=\"none\">no picture</span>".to_owned();
        let frame = encoded.map_or_else(none, |encoded| picture(&encoded));
        let reference = belief.best.as_ref().map_or_else(none, |best| thumbnail(self.pipeline, best));
        let name = belief.best.as_ref().map(|best| best.reference.clone()).unwrap_or_default();
        let mut facts =
            if answer.outside { vec!["from outside".to_owned()] } else { vec![format!("{} off", metres_text(metres))] };
        facts.extend(belief.certainty.map(|certainty| format!("confidence {:.2}", certainty.confidence)));
        let radii = belief.certainty.and_then(|certainty| certainty.radii);
        facts.extend(radii.map(|radii| format!("radius for 95 % {}", metres_text(radii.radius_95_m))));
        facts.extend(belief.cosine.map(|cosine| format!("cosine {cosine:.3}")));
        format!(
            "<article><p><b>{}</b>, flight {}: {}</p>\n<div class=\"sight\"><figure>{frame}<figcaption>the frame\
             </figcaption></figure><figure>{reference}<figcaption>{}</figcaption></figure></div></article>\n",
            escaped(&answer.file),
            escaped(&belief.flight),
            escaped(&facts.join(", ")),
            escaped(&name)
        )
    }
}

/// Metres, or kilometres where those read better.
fn metres_text(metres: f64) -> String {
    if metres < 9999.5 { format!("{metres:.0} m") } else { format!("{:.0} km", metres / 1000.0) }
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// The ground that a map shows.
struct MapFrame {
    plane: Plane,
    west_m: f64,
    north_m: f64,
    units_per_m: f64,
    height: f64,
}

impl MapFrame {
    /// The ground around these places; the outermost in a hundred to each side do not stretch it. `None` without any.
    fn around(places: &[(f64, f64)]) -> Option<Self> {
        let (lat_deg, lon_deg) = geolocated::locate::weighted_mean(places.iter().map(|(lat, lon)| (*lat, *lon, 1.0)))?;
        let plane = Plane::at(lat_deg, lon_deg);
        let (east, north): (Vec<f64>, Vec<f64>) =
            places.iter().map(|(lat, lon)| plane.east_north_m(*lat, *lon)).unzip();
        let bounds = |values: &[f64]| Some((quantile(values, 0.01)?, quantile(values, 0.99)?));
        let ((west, right), (south, top)) = (bounds(&east)?, bounds(&north)?);
        let margin = ((right - west).max(top - south) * MAP_MARGIN).max(10.0);
        let (width_m, height_m) = (right - west + 2.0 * margin, top - south + 2.0 * margin);
        // Neither a thread nor a tower.
        let height_m = height_m.clamp(width_m * 0.3, width_m * 1.2);
        let units_per_m = MAP_WIDTH / width_m;
        let north_m = f64::midpoint(south, top) + height_m / 2.0;
        Some(Self { plane, west_m: west - margin, north_m, units_per_m, height: height_m * units_per_m })
    }

    fn place(&self, (lat_deg, lon_deg): (f64, f64)) -> (f64, f64) {
        let (east_m, north_m) = self.plane.east_north_m(lat_deg, lon_deg);
        ((east_m - self.west_m) * self.units_per_m, (self.north_m - north_m) * self.units_per_m)
    }

    /// A bar of a round length.
    fn scale(&self) -> String {
        let fits = MAP_WIDTH / self.units_per_m / 4.0;
        let decade = 10.0_f64.powf(fits.log10().floor());
        let metres = [5.0, 2.0, 1.0].map(|factor| factor * decade).into_iter().find(|length| *length <= fits);
        let metres = metres.unwrap_or(decade);
        let (right, y) = (20.0 + metres * self.units_per_m, self.height - 16.0);
        let title = if metres >= 1000.0 { format!("{:.0} km", metres / 1000.0) } else { format!("{metres:.0} m") };
        format!(
            "<path d=\"M20 {0:.1}v6h{1:.1}v-6\" fill=\"none\" stroke=\"#333\"/><text x=\"{2:.1}\" y=\"{3:.1}\" \
             font-size=\"13\" font-family=\"sans-serif\">{title}</text>\n",
            y - 6.0,
            right - 20.0,
            right + 6.0,
            y + 2.0
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_has_north_up_and_its_places_within() {
        let places = [(50.0, 8.0), (50.01, 8.0), (50.0, 8.02)];
        let frame = MapFrame::around(&places).unwrap();
        let [first, north, east] = places.map(|place| frame.place(place));
        assert!(north.1 < first.1 && (north.0 - first.0).abs() < 1.0 && east.0 > first.0);
        for (x, y) in [first, north, east] {
            assert!((0.0..=MAP_WIDTH).contains(&x) && (0.0..=frame.height).contains(&y), "{x} {y}");
        }
        assert!(frame.scale().contains("200 m") || frame.scale().contains("500 m"), "{}", frame.scale());
        assert!(MapFrame::around(&[]).is_none());
        assert!(MapFrame::around(&[(50.0, 8.0)]).is_some_and(|frame| frame.height.is_finite()));
    }
}
