//! Photos and users that a gallery must not hold, since they are among the queries.

use std::collections::HashSet;
use std::path::PathBuf;

use super::table::{Form, Table};

/// Photos and their owners, by the columns `photo` and `user` of poses CSVs. Takes memory for each; test sets are small.
#[derive(Debug, Default)]
pub(super) struct Without {
    photos: HashSet<String>,
    users: HashSet<String>,
}

impl Without {
    /// # Errors
    /// A file cannot be read or has neither column.
    pub(super) fn read(paths: &[PathBuf]) -> anyhow::Result<Self> {
        let mut without = Self::default();
        for path in paths {
            let mut table = Table::open(path, Form::Csv)?;
            let (photo, user) = (table.find(&["photo"]), table.find(&["user"]));
            if photo.is_none() && user.is_none() {
                table.column(&["photo", "user"])?;
            }
            while let Some(row) = table.next_row()? {
                let Ok(fields) = row else { continue };
                for (set, text) in
                    [(&mut without.photos, fields.optional(photo)), (&mut without.users, fields.optional(user))]
                {
                    if !text.is_empty() && !set.contains(text) {
                        set.insert(text.to_owned());
                    }
                }
            }
        }
        Ok(without)
    }

    /// One word for why a row must not be in the gallery.
    pub(super) fn reason(&self, photo: &str, user: &str) -> Option<&'static str> {
        if !photo.is_empty() && self.photos.contains(photo) {
            Some("same_photo")
        } else if !user.is_empty() && self.users.contains(user) {
            Some("same_user")
        } else {
            None
        }
    }
}
