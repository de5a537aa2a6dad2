//! The page that the demo leaves: one file that asks no network for anything.
//!
//! It reads without its script, which only adds the replay. Pictures stand in it once, as data.

mod card;
mod map;
mod parts;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Context;

use super::plan::Plan;
use super::summary::DemoReport;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");
/// Nothing may come from anywhere else.
const POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'";

/// Writes the page.
///
/// # Errors
/// It cannot be written.
pub(super) fn write(path: &Path, plan: &Plan, report: &DemoReport) -> anyhow::Result<()> {
    fs::write(path, text(plan, report)?).with_context(|| format!("{}: cannot be written", path.display()))
}

fn text(plan: &Plan, report: &DemoReport) -> anyhow::Result<String> {
    let mut page = String::new();
    write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <title>geolocated: where was each frame taken?</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n{}\n\
         <main>\n<section class=\"stage\">\n<div class=\"map\">\n{}\n{}\n{}</div>\n\
         {}\n</section>\n{}\n{}\n{}\n</main>\n\
         <script>\n{SCRIPT}</script>\n</body>\n</html>\n",
        parts::head(plan, report),
        map::svg(plan)?,
        parts::player(plan),
        parts::legend(plan),
        parts::inspector(plan),
        parts::filters(plan),
        card::list(plan),
        parts::foot(plan, report),
    )?;
    Ok(page)
}

/// Text for markup and for attributes in double quotes.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

/// Bytes as the address of a JPEG.
fn data(jpeg: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(jpeg.len() / 3 * 4 + 32);
    text.push_str("data:image/jpeg;base64,");
    for part in jpeg.chunks(3) {
        let at = |index: usize| u32::from(part.get(index).copied().unwrap_or_default());
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for place in 0..4 {
            let letter = LETTERS.get((bits >> (18 - 6 * place) & 63) as usize).copied().unwrap_or(b'=');
            text.push(if place <= part.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

/// The mark of an outcome in running text.
fn symbol(outcome: super::outcome::Outcome) -> String {
    let (shape, name) = (outcome.shape().name(), outcome.name());
    format!(
        "<svg class=\"symbol {name}\" viewBox=\"-1.5 -1.5 3 3\" aria-hidden=\"true\"><use href=\"#s-{shape}\"/></svg>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_written_as_base64() {
        for (bytes, expected) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")] {
            assert_eq!(data(bytes.as_bytes()), format!("data:image/jpeg;base64,{expected}"));
        }
        assert!(data(&[251, 255, 254]).ends_with(",+//+"));
    }

    #[test]
    fn names_of_files_are_no_markup() {
        assert_eq!(escaped("<img src=\"x\" onerror='a'>&"), "&lt;img src=&quot;x&quot; onerror=&#39;a&#39;&gt;&amp;");
    }
}
