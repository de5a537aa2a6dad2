//! What a camera wrote beside the pixels: orientation, time, heading, position.

use exif::{DateTime, Exif, In, Rational, Reader, Tag, Value};
use jiff::civil::date;
use jiff::tz::Offset;
use std::io::Cursor;
use std::panic::catch_unwind;

/// The EXIF tags that matter here. Absent and damaged tags are both absent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExifTags {
    /// How the stored pixels must be turned to stand upright, 1..=8; 1 (as stored) when not said.
    pub orientation: u8,
    /// Capture time in Unix milliseconds, only when UTC is known: from GPS date and time, else from the original date
    /// and time with its UTC offset.
    pub captured_at_ms: Option<i64>,
    /// Direction of view in degrees clockwise from true north, 0..360. A direction that is stated as magnetic is
    /// absent, because the declination is not known; one without a statement is taken as true.
    pub heading_deg: Option<f32>,
    /// Position of the camera.
    pub position: Option<ExifPosition>,
}

/// A position from EXIF.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExifPosition {
    /// WGS 84 latitude in degrees, -90..=90.
    pub lat_deg: f64,
    /// WGS 84 longitude in degrees, -180..=180.
    pub lon_deg: f64,
    /// Altitude in metres, as the camera states it (EXIF says above sea level, many cameras mean the ellipsoid).
    pub alt_m: Option<f32>,
}

/// Altitudes beyond this are not from a camera on Earth.
const MAX_ALTITUDE_M: f64 = 100_000.0;

impl ExifTags {
    const ABSENT: Self = Self { orientation: 1, captured_at_ms: None, heading_deg: None, position: None };

    /// Reads the tags of a JPEG, PNG or WebP. Never fails: what cannot be read is absent. A rational with a zero
    /// denominator, a position without hemispheres, out of range or at exactly (0, 0) is absent too.
    #[must_use]
    pub fn read(encoded: &[u8]) -> Self {
        catch_unwind(|| parse(encoded).map_or(Self::ABSENT, |exif| Self::from_exif(&exif))).unwrap_or(Self::ABSENT)
    }

    fn from_exif(exif: &Exif) -> Self {
        Self {
            orientation: orientation(exif).unwrap_or(1),
            captured_at_ms: gps_time_ms(exif).or_else(|| original_time_ms(exif)),
            heading_deg: heading_deg(exif),
            position: position(exif),
        }
    }
}

/// The tags that could be parsed, also when others could not.
fn parse(encoded: &[u8]) -> Option<Exif> {
    let mut reader = Reader::new();
    reader.continue_on_error(true);
    let read = reader.read_from_container(&mut Cursor::new(encoded));
    read.or_else(|error| error.distill_partial_result(|_| {})).ok()
}

fn orientation(exif: &Exif) -> Option<u8> {
    let value = exif.get_field(Tag::Orientation, In::PRIMARY)?.value.get_uint(0)?;
    u8::try_from(value).ok().filter(|value| (1..=8).contains(value))
}

/// The first text of `tag`.
fn ascii(exif: &Exif, tag: Tag) -> Option<&[u8]> {
    match &exif.get_field(tag, In::PRIMARY)?.value {
        Value::Ascii(texts) => texts.first().map(Vec::as_slice),
        _ => None,
    }
}

/// The rationals of `tag`.
fn rationals(exif: &Exif, tag: Tag) -> Option<&[Rational]> {
    match &exif.get_field(tag, In::PRIMARY)?.value {
        Value::Rational(values) => Some(values),
        _ => None,
    }
}

fn number(value: &Rational) -> Option<f64> {
    (value.denom != 0).then(|| value.to_f64())
}

/// `a + b / 60 + c / 3600` of exactly three rationals.
fn sexagesimal(exif: &Exif, tag: Tag) -> Option<f64> {
    let [whole, minutes, seconds] = rationals(exif, tag)? else { return None };
    Some(number(whole)? + number(minutes)? / 60.0 + number(seconds)? / 3600.0)
}

/// A coordinate with the sign of its hemisphere.
fn coordinate_deg(exif: &Exif, tag: Tag, hemisphere: Tag, [positive, negative]: [u8; 2]) -> Option<f64> {
    let degrees = sexagesimal(exif, tag)?;
    match ascii(exif, hemisphere)?.first()?.to_ascii_uppercase() {
        letter if letter == positive => Some(degrees),
        letter if letter == negative => Some(-degrees),
        _ => None,
    }
}

