//! Head, legend, filters and foot of the page.

use std::collections::BTreeMap;

use super::super::outcome::Outcome;
use super::super::plan::Plan;
use super::super::summary::{DemoReport, Figures, Quantiles, Refusals};
use super::{escaped, symbol};

/// Title and figures.
pub(super) fn head(plan: &Plan, report: &DemoReport) -> String {
    let mut tiles = String::new();
    tiles += &recall_tile("Recall@1", &report.figures, report.queries);
    for (name, figures) in &report.stages.0 {
        tiles += &stage_tile(name, figures, report.looked_at);
    }
    tiles += &error_tile(&report.figures);
    tiles += &undecided_tile(&report.figures, report.queries);
    tiles += &time_tile(report);
    tiles += &refusal_tile(report);
    let title = escaped(&plan.title);
    format!(
        "<header class=\"head\">\n<p class=\"brand\">geolocated</p>\n<h1>Where was each frame taken?</h1>\n\
         <p class=\"lead\">{title}. Each frame was published over MQTT without a position; the daemon compared it with \
         the references and answered.</p>\n<dl class=\"tiles\">\n{tiles}</dl>\n</header>"
    )
}

fn tile(class: &str, title: &str, figure: &str, text: &str) -> String {
    format!(
        "<div class=\"tile {class}\"><dt>{}</dt><dd><strong>{}</strong><span>{}</span></dd></div>\n",
        escaped(title),
        escaped(figure),
        escaped(text)
    )
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

fn recall_tile(title: &str, figures: &Figures, queries: usize) -> String {
    if queries == 0 {
        return tile("", title, "–", "no frame of mapped ground");
    }
    let [low, high] = figures.recall_at_1_interval;
    let text = format!(
        "of {queries} frames of mapped ground have a reference within {:.0} m first (95 % interval {:.0} to {})",
        figures.right_within_m,
        low * 100.0,
        percent(high)
    );
    tile("", title, &percent(figures.recall_at_1), &text)
}

/// Fixes of one stage over the frames that have all stages, so that they can be compared.
fn stage_tile(name: &str, figures: &Figures, looked_at: usize) -> String {
    let text = format!(
        "fixes lie within {:.0} m, of the {looked_at} frames that the comparator looked at",
        figures.right_within_m
    );
    tile("", &format!("Right, {name}"), &format!("{} of {}", figures.right_fixes, figures.fixes), &text)
}

fn error_tile(figures: &Figures) -> String {
    match figures.error_m {
        Some(Quantiles { median, high }) => {
            let text = format!("is the median error of {} fixes; 90 % lie within {high:.0} m", figures.fixes);
            tile("", "Error", &format!("{median:.1} m"), &text)
        }
        None => tile("", "Error", "–", "no fix of mapped ground"),
    }
}

fn undecided_tile(figures: &Figures, queries: usize) -> String {
    let undecided = figures.ambiguous + figures.no_fix;
    let share = if queries == 0 { 0.0 } else { undecided as f64 / queries as f64 };
    let text = format!("of mapped ground without a fix: {} ambiguous, {} no fix", figures.ambiguous, figures.no_fix);
    tile("", "No position", &percent(share), &text)
}

fn time_tile(report: &DemoReport) -> String {
    let median = |name: &str| report.ms.get(name).map(|quantiles| quantiles.median);
    let parts = ["decode", "embed", "search", "fuse"];
    let parts: Vec<String> = parts.iter().filter_map(|name| Some(format!("{name} {:.1}", median(name)?))).collect();
    let figure = median("publish_to_fix").map_or_else(|| "–".to_owned(), |median| format!("{median:.0} ms"));
    tile("", "Frame to fix", &figure, &format!("over MQTT, median; of it {} ms", parts.join(", ")))
}

fn refusal_tile(report: &DemoReport) -> String {
    let (Refusals { frames: outside, fixes: outside_fixes, .. }, bad) = (&report.outside, &report.bad);
    let (frames, fixes) = (outside + bad.frames, outside_fixes + bad.fixes);
    if frames == 0 {
        return String::new();
    }
    let text = format!(
        "frames that should get no fix got one: {outside_fixes} of {outside} off the map, {} of {} bad ones",
        bad.fixes, bad.frames
    );
    tile(if fixes > 0 { "warned" } else { "" }, "Off the map", &format!("{fixes} of {frames}"), &text)
}

/// How often each outcome comes.
fn counts(plan: &Plan) -> BTreeMap<Outcome, usize> {
    let mut counts = BTreeMap::new();
    for frame in &plan.frames {
        *counts.entry(frame.outcome(plan.right_within_m)).or_default() += 1;
    }
    counts
}

/// What marks mean.
pub(super) fn legend(plan: &Plan) -> String {
    let counts = counts(plan);
    let item = |outcome: &Outcome| {
        let count = counts.get(outcome)?;
        Some(format!("<li>{}{} <b>{count}</b></li>", symbol(*outcome), outcome.title()))
    };
    let items: String = Outcome::ALL.iter().filter_map(item).collect();
    format!(
        "<ul class=\"legend\">\n<li><svg class=\"symbol\" viewBox=\"-1.5 -1.5 3 3\" aria-hidden=\"true\">\
         <path class=\"casing\" d=\"M-1.4 0H1.4\"/><path class=\"truth\" d=\"M-1.4 0H1.4\"/></svg>where the drone was</li>\n{items}\n</ul>\n\
         <p class=\"hint\">The mark of a fix stands at the fix, with a line to where the drone was; other marks stand \
         where it was. Right is within {:.0}&nbsp;m.</p>",
        plan.right_within_m
    )
}

/// The replay, which the script brings to life.
pub(super) fn player(plan: &Plan) -> String {
    let last = plan.frames.len().saturating_sub(1);
    format!(
        "<div class=\"player\" hidden><button id=\"play\" type=\"button\">Play</button>\
         <input id=\"at\" type=\"range\" min=\"0\" max=\"{last}\" value=\"{last}\" aria-label=\"Frame\">\
         <output id=\"which\" for=\"at\"></output></div>\n"
    )
}

/// Room for the frame that is looked at, which the script fills.
pub(super) fn inspector(plan: &Plan) -> String {
    let has_heading = plan.frames.iter().any(|frame| frame.heading_deg().is_some());
    let turn = "<label class=\"north-up\"><input type=\"checkbox\" id=\"north-up\">turn frames north up, as the references \
                are</label>";
    let turn = if has_heading { turn } else { "" };
    format!("<aside id=\"now\" hidden>{turn}<div id=\"shown\" aria-live=\"polite\"></div></aside>")
}

/// Which frames are listed.
pub(super) fn filters(plan: &Plan) -> String {
    let choice = |id: &str, title: &str, count: usize, mark: String, checked: &str| {
        format!(
            "<label><input type=\"radio\" name=\"show\" id=\"show-{id}\"{checked}>{mark}\
             <span>{title} <b>{count}</b></span></label>\n"
        )
    };
    let counts = counts(plan);
    let mut text = choice("all", "all frames", plan.frames.len(), String::new(), " checked");
    for outcome in Outcome::ALL {
        if let Some(count) = counts.get(&outcome) {
            text += &choice(outcome.name(), outcome.title(), *count, symbol(outcome), "");
        }
    }
    format!("<section class=\"filters\" aria-label=\"Which frames are listed\">\n<h2>All frames</h2>\n{text}</section>")
}

/// What was made of what, and how long it took.
pub(super) fn foot(plan: &Plan, report: &DemoReport) -> String {
    let row = |title: &str, text: &str| format!("<tr><th>{}</th><td>{}</td></tr>\n", escaped(title), escaped(text));
    let facts: String = plan.facts.iter().map(|(title, text)| row(title, text)).collect();
    let seconds: Vec<String> =
        report.seconds.0.iter().map(|(name, seconds)| format!("{name} {seconds:.1} s")).collect();
    let milliseconds: String = report
        .ms
        .0
        .iter()
        .map(|(name, Quantiles { median, high })| {
            format!("<tr><th>{}</th><td>{median:.2}</td><td>{high:.2}</td></tr>\n", escaped(&name.replace('_', " ")))
        })
        .collect();
    format!(
        "<footer>\n<section><h2>How it was made</h2>\n<table class=\"facts\">\n{facts}{}</table></section>\n\
         <section><h2>Milliseconds a frame</h2>\n<table><thead><tr><th></th><th>median</th><th>95 %</th></tr></thead>\n\
         <tbody>{milliseconds}</tbody></table></section>\n</footer>",
        row("took", &seconds.join(", "))
    )
}
