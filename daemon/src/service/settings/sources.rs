//! `[[source]]`: where frames come from besides MQTT.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::SettingsError;
use super::validation::Validation;

/// One source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceSettings {
    /// Camera's name in topics and fixes.
    pub camera: String,
    /// Where its pictures come from.
    pub input: SourceInput,
}

/// Where a source's pictures come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceInput {
    /// Files that appear in a folder.
    Folder(FolderSettings),
    /// What a command writes.
    Command(CommandSettings),
}

/// A watched folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderSettings {
    /// The folder.
    pub path: PathBuf,
    /// What becomes of files that were taken or passed over.
    pub after: After,
    /// How often all of the folder is looked at.
    pub poll: Duration,
    /// What stands for the capture time of a picture that does not tell it.
    pub time: FrameTime,
}

/// What becomes of files that were taken or passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum After {
    /// They stay.
    Keep,
    /// They are removed.
    Remove,
    /// They are moved to this folder.
    Move(PathBuf),
}

/// What stands for the capture time of a picture whose EXIF tags do not tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FrameTime {
    /// Nothing.
    Exif,
    /// The time of the file; what is older than a frame may be is dropped.
    File,
    /// The time at which it was taken from the folder.
    Arrival,
}

/// A command whose output is MJPEG.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandSettings {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Without a picture for this long it is started again.
    pub silent: Duration,
}

impl CommandSettings {
    /// The program, by its path or its name on the path.
    pub fn program(&self) -> &str {
        self.command.first().map_or("", String::as_str)
    }

    /// What it is given.
    pub fn arguments(&self) -> &[String] {
        self.command.get(1..).unwrap_or_default()
    }
}

/// As it is written. Which keys may be there depends on `kind`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SourceSection {
    camera: String,
    kind: SourceKind,
    path: Option<PathBuf>,
    after: Option<AfterWord>,
    move_to: Option<PathBuf>,
    poll_s: Option<f64>,
    time: Option<FrameTime>,
    command: Option<Vec<String>>,
    silent_s: Option<f64>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum SourceKind {
    Folder,
    Command,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum AfterWord {
    Keep,
    Remove,
    Move,
}

const POLL_S: f64 = 2.0;
const SILENT_S: f64 = 30.0;

impl Validation<'_> {
    pub(super) fn sources(
        &self,
        sections: &[SourceSection],
        most: usize,
    ) -> Result<Vec<SourceSettings>, SettingsError> {
        if sections.len() > most {
            let expected = format!("expected at most frames.max_cameras of them, {most}, found {}", sections.len());
            return Err(self.document.refuse("source", expected));
        }
        let mut cameras = BTreeSet::new();
        let mut sources = Vec::new();
        for (index, section) in sections.iter().enumerate() {
            let at = Section { validation: self, index };
            self.level(&at.key("camera"), &section.camera)?;
            if !cameras.insert(&section.camera) {
                let expected = format!("expected one source per camera, found \"{}\" twice", section.camera);
                return Err(at.refuse("camera", expected));
            }
            let input = match section.kind {
                SourceKind::Folder => SourceInput::Folder(at.folder(section)?),
                SourceKind::Command => SourceInput::Command(at.command(section)?),
            };
            sources.push(SourceSettings { camera: section.camera.clone(), input });
        }
        Ok(sources)
    }
}

/// One section among those of its name.
struct Section<'a> {
    validation: &'a Validation<'a>,
    index: usize,
}

