//! What names of Flickr's photos say: which photo, and whose.

use super::{after_last, last_part, stem};

/// Number of the photo and its owner, as far as the name tells: `PHOTO_SECRET_SERVER_USER@N00.jpg`, perhaps with a place
/// before it, as in IM2GPS, or `PHOTO.jpg`, as in YFCC100M. Empty texts where it does not.
pub(super) fn photo_and_user(name: &str) -> (&str, &str) {
    let name = stem(last_part(name));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if name.as_bytes().contains(&b'@') {
        let mut parts = name.rsplit('_');
        let (user, _server, _secret) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
        let photo = parts.next().unwrap_or_default();
        return (if is_number(photo) { photo } else { "" }, user);
    }
    let photo = after_last(name, b'_');
    (if is_number(photo) { photo } else { "" }, "")
}

/// A name of IM2GPS's pictures as the tables have it, without the place and the number that the pictures carry before
/// it: `Rome_00024_231521295_7a9a5b2d3f_87_12345678@N00.jpg`.
pub(super) fn without_place(name: &str) -> Option<&str> {
    let is_count = |text: &str| text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    let mut rest = name;
    while let Some((part, after)) = rest.split_once('_') {
        if is_count(part) && rest.len() < name.len() {
            return Some(after);
        }
        rest = after;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn photo_and_user_stand_in_the_name() {
        for (name, expected) in [
            ("104123223_7410c654ba_19_19355699@N00.jpg", ("104123223", "19355699@N00")),
            ("Rome_00024_231521295_7a9a_87_1@N00.jpg", ("231521295", "1@N00")),
            ("48/0f/5165333402.jpg", ("5165333402", "")),
            ("48_0f_5165333402.jpg", ("5165333402", "")),
            ("holiday.jpg", ("", "")),
        ] {
            assert_eq!(photo_and_user(name), expected, "{name}");
        }
    }

    #[test]
    fn the_place_before_a_name_is_taken_off_once() {
        assert_eq!(without_place("Rome_00024_231521295_7a_87_1@N00.jpg"), Some("231521295_7a_87_1@N00.jpg"));
        assert_eq!(without_place("NewYorkCity_00007_12345_7a_87_1@N00.jpg"), Some("12345_7a_87_1@N00.jpg"));
        assert_eq!(without_place("12345_7a_87_1@N00.jpg"), None, "a photo may have a number of five digits");
    }
}
