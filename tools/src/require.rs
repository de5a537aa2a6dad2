//! Requirements on figures: `recall.1.25>=0.85`.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;
use thiserror::Error;

/// How a figure is compared with its bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    AtLeast,
    AtMost,
    Equal,
    Above,
    Below,
}

/// Operators, the longer ones before those that they start with.
const OPERATORS: [(&str, Comparison); 5] = [
    (">=", Comparison::AtLeast),
    ("<=", Comparison::AtMost),
    ("==", Comparison::Equal),
    (">", Comparison::Above),
    ("<", Comparison::Below),
];

/// A condition on one number of a report: a dotted path, an operator (`>=`, `<=`, `==`, `>`, `<`) and a number.
#[derive(Debug, Clone, PartialEq)]
pub struct Requirement {
    path: String,
    comparison: Comparison,
    bound: f64,
}

/// Why a requirement could not be looked up.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum RequireError {
    /// Nothing stands under the path.
    #[error("requirement {requirement}: the report has no {path:?}, found {available}")]
    NoSuchPath {
        /// The requirement.
        requirement: String,
        /// Its path.
        path: String,
        /// The keys at the deepest place that the path reaches.
        available: String,
    },
    /// Something other than a number stands there.
    #[error("requirement {requirement}: expected a number under {path:?}, found {found}")]
    NotANumber {
        /// The requirement.
        requirement: String,
        /// Its path.
        path: String,
        /// What stands there.
        found: String,
    },
}

/// What became of a requirement.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Check {
    /// The figure of the report.
    pub found: f64,
    /// Whether the condition holds.
    pub holds: bool,
}

impl FromStr for Requirement {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("found {text:?}, expected a path, one of >= <= == > <, and a number: recall.1.25>=0.85");
        let operator = |&(sign, comparison): &(&'static str, Comparison)| Some((text.find(sign)?, sign, comparison));
        // The first operator in the text; of two that start at the same place, the longer one.
        let (at, sign, comparison) =
            OPERATORS.iter().filter_map(operator).min_by_key(|(at, ..)| *at).ok_or_else(wrong)?;
        let (path, rest) = text.split_at_checked(at).ok_or_else(wrong)?;
        let bound = rest.strip_prefix(sign).and_then(|number| number.trim().parse::<f64>().ok());
        let (path, bound) = (path.trim(), bound.filter(|bound| bound.is_finite()).ok_or_else(wrong)?);
        if path.is_empty() || path.contains(['<', '>', '=']) {
            return Err(wrong());
        }
        Ok(Self { path: path.to_owned(), comparison, bound })
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = OPERATORS.iter().find(|(_, comparison)| *comparison == self.comparison).map_or("", |(sign, _)| sign);
        write!(f, "{}{sign}{}", self.path, self.bound)
    }
}

impl Requirement {
    /// Looks the figure up in a report and compares it.
    ///
    /// A key that holds dots itself is found too: at each level the longest key that fits is tried first.
    ///
    /// # Errors
    /// Nothing, or no number, stands under the path.
    pub fn check(&self, report: &Value) -> Result<Check, RequireError> {
        let (requirement, path) = (self.to_string(), self.path.clone());
        let value = match resolve(report, &self.path) {
            Ok(value) => value,
            Err(available) => return Err(RequireError::NoSuchPath { requirement, path, available }),
        };
        let Some(found) = value.as_f64() else {
            let found = match value {
                Value::Object(map) => format!("an object with {}", keys(map)),
                other => other.to_string(),
            };
            return Err(RequireError::NotANumber { requirement, path, found });
        };
        let holds = match self.comparison {
            Comparison::AtLeast => found >= self.bound,
            Comparison::AtMost => found <= self.bound,
            #[expect(clippy::float_cmp, reason = "the user asks for equality")]
            Comparison::Equal => found == self.bound,
            Comparison::Above => found > self.bound,
            Comparison::Below => found < self.bound,
        };
        Ok(Check { found, holds })
    }
}

fn keys(map: &serde_json::Map<String, Value>) -> String {
    map.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// The value under a dotted path, or the keys at the place where the path ends too early.
fn resolve<'a>(value: &'a Value, path: &str) -> Result<&'a Value, String> {
    let Value::Object(map) = value else { return Err(value.to_string()) };
    if let Some(found) = map.get(path) {
        return Ok(found);
    }
    let mut deepest = None;
    for (at, _) in path.rmatch_indices('.') {
        let Some((key, rest)) = path.split_at_checked(at) else { continue };
        let Some(inner) = map.get(key) else { continue };
        match resolve(inner, rest.trim_start_matches('.')) {
            Ok(found) => return Ok(found),
            Err(available) => deepest = deepest.or(Some(available)),
        }
    }
    Err(deepest.unwrap_or_else(|| keys(map)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn report() -> Value {
        json!({"queries": 37, "recall": {"1": {"25": 0.875, "2.5": 0.5}}, "by": {"flight": {"a.b": {"n": 3}}},
               "distance": "haversine"})
    }

    fn check(text: &str) -> Result<Check, RequireError> {
        text.parse::<Requirement>().expect("a requirement").check(&report())
    }

    #[test]
    fn every_operator_compares_as_it_reads() {
        for (text, holds) in [
            ("recall.1.25>=0.875", true),
            ("recall.1.25>=0.876", false),
            ("recall.1.25 <= 0.875", true),
            ("recall.1.25<0.875", false),
            ("recall.1.25>0.8", true),
            ("queries==37", true),
            ("queries==38", false),
            ("queries>-1e3", true),
        ] {
            assert_eq!(check(text).expect("a figure").holds, holds, "{text}");
        }
        assert_eq!(check("queries>0").expect("a figure").found, 37.0);
    }

    #[test]
    fn keys_with_dots_are_found() {
        assert_eq!(check("recall.1.2.5>=0").expect("a figure").found, 0.5);
        assert_eq!(check("by.flight.a.b.n==3").expect("a figure").found, 3.0);
    }

    #[test]
    fn an_unknown_path_lists_the_keys_where_it_ends() {
        let message = check("recall.1.30>=0").expect_err("no such path").to_string();
        assert!(message.contains("25, 2.5") || message.contains("2.5, 25"), "{message}");
        let message = check("recal.1.25>=0").expect_err("no such path").to_string();
        assert!(message.contains("queries") && message.contains("recall"), "{message}");
        assert!(matches!(check("recall.1>=0"), Err(RequireError::NotANumber { .. })));
        assert!(matches!(check("distance>=0"), Err(RequireError::NotANumber { .. })));
        assert!(matches!(check("queries.x>=0"), Err(RequireError::NoSuchPath { .. })));
    }

    #[test]
    fn what_is_no_requirement_is_refused() {
        for text in ["", "recall", ">=1", "recall.1.25>=", "recall.1.25>=x", "recall.1.25=>1", "a>=NaN", "a>=inf"] {
            assert!(text.parse::<Requirement>().is_err(), "{text}");
        }
        assert_eq!("a.b <= 5".parse::<Requirement>().expect("good").to_string(), "a.b<=5");
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused_without_a_panic(text: String) {
            if let Ok(requirement) = text.parse::<Requirement>() {
                let _ = requirement.check(&report());
            }
        }
    }
}