impl Section<'_> {
    fn key(&self, key: &str) -> String {
        format!("source[{}].{key}", self.index)
    }

    fn refuse(&self, key: &str, message: String) -> SettingsError {
        self.validation.document.refuse(&self.key(key), message)
    }

    /// Keys that have no meaning for a kind of source.
    fn refuse_all(&self, kind: &str, keys: &[(&str, bool)]) -> Result<(), SettingsError> {
        match keys.iter().find(|(_, said)| *said) {
            Some((key, _)) => Err(self.refuse(key, format!("a source of kind \"{kind}\" has no such key"))),
            None => Ok(()),
        }
    }

    fn folder(&self, section: &SourceSection) -> Result<FolderSettings, SettingsError> {
        let others = [("command", section.command.is_some()), ("silent_s", section.silent_s.is_some())];
        self.refuse_all("folder", &others)?;
        let Some(path) = &section.path else { return Err(self.refuse("path", "expected a folder".to_owned())) };
        let path = self.validation.path(path);
        let after = match (section.after.unwrap_or(AfterWord::Keep), &section.move_to) {
            (AfterWord::Keep, None) => After::Keep,
            (AfterWord::Remove, None) => After::Remove,
            (AfterWord::Move, Some(to)) => After::Move(self.validation.path(to)),
            (AfterWord::Move, None) => {
                return Err(self.refuse("after", "expected move_to, a folder, beside \"move\"".to_owned()));
            }
            (_, Some(_)) => return Err(self.refuse("move_to", "expected with after = \"move\" alone".to_owned())),
        };
        if after == After::Move(path.clone()) {
            return Err(self.refuse("move_to", "expected another folder than path".to_owned()));
        }
        let poll_s = section.poll_s.unwrap_or(POLL_S);
        let poll_s = self.validation.within(&self.key("poll_s"), poll_s, 0.1, 3600.0)?;
        let time = section.time.unwrap_or(FrameTime::File);
        Ok(FolderSettings { path, after, poll: Duration::from_secs_f64(poll_s), time })
    }

    fn command(&self, section: &SourceSection) -> Result<CommandSettings, SettingsError> {
        let others = [
            ("path", section.path.is_some()),
            ("after", section.after.is_some()),
            ("move_to", section.move_to.is_some()),
            ("poll_s", section.poll_s.is_some()),
            ("time", section.time.is_some()),
        ];
        self.refuse_all("command", &others)?;
        let command = section.command.clone().unwrap_or_default();
        let is_bad = |part: &String| part.contains('\0');
        if command.first().is_none_or(String::is_empty) || command.iter().any(is_bad) {
            let expected = "expected a program and its arguments: [\"ffmpeg\", \"-i\", ...]".to_owned();
            return Err(self.refuse("command", expected));
        }
        let silent_s = section.silent_s.unwrap_or(SILENT_S);
        let silent_s = self.validation.within(&self.key("silent_s"), silent_s, 1.0, 86_400.0)?;
        Ok(CommandSettings { command, silent: Duration::from_secs_f64(silent_s) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::Settings;

    fn load(sources: &str) -> Result<Vec<SourceSettings>, String> {
        let dir = tempfile::tempdir().unwrap();
        for file in ["a.shard", "model.toml"] {
            std::fs::write(dir.path().join(file), "").unwrap();
        }
        let text = format!(
            "[device]\nsite = \"s\"\nname = \"d\"\nstate_dir = \"state\"\n[mqtt]\nurl = \"mqtt://h\"\n[index]\n\
             shards = [\"a.shard\"]\n[models]\nencoder = \"model.toml\"\n{sources}"
        );
        let path = dir.path().join("settings.toml");
        std::fs::write(&path, text).unwrap();
        Settings::load(&path, []).map(|settings| settings.sources).map_err(|error| error.to_string())
    }

    #[test]
    fn folders_and_commands_are_read() {
        let text = "[[source]]\ncamera = \"nadir\"\nkind = \"folder\"\npath = \"/in\"\nafter = \"move\"\nmove_to = \"/done\"\n\
                    [[source]]\ncamera = \"front\"\nkind = \"command\"\ncommand = [\"ffmpeg\", \"-\"]\nsilent_s = 5\n";
        let sources = load(text).unwrap();
        let folder = FolderSettings {
            path: PathBuf::from("/in"),
            after: After::Move(PathBuf::from("/done")),
            poll: Duration::from_secs(2),
            time: FrameTime::File,
        };
        assert_eq!(sources[0], SourceSettings { camera: "nadir".to_owned(), input: SourceInput::Folder(folder) });
        let SourceInput::Command(command) = &sources[1].input else { panic!("expected a command") };
        assert_eq!((command.program(), command.arguments()), ("ffmpeg", &["-".to_owned()][..]));
        assert_eq!(command.silent, Duration::from_secs(5));
    }

    #[test]
    fn what_a_source_cannot_be_is_named_with_its_line() {
        let head = "[[source]]\ncamera = \"nadir\"\n";
        for (more, line, part) in [
            ("kind = \"magic\"\n", 13, "source[0].kind: unknown variant `magic`, expected `folder` or `command`"),
            ("kind = \"folder\"\n", 11, "source[0].path: expected a folder"),
            (
                "kind = \"folder\"\npath = \"/in\"\nsilent_s = 1\n",
                15,
                "source[0].silent_s: a source of kind \"folder\"",
            ),
            ("kind = \"folder\"\npath = \"/in\"\nafter = \"move\"\n", 15, "source[0].after: expected move_to"),
            ("kind = \"folder\"\npath = \"/in\"\npoll_s = 0\n", 15, "source[0].poll_s: expected a number within 0.1"),
            ("kind = \"command\"\ncommand = []\n", 14, "source[0].command: expected a program"),
            ("kind = \"command\"\ncommand = \"ffmpeg -i x\"\n", 14, "source[0].command: invalid type: string"),
            (
                "kind = \"command\"\ncommand = [\"a\"]\n[[source]]\ncamera = \"nadir\"\nkind = \"folder\"\n",
                16,
                "source[1].camera: expected one source per camera",
            ),
        ] {
            let error = load(&format!("{head}{more}")).unwrap_err();
            assert!(error.contains(&format!("settings.toml:{line}: {part}")), "{error}");
        }
    }
}
