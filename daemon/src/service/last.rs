//! The newest answer of each camera, for the retained topic `last`.

use std::collections::HashMap;

use serde::Deserialize;

/// Number of the daemon's start, and of the answer since then.
pub(super) type At = (u64, u64);

/// Newest answer per camera and whether the broker has it. Bounded by the number of cameras.
#[derive(Debug)]
pub(super) struct LastAnswers {
    cameras: usize,
    answers: HashMap<String, Answer>,
    /// The newest answers of earlier starts: the broker may have had them.
    known: HashMap<String, At>,
}

/// Names of frames in an answer.
#[derive(Debug, Default, Deserialize)]
struct Names {
    id: Option<String>,
    revises: Option<String>,
}

impl Names {
    fn read(payload: &[u8]) -> Self {
        serde_json::from_slice(payload).unwrap_or_default()
    }
}

#[derive(Debug)]
struct Answer {
    at: At,
    payload: Vec<u8>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    InFlight,
    Acknowledged,
}

impl LastAnswers {
    /// For at most `cameras` cameras; beyond, the one whose answer is oldest is forgotten. `known` are the newest answers
    /// of earlier starts, by camera.
    pub(super) fn new(cameras: usize, known: HashMap<String, At>) -> Self {
        Self { cameras, answers: HashMap::new(), known }
    }

    /// Takes an answer in if none newer is known for the camera. One that revises the answer for an earlier frame than the
    /// newest is older than that, whatever its number.
    pub(super) fn offer(&mut self, camera: &str, at: At, payload: &[u8]) {
        let newer = |known: &At| *known > at;
        let known = self.answers.get(camera);
        if known.is_some_and(|known| known.at >= at) || self.known.get(camera).is_some_and(newer) {
            return;
        }
        if let (Some(revised), Some(known)) = (Names::read(payload).revises, known)
            && Names::read(&known.payload).id.as_ref() != Some(&revised)
        {
            return;
        }
        self.known.remove(camera);
        let answer = Answer { at, payload: payload.to_vec(), state: State::Waiting };
        self.answers.insert(camera.to_owned(), answer);
        if self.answers.len() > self.cameras {
            let oldest = self.answers.iter().min_by_key(|(_, answer)| answer.at).map(|(camera, _)| camera.clone());
            oldest.and_then(|camera| self.answers.remove(&camera));
        }
    }

    /// A camera, the number of its answer, and the answer that the broker should get next, marked as being on its way.
    pub(super) fn send_next(&mut self) -> Option<(String, At, Vec<u8>)> {
        let (camera, answer) = self.answers.iter_mut().find(|(_, answer)| answer.state == State::Waiting)?;
        answer.state = State::InFlight;
        Some((camera.clone(), answer.at, answer.payload.clone()))
    }

    /// The broker has answered for this answer of the camera.
    pub(super) fn acknowledge(&mut self, camera: &str, at: At) {
        if let Some(answer) = self.answers.get_mut(camera).filter(|answer| answer.at == at) {
            answer.state = State::Acknowledged;
        }
    }

    /// The client could not take it just now.
    pub(super) fn give_back(&mut self, camera: &str) {
        if let Some(answer) = self.answers.get_mut(camera) {
            answer.state = State::Waiting;
        }
    }

    /// The connection is gone: the next broker, or the same without memory, gets all of them again.
    pub(super) fn connection_lost(&mut self) {
        for answer in self.answers.values_mut() {
            answer.state = State::Waiting;
        }
    }

    /// Whether the broker has all of them.
    pub(super) fn all_acknowledged(&self) -> bool {
        self.answers.values().all(|answer| answer.state == State::Acknowledged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_answer_never_replaces_a_newer_one() {
        let mut last = LastAnswers::new(4, HashMap::new());
        last.offer("a", (1, 2), b"two");
        last.offer("a", (1, 1), b"one");
        assert_eq!(last.send_next(), Some(("a".to_owned(), (1, 2), b"two".to_vec())));
        assert_eq!(last.send_next(), None);
    }

    #[test]
    fn an_acknowledgement_of_an_older_answer_leaves_the_newer_one_waiting() {
        let mut last = LastAnswers::new(4, HashMap::new());
        last.offer("a", (1, 1), b"one");
        last.send_next();
        last.offer("a", (1, 2), b"two");
        last.acknowledge("a", (1, 1));
        assert!(!last.all_acknowledged());
        assert_eq!(last.send_next().map(|sent| sent.1), Some((1, 2)));
        last.acknowledge("a", (1, 2));
        assert!(last.all_acknowledged());
        last.connection_lost();
        assert_eq!(last.send_next().map(|sent| sent.1), Some((1, 2)));
    }

    #[test]
    fn a_revision_replaces_the_answer_that_it_revises_and_not_one_for_a_later_frame() {
        let mut last = LastAnswers::new(4, HashMap::new());
        let (first, second) = (br#"{"id":"f1"}"#, br#"{"id":"f2"}"#);
        let revision = br#"{"id":"f1","revises":"f1"}"#;
        last.offer("a", (1, 1), first);
        last.offer("a", (1, 2), revision);
        assert_eq!(last.send_next(), Some(("a".to_owned(), (1, 2), revision.to_vec())));
        last.offer("a", (1, 3), second);
        last.offer("a", (1, 4), revision);
        assert_eq!(last.send_next(), Some(("a".to_owned(), (1, 3), second.to_vec())));
        let mut last = LastAnswers::new(4, HashMap::from([("a".to_owned(), (1, 2))]));
        last.offer("a", (1, 2), revision);
        assert_eq!(last.send_next().map(|sent| sent.1), Some((1, 2)), "the newest that is known from an earlier start");
    }

    #[test]
    fn cameras_are_bounded() {
        let mut last = LastAnswers::new(2, HashMap::new());
        for seq in 0..100 {
            last.offer(&format!("cam{seq}"), (1, seq), b"x");
        }
        assert_eq!(last.answers.len(), 2);
        assert!(last.answers.contains_key("cam99") && last.answers.contains_key("cam98"));
    }

    #[test]
    fn an_answer_of_an_earlier_start_is_offered_only_when_it_is_the_newest_known() {
        let known = HashMap::from([("a".to_owned(), (3, 9))]);
        let mut last = LastAnswers::new(4, known);
        last.offer("a", (3, 8), b"older");
        assert_eq!(last.send_next(), None);
        last.offer("a", (3, 9), b"newest");
        last.offer("a", (4, 1), b"of this start");
        assert_eq!(last.send_next().map(|sent| sent.1), Some((4, 1)));
        last.offer("a", (3, 9), b"again");
        assert_eq!(last.send_next(), None);
    }
}
