//! The different roles of a build's rows, each once.

use std::collections::{BTreeMap, HashMap};

/// Names of roles by number. 0 stands for no role; the names have 1, 2, ... in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct RoleNames {
    names: Vec<String>,
    numbers: HashMap<String, u32>,
}

impl RoleNames {
    /// The number of a role, which is new or known.
    pub(super) fn number(&mut self, role: Option<&str>) -> u32 {
        let Some(role) = role else { return 0 };
        if let Some(number) = self.numbers.get(role) {
            return *number;
        }
        self.names.push(role.to_owned());
        let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.numbers.insert(role.to_owned(), number);
        number
    }

    /// For each number, whether its role is one of these; 0 is none of them.
    pub(super) fn among(&self, roles: &[&str]) -> Vec<bool> {
        std::iter::once(false).chain(self.names.iter().map(|name| roles.contains(&name.as_str()))).collect()
    }

    /// The names of those that occur, with how often, from the counts by number.
    pub(super) fn counted<'a>(&'a self, counts: &[usize]) -> BTreeMap<&'a str, usize> {
        let counts = counts.iter().skip(1).copied();
        self.names.iter().map(String::as_str).zip(counts).filter(|(_, count)| *count > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_numbered_as_they_come() {
        let mut names = RoleNames::default();
        let numbers = [Some("query"), None, Some("reference"), Some("query")].map(|role| names.number(role));
        assert_eq!(numbers, [1, 0, 2, 1]);
        assert_eq!(names.among(&["reference", "outside"]), [false, false, true]);
        assert_eq!(names.counted(&[5, 2, 0]), BTreeMap::from([("query", 2)]));
    }
}