fn position(exif: &Exif) -> Option<ExifPosition> {
    let lat_deg = coordinate_deg(exif, Tag::GPSLatitude, Tag::GPSLatitudeRef, [b'N', b'S'])?;
    let lon_deg = coordinate_deg(exif, Tag::GPSLongitude, Tag::GPSLongitudeRef, [b'E', b'W'])?;
    let is_on_earth = (-90.0..=90.0).contains(&lat_deg) && (-180.0..=180.0).contains(&lon_deg);
    let is_unset = lat_deg == 0.0 && lon_deg == 0.0;
    (is_on_earth && !is_unset).then(|| ExifPosition { lat_deg, lon_deg, alt_m: altitude_m(exif) })
}

fn altitude_m(exif: &Exif) -> Option<f32> {
    let metres = number(rationals(exif, Tag::GPSAltitude)?.first()?)?;
    let reference = exif.get_field(Tag::GPSAltitudeRef, In::PRIMARY).and_then(|field| field.value.get_uint(0));
    // 0 and 2: above sea level, above the ellipsoid; 1 and 3: below (EXIF 3.0).
    let is_below = matches!(reference, Some(1 | 3));
    let signed = if is_below { -metres } else { metres };
    (signed.abs() <= MAX_ALTITUDE_M).then_some(signed as f32)
}

fn heading_deg(exif: &Exif) -> Option<f32> {
    let is_true_north = match ascii(exif, Tag::GPSImgDirectionRef) {
        None => true,
        Some(text) => text.first().is_none_or(|letter| letter.eq_ignore_ascii_case(&b'T')),
    };
    let degrees = number(rationals(exif, Tag::GPSImgDirection)?.first()?)?;
    let is_direction = is_true_north && (0.0..=360.0).contains(&degrees);
    is_direction.then_some((degrees % 360.0) as f32)
}

/// Unix milliseconds of GPSDateStamp and GPSTimeStamp, which are UTC.
fn gps_time_ms(exif: &Exif) -> Option<i64> {
    let text = ascii(exif, Tag::GPSDateStamp)?;
    let day = DateTime::from_ascii(&[text.trim_ascii_end(), b" 00:00:00"].concat()).ok()?;
    let [hour, minute, second] = rationals(exif, Tag::GPSTimeStamp)? else { return None };
    let (hour, minute, second) = (number(hour)?, number(minute)?, number(second)?);
    let in_range = hour < 24.0 && minute < 60.0 && second < 61.0;
    let since_midnight_ms = ((hour * 3600.0 + minute * 60.0 + second) * 1000.0).round() as i64;
    in_range.then_some(unix_ms(&day, 0)?.checked_add(since_midnight_ms)?)
}

/// Unix milliseconds of DateTimeOriginal, when it brings its offset from UTC.
fn original_time_ms(exif: &Exif) -> Option<i64> {
    let mut time = DateTime::from_ascii(ascii(exif, Tag::DateTimeOriginal)?).ok()?;
    let offset = ascii(exif, Tag::OffsetTimeOriginal).or_else(|| ascii(exif, Tag::OffsetTime))?;
    time.parse_offset(offset).ok()?;
    if let Some(fraction) = ascii(exif, Tag::SubSecTimeOriginal) {
        // Damaged fractions of a second leave the second as it is.
        let _ = time.parse_subsec(fraction);
    }
    unix_ms(&time, i32::from(time.offset?))
}

/// Unix milliseconds of a civil time that is `offset_minutes` ahead of UTC.
fn unix_ms(time: &DateTime, offset_minutes: i32) -> Option<i64> {
    let small = |value: u8| i8::try_from(value).ok();
    let day = jiff::civil::Date::new(i16::try_from(time.year).ok()?, small(time.month)?, small(time.day)?).ok()?;
    let nanosecond = i32::try_from(time.nanosecond.unwrap_or(0)).ok()?;
    let clock = jiff::civil::Time::new(small(time.hour)?, small(time.minute)?, small(time.second)?, nanosecond).ok()?;
    let offset = Offset::from_seconds(offset_minutes.checked_mul(60)?).ok()?;
    let is_camera_age = day >= date(1980, 1, 6);
    is_camera_age.then_some(offset.to_timestamp(day.to_datetime(clock)).ok()?.as_millisecond())
}
