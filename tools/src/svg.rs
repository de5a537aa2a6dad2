//! Line charts as SVG: text that any browser shows, and that compares line by line.

use std::fmt::Write;

/// Colours that people with colour-blindness tell apart (M. Okabe, K. Ito, 2008), black instead of yellow.
const COLOURS: [&str; 8] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#888888"];
const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 440.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 180.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 52.0;
/// Height of a line of the legend.
const LEGEND_STEP: f64 = 20.0;

/// A line with its name.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Stands in the legend.
    pub name: String,
    /// (x, y), in the order in which they are joined.
    pub points: Vec<(f64, f64)>,
    /// Without marks at its points, and dashed: for what is not a schedule but a mark to reach.
    pub dashed: bool,
}

/// How the x axis goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum XAxis {
    /// By ratios.
    #[default]
    Logarithmic,
    /// By differences.
    Linear,
}

/// A chart of lines.
#[derive(Debug, Clone, PartialEq)]
pub struct LineChart {
    /// Above the chart.
    pub title: String,
    /// Below the x axis, with its unit.
    pub x_label: String,
    /// Beside the y axis, with its unit.
    pub y_label: String,
    /// How the x axis goes.
    pub x_axis: XAxis,
    /// Lines; points that are not finite, and on a logarithmic axis those with an x that is not above 0, are left out.
    pub series: Vec<Series>,
}

/// What the axes span.
struct Span {
    axis: XAxis,
    x: (f64, f64),
    y: (f64, f64),
}

impl Span {
    fn of(points: &[(f64, f64)], axis: XAxis) -> Self {
        let bounds = |values: &mut dyn Iterator<Item = f64>| {
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)))
        };
        let (x_low, x_high) = bounds(&mut points.iter().map(|point| point.0));
        let (y_low, y_high) = bounds(&mut points.iter().map(|point| point.1));
        let step = y_step(y_low, y_high);
        let y = ((y_low / step).floor() * step, (y_high / step).ceil() * step);
        if points.is_empty() {
            Self { axis, x: (1.0, 10.0), y: (0.0, 1.0) }
        } else {
            Self { axis, x: (x_low, x_high.max(x_low * 1.01)), y }
        }
    }

    fn place(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let share = |value: f64, (low, high): (f64, f64)| if high > low { (value - low) / (high - low) } else { 0.5 };
        let across = match self.axis {
            XAxis::Logarithmic => share(x.ln(), (self.x.0.ln(), self.x.1.ln())),
            XAxis::Linear => share(x, self.x),
        };
        let up = share(y, self.y);
        (LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM))
    }
}

impl LineChart {
    /// The chart as an SVG document.
    pub fn to_svg(&self) -> String {
        let points = self.series.iter().flat_map(|series| drawable(&series.points, self.x_axis));
        let drawn: Vec<(f64, f64)> = points.collect();
        let span = Span::of(&drawn, self.x_axis);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" \
             height=\"{HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n"
        );
        text(&mut svg, (LEFT, TOP - 20.0), "start", "font-size=\"14\" font-weight=\"bold\"", &self.title);
        axes(&mut svg, &span);
        let middle = f64::midpoint(LEFT, WIDTH - RIGHT);
        text(&mut svg, (middle, HEIGHT - 12.0), "middle", "", &self.x_label);
        let turned = format!("transform=\"rotate(-90 16 {0})\"", f64::midpoint(TOP, HEIGHT - BOTTOM));
        text(&mut svg, (16.0, f64::midpoint(TOP, HEIGHT - BOTTOM)), "middle", &turned, &self.y_label);
        for (number, (series, colour)) in self.series.iter().zip(COLOURS.iter().cycle()).enumerate() {
            line(&mut svg, series, colour, &span);
            legend(&mut svg, series, colour, TOP + 8.0 + LEGEND_STEP * number as f64);
        }
        svg + "</svg>\n"
    }
}

fn drawable(points: &[(f64, f64)], axis: XAxis) -> impl Iterator<Item = (f64, f64)> {
    let fits = move |x: f64| x > 0.0 || axis == XAxis::Linear;
    points.iter().copied().filter(move |(x, y)| fits(*x) && x.is_finite() && y.is_finite())
}

/// A round distance of lines that makes some five to ten of them.
fn y_step(low: f64, high: f64) -> f64 {
    let range = (high - low).max(1e-9);
    let decade = 10.0_f64.powf((range / 5.0).log10().floor());
    let fits = [1.0, 2.0, 5.0, 10.0].into_iter().find(|factor| range / (decade * factor) <= 8.0);
    decade * fits.unwrap_or(10.0)
}

/// 1, 2 and 5 times each power of ten within bounds; on a linear axis round numbers.
fn x_ticks(axis: XAxis, (low, high): (f64, f64)) -> Vec<f64> {
    if axis == XAxis::Linear {
        let step = y_step(low, high);
        let ticks = std::iter::successors(Some((low / step).ceil() * step), |tick| Some(tick + step));
        return ticks.take_while(|tick| *tick <= high + step * 1e-6).collect();
    }
    let first = 10.0_f64.powf(low.log10().floor());
    let decades = std::iter::successors(Some(first), |decade| Some(decade * 10.0)).take_while(|decade| *decade <= high);
    // Over many decades there is room for the powers of ten alone.
    let factors: &[f64] = if high > low * 1e4 { &[1.0] } else { &[1.0, 2.0, 5.0] };
    let ticks = decades.flat_map(|decade| factors.iter().map(move |factor| decade * factor));
    ticks.filter(|tick| (low * 0.999..=high * 1.001).contains(tick)).collect()
}

