//! Names and paths that others gave: which may become files here.

use std::path::{Component, Path};

/// Longest name of a folder or of one half of a repository.
const MAX_NAME_BYTES: usize = 96;
/// Longest path of a file in a repository.
const MAX_PATH_BYTES: usize = 512;

/// Whether a name can be that of a model's folder: letters, digits, `.`, `_` and `-`, no dot first.
pub fn is_folder_name(name: &str) -> bool {
    let plain = |letter: u8| letter.is_ascii_alphanumeric() || matches!(letter, b'.' | b'_' | b'-');
    (1..=MAX_NAME_BYTES).contains(&name.len()) && !name.starts_with(['.', '-']) && name.bytes().all(plain)
}

/// Whether this is `ORG/NAME`.
pub fn is_repository(repo: &str) -> bool {
    repo.split_once('/').is_some_and(|(organisation, name)| is_folder_name(organisation) && is_folder_name(name))
}

/// Whether this names a branch, a tag or a commit: no empty or dotted steps, nothing but plain letters.
pub fn is_revision(revision: &str) -> bool {
    revision.len() <= MAX_PATH_BYTES && revision.split('/').all(is_folder_name)
}

/// Whether a path stays inside the folder that it is relative to, on every system and however it is read.
pub fn is_inner_path(path: &str) -> bool {
    let inner = Path::new(path).components().all(|step| matches!(step, Component::Normal(_)));
    let plain = !path.chars().any(|letter| letter.is_control() || letter == '\\');
    let whole = !path.split('/').any(|step| matches!(step, "" | "." | ".."));
    plain && whole && inner && path.len() <= MAX_PATH_BYTES
}

/// Whether this is a SHA-256: 64 lower-case hexadecimal digits.
pub fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether a path fits a pattern, in which `*` stands for anything and `?` for one character.
pub fn fits(path: &str, pattern: &str) -> bool {
    let (path, pattern): (Vec<char>, Vec<char>) = (path.chars().collect(), pattern.chars().collect());
    let (mut at, mut step) = (0, 0);
    // Where the last star stands, and how far it reaches.
    let mut star: Option<(usize, usize)> = None;
    while at < path.len() {
        match (pattern.get(step), path.get(at)) {
            (Some('*'), _) => {
                star = Some((step, at));
                step += 1;
            }
            (Some(wanted), Some(found)) if *wanted == '?' || wanted == found => {
                step += 1;
                at += 1;
            }
            _ => match &mut star {
                Some((star_step, reach)) => {
                    *reach += 1;
                    (step, at) = (*star_step + 1, *reach);
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(step).all(|left| *left == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside() {
        for good in ["config.json", "a/b/c.safetensors", "a.b", "ünicode.json", "..a", "a..b/c"] {
            assert!(is_inner_path(good), "{good}");
        }
        for bad in ["", ".", "..", "../a", "a/../b", "/etc/passwd", "a//b", "a/", "./a", "a\\..\\b", "a\nb", "a\0b"] {
            assert!(!is_inner_path(bad), "{bad:?}");
        }
        assert!(!is_inner_path(&"a/".repeat(300)));
    }

    #[test]
    fn repositories_have_an_organisation_and_a_name() {
        for good in ["google/siglip-base-patch16-224", "a/b.c_d-e"] {
            assert!(is_repository(good), "{good}");
        }
        for bad in ["gpt2", "a/b/c", "../b", "a/..", "a/", "/b", "a b/c", "a/b?x", "-a/b", ""] {
            assert!(!is_repository(bad), "{bad}");
        }
    }

    #[test]
    fn revisions_are_plain() {
        for good in ["main", "refs/pr/12", "v1.0", "7fd15f0689c79d79e38b1c2e2e2370a7bf2761ed"] {
            assert!(is_revision(good), "{good}");
        }
        for bad in ["", "a/../b", "a b", "a?b", "a#b", "/a", ".a"] {
            assert!(!is_revision(bad), "{bad}");
        }
    }

    #[test]
    fn patterns_have_stars_and_question_marks() {
        for (path, pattern) in [
            ("config.json", "config.json"),
            ("model-00001-of-00002.safetensors", "model-?????-of-*.safetensors"),
            ("a/b/c.json", "*.json"),
            ("abcabd", "*abd"),
            ("", "*"),
            ("a", "a*"),
        ] {
            assert!(fits(path, pattern), "{path} {pattern}");
        }
        for (path, pattern) in [("config.json", "*.toml"), ("a", ""), ("", "?"), ("ab", "a"), ("a", "a?")] {
            assert!(!fits(path, pattern), "{path} {pattern}");
        }
    }
}
