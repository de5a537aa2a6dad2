//! GGA, RMC and GST.
//!
//! | sentence | says | leaves empty |
//! |---|---|---|
//! | GGA | time, position, quality 6: estimated | satellites in use (0), HDOP, heights |
//! | RMC | time, date, position, status A, mode E: estimated | speed, course, variation |
//! | GST | time, standard deviations of latitude and longitude | where no radius is known, the whole sentence |
//!
//! Time and date are empty where nobody knows when the picture was taken.

use std::fmt::Write;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::super::Answer;

/// Half of the side of the square root of the chi-square distribution with two degrees of freedom at 68 %: a circle
/// that holds 68 % of a round normal distribution has this radius in standard deviations, `sqrt(-2 ln(1 - 0.68))`.
const DEVIATIONS_68: f64 = 1.509_592;
/// Steps of the minutes that are written: five decimals, 19 mm on the ground.
const STEPS_PER_DEGREE: f64 = 60.0 * 1e5;

/// The sentences for an answer, each with its line end; `None` without a position.
pub(super) fn of(talker: &str, answer: &Answer) -> Option<String> {
    let (lat, lon) = answer.position()?;
    let time = answer.time().map(|time| time.to_zoned(TimeZone::UTC).datetime());
    let clock = time.map(clock).unwrap_or_default();
    let date = time.map(date).unwrap_or_default();
    let place = format!("{},{}", coordinate(lat, 2, ['N', 'S']), coordinate(lon, 3, ['E', 'W']));
    let mut text = sentence(&format!("{talker}GGA,{clock},{place},6,00,,,M,,M,,"));
    text += &sentence(&format!("{talker}RMC,{clock},A,{place},,,{date},,,E"));
    if let Some(radius_m) = answer.radius_68_m {
        let deviation_m = radius_m / DEVIATIONS_68;
        text += &sentence(&format!("{talker}GST,{clock},,,,,{deviation_m:.2},{deviation_m:.2},"));
    }
    Some(text)
}

/// `hhmmss.ss`
fn clock(time: DateTime) -> String {
    let hundredths = time.subsec_nanosecond() / 10_000_000;
    format!("{:02}{:02}{:02}.{hundredths:02}", time.hour(), time.minute(), time.second())
}

/// `ddmmyy`
fn date(time: DateTime) -> String {
    format!("{:02}{:02}{:02}", time.day(), time.month(), time.year().rem_euclid(100))
}

/// Degrees and minutes with five decimals, and the hemisphere.
fn coordinate(degrees: f64, width: usize, [positive, negative]: [char; 2]) -> String {
    let hemisphere = if degrees < 0.0 { negative } else { positive };
    // Whole steps, so that 59.999999 minutes do not become 60.00000.
    let steps = (degrees.abs() * STEPS_PER_DEGREE).round() as u64;
    let (whole, rest) = (steps / 6_000_000, steps % 6_000_000);
    format!("{whole:0width$}{:02}.{:05},{hemisphere}", rest / 100_000, rest % 100_000)
}

/// `$...*hh` with the exclusive or of all bytes between.
fn sentence(body: &str) -> String {
    let sum = body.bytes().fold(0, |sum, byte| sum ^ byte);
    let mut text = format!("${body}");
    write!(text, "*{sum:02X}\r\n").ok();
    text
}

#[cfg(test)]
mod tests {
    use super::super::super::answer::tests::fix;
    use super::*;
    use nmea::ParseResult;
    use nmea::sentences::FixType;
    use serde_json::json;

    #[test]
    fn a_fix_is_two_sentences_and_a_radius_a_third() {
        let text = of("GP", &fix(&json!({}))).unwrap();
        let expected = [
            "$GPGGA,120000.25,3010.26977,N,09805.39313,W,6,00,,,M,,M,,",
            "$GPRMC,120000.25,A,3010.26977,N,09805.39313,W,,,310126,,,E",
        ];
        for (line, expected) in text.lines().zip(expected) {
            assert_eq!(line.split('*').next(), Some(expected));
        }
        assert_eq!(text.lines().count(), 2);
        let with_radius = of("GN", &fix(&json!({"radius_68_m": 15.1}))).unwrap();
        let third = with_radius.lines().nth(2).unwrap();
        assert!(third.starts_with("$GNGST,120000.25,,,,,10.00,10.00,*"), "{third}");
    }

    #[test]
    fn another_parser_reads_the_same() {
        let text = of("GP", &fix(&json!({"radius_68_m": 15.1}))).unwrap();
        let parsed: Vec<ParseResult> = text.lines().map(|line| nmea::parse_str(line).unwrap()).collect();
        let [ParseResult::GGA(gga), ParseResult::RMC(rmc), ParseResult::GST(gst)] = &parsed[..] else {
            panic!("expected GGA, RMC and GST, found {parsed:?}");
        };
        let near = |found: Option<f64>, expected: f64| (found.unwrap() - expected).abs() < 2e-7;
        assert!(near(gga.latitude, 30.1711628) && near(gga.longitude, -98.0898855));
        assert!(near(rmc.lat, 30.1711628) && near(rmc.lon, -98.0898855));
        assert_eq!((gga.fix_type, gga.altitude, gga.hdop), (Some(FixType::Estimated), None, None));
        assert_eq!((rmc.speed_over_ground, rmc.true_course), (None, None));
        assert_eq!((gst.lat_sd, gst.long_sd, gst.alt_sd), (Some(10.0), Some(10.0), None));
        assert_eq!(gga.fix_time, rmc.fix_time);
    }

    #[test]
    fn without_a_time_it_is_empty_and_without_a_position_nothing_is_said() {
        let text = of("GP", &fix(&json!({"captured_at": null}))).unwrap();
        assert!(text.starts_with("$GPGGA,,3010.26977,N,"), "{text}");
        assert_eq!(of("GP", &fix(&json!({"status": "no_fix", "lat": null}))), None);
    }

    #[test]
    fn minutes_never_reach_sixty() {
        assert_eq!(coordinate(29.999_999_999, 2, ['N', 'S']), "3000.00000,N");
        assert_eq!(coordinate(-0.5, 3, ['E', 'W']), "00030.00000,W");
        assert_eq!(coordinate(180.0, 3, ['E', 'W']), "18000.00000,E");
    }

    #[test]
    fn the_checksum_is_that_of_the_standard() {
        // An example of many manuals.
        let known = "GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,";
        assert_eq!(sentence(known), format!("${known}*47\r\n"));
    }
}