fn axes(svg: &mut String, span: &Span) {
    let step = y_step(span.y.0, span.y.1);
    let lines = ((span.y.1 - span.y.0) / step).round();
    let rows = std::iter::successors(Some(0.0), |row| Some(row + 1.0)).take_while(|row| *row <= lines);
    for value in rows.map(|row| span.y.0 + row * step) {
        let (_, y) = span.place((span.x.0, value));
        rule(svg, (LEFT, y), (WIDTH - RIGHT, y), "#dddddd");
        text(svg, (LEFT - 6.0, y + 4.0), "end", "", &short(value));
    }
    for value in x_ticks(span.axis, span.x) {
        let (x, _) = span.place((value, span.y.0));
        rule(svg, (x, TOP), (x, HEIGHT - BOTTOM), "#eeeeee");
        text(svg, (x, HEIGHT - BOTTOM + 18.0), "middle", "", &short(value));
    }
    rule(svg, (LEFT, HEIGHT - BOTTOM), (WIDTH - RIGHT, HEIGHT - BOTTOM), "#333333");
    rule(svg, (LEFT, TOP), (LEFT, HEIGHT - BOTTOM), "#333333");
}

fn line(svg: &mut String, series: &Series, colour: &str, span: &Span) {
    let places: Vec<(f64, f64)> = drawable(&series.points, span.axis).map(|point| span.place(point)).collect();
    let path: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let dash = if series.dashed { " stroke-dasharray=\"6 4\"" } else { "" };
    // Writing into a string cannot fail.
    writeln!(
        svg,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"{dash}/>",
        path.join(" ")
    )
    .ok();
    for (x, y) in places.iter().filter(|_| !series.dashed) {
        writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>").ok();
    }
}

fn legend(svg: &mut String, series: &Series, colour: &str, y: f64) {
    let left = WIDTH - RIGHT + 16.0;
    let dash = if series.dashed { " stroke-dasharray=\"6 4\"" } else { "" };
    writeln!(
        svg,
        "<line x1=\"{left}\" y1=\"{y}\" x2=\"{}\" y2=\"{y}\" stroke=\"{colour}\" stroke-width=\"2\"{dash}/>",
        left + 22.0
    )
    .ok();
    text(svg, (left + 28.0, y + 4.0), "start", "", &series.name);
}

fn rule(svg: &mut String, (x1, y1): (f64, f64), (x2, y2): (f64, f64), colour: &str) {
    writeln!(svg, "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{colour}\"/>").ok();
}

fn text(svg: &mut String, (x, y): (f64, f64), anchor: &str, more: &str, content: &str) {
    let content = content.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let gap = if more.is_empty() { "" } else { " " };
    writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\"{gap}{more}>{content}</text>").ok();
}

/// A number with three decimals at most, and no zeros that say nothing.
fn short(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_holds_its_points_names_and_ticks_and_nothing_unescaped() {
        let chart = LineChart {
            title: "quality & cost".to_owned(),
            x_label: "ms".to_owned(),
            y_label: "Top-1".to_owned(),
            x_axis: XAxis::Logarithmic,
            series: vec![Series {
                name: "a < b".to_owned(),
                points: vec![(100.0, 0.2), (1000.0, 0.4), (0.0, 1.0), (5.0, f64::NAN)],
                dashed: false,
            }],
        };
        let svg = chart.to_svg();
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        assert_eq!(svg.matches("<circle").count(), 2, "points that cannot be drawn are left out");
        assert!(svg.contains("quality &amp; cost") && svg.contains("a &lt; b"));
        for tick in [">100<", ">200<", ">500<", ">1000<", ">0.2<", ">0.4<"] {
            assert!(svg.contains(tick), "{tick}: {svg}");
        }
        assert!(svg.contains("64.0,388.0 580.0,44.0"), "from the lower left to the upper right: {svg}");
    }

    #[test]
    fn an_empty_chart_is_a_chart() {
        for x_axis in [XAxis::Logarithmic, XAxis::Linear] {
            let empty = || String::new();
            let chart = LineChart { title: empty(), x_label: empty(), y_label: empty(), x_axis, series: vec![] };
            assert!(!chart.to_svg().contains("NaN"));
        }
    }

    #[test]
    fn a_linear_axis_begins_at_0_and_has_round_ticks() {
        let series = Series { name: "a".to_owned(), points: vec![(0.0, 0.0), (0.5, 1.0), (1.0, 0.5)], dashed: false };
        let text = || "x".to_owned();
        let (x_axis, series) = (XAxis::Linear, vec![series]);
        let svg = LineChart { title: text(), x_label: text(), y_label: text(), x_axis, series }.to_svg();
        assert_eq!(svg.matches("<circle").count(), 3);
        assert!(svg.contains("64.0,388.0 290.0,") || svg.contains("64.0,388.0 322.0,"), "{svg}");
        assert!(svg.matches(">0.2<").count() == 2, "on both axes: {svg}");
    }
}
