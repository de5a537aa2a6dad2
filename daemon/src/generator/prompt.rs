//! The question that goes to a generator beside the picture. The papers' wording is not public to us: this is ours.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

/// In which form the answer, and the coordinates in the prompt, are asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum Form {
    /// Lists and an object of JSON
    #[default]
    Json,
    /// Lines of text
    Text,
}

/// How coordinates are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum Notation {
    /// Decimal degrees
    #[default]
    Decimal,
    /// Degrees, minutes and seconds with letters
    Dms,
}

/// In which order coordinates stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum Order {
    /// The similar ones first, the most similar at the beginning
    #[default]
    SimilarFirst,
    /// The dissimilar ones first
    DissimilarFirst,
    /// The similar ones first, the most similar at the end
    MostSimilarLast,
}

/// What a prompt is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PromptOptions {
    /// Coordinates of the most similar references, at most.
    pub similar: usize,
    /// Coordinates of dissimilar references, at most.
    pub dissimilar: usize,
    /// The form.
    pub form: Form,
    /// How coordinates are written.
    pub notation: Notation,
    /// In which order they stand.
    pub order: Order,
}

impl Default for PromptOptions {
    /// As published: 16 similar and 16 dissimilar.
    fn default() -> Self {
        Self { similar: 16, dissimilar: 16, form: Form::Json, notation: Notation::Decimal, order: Order::SimilarFirst }
    }
}

/// The question. `similar` and `dissimilar` are places in degrees, the most similar and the most dissimilar first; more
/// than are asked for are left out.
pub fn prompt(options: &PromptOptions, similar: &[(f64, f64)], dissimilar: &[(f64, f64)]) -> String {
    let mut near: Vec<(f64, f64)> = similar.iter().take(options.similar).copied().collect();
    let far: Vec<(f64, f64)> = dissimilar.iter().take(options.dissimilar).copied().collect();
    if options.order == Order::MostSimilarLast {
        near.reverse();
    }
    let near = (!near.is_empty()).then(|| {
        let place = if options.order == Order::MostSimilarLast { "last" } else { "first" };
        list(
            options,
            &format!("Photos that look similar were taken at these places, the most similar one {place}"),
            &near,
        )
    });
    let far = (!far.is_empty()).then(|| {
        list(options, "Photos that look dissimilar were taken at these places, which are probably not its own", &far)
    });
    let lists = if options.order == Order::DissimilarFirst { [far, near] } else { [near, far] };
    let mut text = String::from("Where was this photo taken? Look at all that it shows.\n");
    lists.into_iter().flatten().for_each(|list| text += &list);
    text += match (options.form, options.notation) {
        (Form::Json, Notation::Decimal) => {
            "Answer with one JSON object and nothing else: {\"latitude\": DEGREES, \"longitude\": DEGREES}, in decimal degrees, \
             south and west negative."
        }
        (Form::Json, Notation::Dms) => {
            "Answer with one JSON object and nothing else: {\"latitude\": \"D°M'S\\\"N\", \"longitude\": \"D°M'S\\\"E\"}, in degrees, \
             minutes and seconds."
        }
        (Form::Text, Notation::Decimal) => {
            "Answer with latitude and longitude in decimal degrees, south and west negative, like -12.3456, 45.6789, and nothing \
             else."
        }
        (Form::Text, Notation::Dms) => {
            "Answer with latitude and longitude in degrees, minutes and seconds, like 12°20'44.2\"S 45°40'44.0\"E, and nothing \
             else."
        }
    };
    text
}

fn list(options: &PromptOptions, title: &str, places: &[(f64, f64)]) -> String {
    let mut text = format!("{title}:\n");
    let write = |place: &(f64, f64)| match (options.form, options.notation) {
        (Form::Json, Notation::Decimal) => format!("[{:.5}, {:.5}]", place.0, place.1),
        (Form::Json, Notation::Dms) => format!("\"{}\"", dms(place.0, place.1).replace('"', "\\\"")),
        (Form::Text, Notation::Decimal) => format!("{:.5}, {:.5}", place.0, place.1),
        (Form::Text, Notation::Dms) => dms(place.0, place.1),
    };
    let places: Vec<String> = places.iter().map(write).collect();
    // Writing into a string cannot fail.
    let _ = match options.form {
        Form::Json => writeln!(text, "[{}]", places.join(", ")),
        Form::Text => writeln!(text, "{}", places.join("\n")),
    };
    text
}

/// A place in degrees, minutes and seconds, a tenth of a second (3 m) being the last digit.
pub fn dms(lat: f64, lon: f64) -> String {
    let angle = |degrees: f64, letters: [char; 2]| {
        let tenths = (degrees.abs() * 36_000.0).round() as u64;
        let letter = if degrees < 0.0 { letters[1] } else { letters[0] };
        let (whole, minutes, seconds) = (tenths / 36_000, tenths / 600 % 60, tenths % 600);
        format!("{whole}°{minutes:02}'{:02}.{}\"{letter}", seconds / 10, seconds % 10)
    };
    format!("{} {}", angle(lat, ['N', 'S']), angle(lon, ['E', 'W']))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEAR: [(f64, f64); 3] = [(48.8584, 2.2945), (-33.8568, 151.2153), (1.5, -2.5)];
    const FAR: [(f64, f64); 2] = [(10.0, 20.0), (30.0, 40.0)];

    #[test]
    fn a_prompt_holds_what_is_asked_for_in_its_order_and_form() {
        let options = PromptOptions { similar: 2, dissimilar: 1, ..PromptOptions::default() };
        let text = prompt(&options, &NEAR, &FAR);
        assert!(text.contains("[[48.85840, 2.29450], [-33.85680, 151.21530]]"), "{text}");
        assert!(text.contains("[[10.00000, 20.00000]]") && !text.contains("30.00000") && !text.contains("1.50000"));
        assert!(text.find("similar were").unwrap() < text.find("dissimilar").unwrap());
        let turned = prompt(&PromptOptions { order: Order::DissimilarFirst, ..options }, &NEAR, &FAR);
        assert!(turned.find("dissimilar").unwrap() < turned.find("look similar").unwrap());
        let last = prompt(&PromptOptions { order: Order::MostSimilarLast, ..options }, &NEAR, &FAR);
        assert!(last.contains("[[-33.85680, 151.21530], [48.85840, 2.29450]]") && last.contains("one last"));
        let plain = prompt(&PromptOptions { form: Form::Text, notation: Notation::Dms, ..options }, &NEAR, &FAR);
        assert!(plain.contains("48°51'30.2\"N 2°17'40.2\"E\n33°51'24.5\"S 151°12'55.1\"E"), "{plain}");
    }

    #[test]
    fn without_neighbours_nothing_is_said_of_any() {
        let none = PromptOptions { similar: 0, dissimilar: 0, ..PromptOptions::default() };
        let text = prompt(&none, &NEAR, &FAR);
        assert!(!text.contains("similar") && text.contains("latitude"), "{text}");
        assert_eq!(prompt(&PromptOptions::default(), &[], &[]), text);
    }

    #[test]
    fn seconds_are_carried_over() {
        assert_eq!(dms(-0.999_999_9, 179.999_999_9), "1°00'00.0\"S 180°00'00.0\"E");
    }
}
