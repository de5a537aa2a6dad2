//! The map of the page: the ground, the true ways, the fixes.

use std::fmt::Write as _;

use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;

use super::super::map::{MapFrame, Mark, tracks};
use super::super::outcome::Shape;
use super::super::plan::{Ground, Plan};
use super::data;

const QUALITY: u8 = 80;

/// The map as SVG, in metres.
pub(super) fn svg(plan: &Plan) -> anyhow::Result<String> {
    let map = MapFrame::around(&plan.frames, plan.ground.as_ref());
    let (width, height) = (map.width_m, map.height_m);
    let mut svg = format!(
        "<svg id=\"map\" viewBox=\"0 0 {width:.1} {height:.1}\" role=\"group\" \
         aria-label=\"Map with the true ways of the drone and the fixes\">\n<defs>\n"
    );
    for shape in Shape::ALL {
        writeln!(svg, "<g id=\"s-{}\">{}</g>", shape.name(), symbol(shape))?;
    }
    svg.push_str("</defs>\n<rect class=\"beyond\" width=\"100%\" height=\"100%\"/>\n");
    if let Some(ground) = &plan.ground {
        svg += &ground_image(ground, &map)?;
    }
    for track in tracks(&plan.frames, &map) {
        let points: Vec<String> = track.iter().map(|[x, y]| format!("{x:.1},{y:.1}")).collect();
        let points = points.join(" ");
        writeln!(
            svg,
            "<polyline class=\"casing\" points=\"{points}\"/><polyline class=\"truth\" points=\"{points}\"/>"
        )?;
    }
    let marks = Mark::all(&plan.frames, &map, plan.right_within_m);
    for mark in &marks {
        if let Some([x, y]) = mark.fix {
            let ([from_x, from_y], name, number) = (mark.truth, mark.outcome.name(), mark.number);
            writeln!(
                svg,
                "<line class=\"error {name}\" data-n=\"{number}\" x1=\"{from_x:.1}\" y1=\"{from_y:.1}\" x2=\"{x:.1}\" \
                 y2=\"{y:.1}\"/>"
            )?;
        }
    }
    for mark in &marks {
        svg += &mark_link(mark, map.mark_m());
    }
    writeln!(svg, "<g id=\"here\" hidden><circle class=\"here-casing\"/><circle class=\"here\"/></g>")?;
    svg += &scale(&map);
    svg.push_str("</svg>");
    Ok(svg)
}

fn ground_image(ground: &Ground, map: &MapFrame) -> anyhow::Result<String> {
    let mut jpeg = Vec::new();
    let (columns, rows) = ground.picture.dimensions();
    JpegEncoder::new_with_quality(&mut jpeg, QUALITY).encode(
        &ground.picture,
        columns,
        rows,
        ExtendedColorType::Rgb8,
    )?;
    let [left, upper] = map.at(ground.north_deg, ground.west_deg);
    let [right, lower] = map.at(ground.south_deg, ground.east_deg);
    let (width, height) = (right - left, lower - upper);
    let place = format!("x=\"{left:.1}\" y=\"{upper:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"");
    Ok(format!(
        "<image {place} preserveAspectRatio=\"none\" href=\"{}\"/>\n<rect class=\"edge-of-map\" {place}/>\n",
        data(&jpeg)
    ))
}

/// The mark of a frame, which leads to its pictures.
fn mark_link(mark: &Mark, size_m: f64) -> String {
    let ([x, y], [true_x, true_y]) = (mark.at(), mark.truth);
    let (number, name, shape, title) =
        (mark.number, mark.outcome.name(), mark.outcome.shape().name(), mark.outcome.title());
    let shown = number + 1;
    format!(
        "<a class=\"mark {name}\" href=\"#frame-{shown}\" data-n=\"{number}\" data-x=\"{true_x:.1}\" \
         data-y=\"{true_y:.1}\"><title>frame {shown}: {title}</title><g transform=\"translate({x:.1} {y:.1}) scale({size_m:.2})\">\
         <circle class=\"touch\" r=\"2.2\"/><use class=\"rim\" href=\"#s-{shape}\"/>\
         <use href=\"#s-{shape}\"/></g></a>\n"
    )
}

/// A shape about the origin, of size 1. As the picture paints them.
fn symbol(shape: Shape) -> &'static str {
    match shape {
        Shape::Disc => "<circle class=\"solid\" r=\"1\"/>",
        Shape::Square => "<rect class=\"solid\" x=\"-.9\" y=\"-.9\" width=\"1.8\" height=\"1.8\"/>",
        Shape::Diamond => "<path class=\"solid\" d=\"M0-1.35 1.35 0 0 1.35-1.35 0Z\"/>",
        Shape::Cross => "<path class=\"open\" d=\"M-.8-.8.8.8M-.8.8.8-.8\"/>",
        Shape::Ring => "<circle class=\"open\" r=\".85\"/>",
        Shape::Box => "<rect class=\"open\" x=\"-.8\" y=\"-.8\" width=\"1.6\" height=\"1.6\"/>",
        Shape::Dot => "<circle class=\"solid\" r=\".5\"/>",
    }
}

/// A length and the way north, in the lower left and the upper right corner.
fn scale(map: &MapFrame) -> String {
    let (length, unit) = (map.scale_m(), map.width_m / 100.0);
    let (x, y) = (unit * 2.0, map.height_m - unit * 2.5);
    let (north_x, north_y) = (map.width_m - unit * 3.5, unit * 3.0);
    format!(
        "<g class=\"scale\" font-size=\"{:.1}\">\
         <rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"{:.1}\"/>\
         <path d=\"M{x:.1} {:.1}V{y:.1}H{:.1}V{:.1}\"/><text x=\"{:.1}\" y=\"{:.1}\">{length:.0} m</text>\
         <path class=\"north\" transform=\"translate({north_x:.1} {north_y:.1}) scale({unit:.2})\" \
         d=\"M0-1.8 1.2 1.6 0 .9-1.2 1.6Z\"/></g>\n",
        unit * 2.4,
        x - unit,
        y - unit * 3.4,
        length + unit * 2.0,
        unit * 4.4,
        unit * 0.6,
        y - unit,
        x + length,
        y - unit,
        x + unit * 0.6,
        y - unit * 0.9,
    )
}
