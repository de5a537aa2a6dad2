//! What operators ask of a running device, and the answers.

use rumqttc::v5::mqttbytes::v5::PublishProperties;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Topics;
use super::generations::{Answer, Order};
use super::outbox::{Done, SeqRange};
use super::topics::InboundTopic;

/// All commands.
const VERBS: [&str; 7] = ["activate", "doctor", "flush", "locate", "reload", "resend", "rollback"];
/// Bytes of the `id` that a command may bear.
const MOST_ID_BYTES: usize = 128;

/// A command that can be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    /// Make everything durable and send what waits, now.
    Flush,
    /// Send fixes of the log again.
    Resend(SeqRange),
    /// What other threads do.
    Order(Order),
}

/// Who asked, and where the answer goes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Asker {
    verb: String,
    id: Option<String>,
    /// Topic of the answer.
    pub(super) topic: String,
    /// Properties of the answer.
    pub(super) properties: PublishProperties,
}

/// Why a command was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Refusal {
    UnknownCommand,
    BadRequest,
    /// More fixes than are sent again at a time.
    TooMany,
    /// Too many commands at a time.
    Busy,
    DiskFailing,
    /// The settings do not provide for it.
    NotConfigured,
    /// There is no such generation.
    NoGeneration,
    /// The generation does not hold; what served before serves.
    GenerationRefused,
    /// The shards do not hold; what served before serves.
    IndexRefused,
    /// The picture cannot be worked on.
    PictureRefused,
}

#[derive(Debug, Serialize)]
struct Reply<'a> {
    v: u32,
    command: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    resending: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Refusal>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(flatten)]
    more: Option<&'a Map<String, Value>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlainRequest {
    id: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ActivateRequest {
    id: Option<String>,
    counter: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ResendRequest {
    id: Option<String>,
    boot: u64,
    from_seq: u64,
    to_seq: u64,
}

impl Command {
    /// Reads a command, and the id that its answer bears.
    ///
    /// # Errors
    /// Why it is none, as an enumerated word and a sentence.
    pub(super) fn read(verb: &str, payload: &[u8]) -> Result<(Self, Option<String>), (Refusal, String)> {
        let bad = |error: serde_json::Error| (Refusal::BadRequest, error.to_string());
        let (command, id) = match verb {
            "flush" => (Self::Flush, plain(payload)?),
            "rollback" => (Self::Order(Order::Rollback), plain(payload)?),
            "reload" => (Self::Order(Order::Reload), plain(payload)?),
            "doctor" => (Self::Order(Order::Doctor), plain(payload)?),
            "activate" if payload.is_empty() => (Self::Order(Order::Activate(None)), None),
            "activate" => {
                let ActivateRequest { id, counter } = serde_json::from_slice(payload).map_err(bad)?;
                (Self::Order(Order::Activate(counter)), id)
            }
            "locate" if payload.is_empty() => {
                return Err((Refusal::BadRequest, "expected a picture, found nothing".to_owned()));
            }
            "locate" => (Self::Order(Order::Locate(payload.to_vec())), None),
            "resend" => {
                let ResendRequest { id, boot, from_seq, to_seq } = serde_json::from_slice(payload).map_err(bad)?;
                if from_seq > to_seq {
                    let found = format!("expected from_seq up to to_seq, found {from_seq} and {to_seq}");
                    return Err((Refusal::BadRequest, found));
                }
                (Self::Resend(SeqRange { boot, from_seq, to_seq }), id)
            }
            _ => return Err((Refusal::UnknownCommand, format!("expected one of {}", VERBS.join(", ")))),
        };
        if id.as_ref().is_some_and(|id| id.len() > MOST_ID_BYTES) {
            return Err((Refusal::BadRequest, format!("expected an id of at most {MOST_ID_BYTES} bytes")));
        }
        Ok((command, id))
    }
}

/// The id of a command that takes nothing else.
fn plain(payload: &[u8]) -> Result<Option<String>, (Refusal, String)> {
    if payload.is_empty() {
        return Ok(None);
    }
    let request: PlainRequest =
        serde_json::from_slice(payload).map_err(|error| (Refusal::BadRequest, error.to_string()))?;
    Ok(request.id)
}

impl Asker {
    /// Who sent a command with these properties. An answer never goes where commands or frames come from.
    pub(super) fn new(topics: &Topics, verb: &str, id: Option<String>, properties: Option<&PublishProperties>) -> Self {
        let asked_for = properties.and_then(|properties| properties.response_topic.as_deref());
        let usable = |topic: &&str| {
            let plain = !topic.is_empty() && !topic.starts_with('$') && !topic.contains(['+', '#', '\0']);
            let is_ours = matches!(
                topics.parse(topic),
                Some(InboundTopic::Command(_) | InboundTopic::Frame(_) | InboundTopic::Meta(_))
            );
            plain && !is_ours
        };
        let topic = asked_for.filter(usable).map_or_else(|| topics.reply(verb), str::to_owned);
        let correlation_data = properties.and_then(|properties| properties.correlation_data.clone());
        let properties = PublishProperties { correlation_data, ..PublishProperties::default() };
        Self { verb: verb.to_owned(), id, topic, properties }
    }

    /// The answer when it is done; `queued` fixes wait.
    pub(super) fn done(&self, done: &Done, queued: u64) -> Vec<u8> {
        match done {
            Done::Flushed => self.reply(|reply| reply.waiting = Some(queued)),
            Done::Resent { resending, waiting } => {
                self.reply(|reply| (reply.resending, reply.waiting) = (Some(*resending), Some(*waiting)))
            }
            Done::TooMany => self.refused(Refusal::TooMany, "ask for a part of it"),
            Done::Failed(problem) => self.refused(Refusal::DiskFailing, problem),
        }
    }

    /// The answer to what was ordered.
    pub(super) fn ordered(&self, answer: &Answer) -> Vec<u8> {
        match answer {
            Ok(more) => self.reply(|reply| reply.more = Some(more)),
            Err((reason, message)) => self.refused(*reason, message),
        }
    }

    /// The answer when it is not done.
    pub(super) fn refused(&self, reason: Refusal, message: &str) -> Vec<u8> {
        self.reply(|reply| (reply.ok, reply.reason, reply.message) = (false, Some(reason), Some(message)))
    }

    fn reply<'a>(&'a self, fill: impl FnOnce(&mut Reply<'a>)) -> Vec<u8> {
        let (command, id) = (self.verb.as_str(), self.id.as_deref());
        let mut reply = Reply {
            v: 1,
            command,
            id,
            ok: true,
            resending: None,
            waiting: None,
            reason: None,
            message: None,
            more: None,
        };
        fill(&mut reply);
        // Texts and numbers only: writing them cannot fail.
        serde_json::to_vec(&reply).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn topics() -> Topics {
        Topics::new("geolocated", "field", "drone-7")
    }

    fn assert_valid(schema: &str, instance: &Value) {
        let path = format!("{}/schema/{schema}.schema.json", env!("CARGO_MANIFEST_DIR"));
        let schema: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let problems: Vec<String> = validator.iter_errors(instance).map(|error| error.to_string()).collect();
        assert!(problems.is_empty(), "{path}: {problems:?}\n{instance:#}");
    }

    #[test]
    fn commands_are_read_and_fit_their_schemas() {
        let resend = json!({"boot": 3, "from_seq": 10, "to_seq": 20, "id": "gap-1"});
        assert_valid("resend", &resend);
        let range = SeqRange { boot: 3, from_seq: 10, to_seq: 20 };
        let read = Command::read("resend", resend.to_string().as_bytes());
        assert_eq!(read, Ok((Command::Resend(range), Some("gap-1".to_owned()))));
        assert_eq!(Command::read("flush", b""), Ok((Command::Flush, None)));
        assert_valid("flush", &json!({}));
        assert_eq!(Command::read("flush", b"{}"), Ok((Command::Flush, None)));
    }

    #[test]
    fn what_is_no_command_is_refused_with_a_word_and_a_sentence() {
        for (verb, payload, word) in [
            ("paint", &b"{}"[..], Refusal::UnknownCommand),
            ("resend", b"", Refusal::BadRequest),
            ("resend", br#"{"boot":1,"from_seq":9,"to_seq":1}"#, Refusal::BadRequest),
            ("resend", br#"{"boot":1,"from_seq":1,"to_seq":9,"colour":"red"}"#, Refusal::BadRequest),
            ("resend", br#"{"boot":-1,"from_seq":1,"to_seq":9}"#, Refusal::BadRequest),
            ("flush", b"\xFF\x00", Refusal::BadRequest),
        ] {
            let (refusal, sentence) = Command::read(verb, payload).unwrap_err();
            assert_eq!(refusal, word, "{verb}: {sentence}");
            let asker = Asker::new(&topics(), verb, None, None);
            let reply: Value = serde_json::from_slice(&asker.refused(refusal, &sentence)).unwrap();
            assert_valid("reply", &reply);
            assert_eq!((&reply["ok"], &reply["command"]), (&json!(false), &json!(verb)));
        }
        let long = format!("{{\"id\":\"{}\"}}", "x".repeat(MOST_ID_BYTES + 1));
        assert!(Command::read("flush", long.as_bytes()).is_err());
    }

    #[test]
    fn answers_fit_their_schema_and_bear_the_id() {
        let asker = Asker::new(&topics(), "resend", Some("gap-1".to_owned()), None);
        for done in [
            Done::Resent { resending: 5, waiting: 1 },
            Done::Flushed,
            Done::TooMany,
            Done::Failed("outbox: no room".to_owned()),
        ] {
            let reply: Value = serde_json::from_slice(&asker.done(&done, 7)).unwrap();
            assert_valid("reply", &reply);
            assert_eq!(reply["id"], "gap-1");
        }
    }

    #[test]
    fn an_answer_goes_where_it_was_asked_for_but_never_to_a_topic_that_is_listened_to() {
        let to = |response_topic: Option<&str>| {
            let response_topic = response_topic.map(str::to_owned);
            let properties = PublishProperties { response_topic, ..PublishProperties::default() };
            Asker::new(&topics(), "flush", None, Some(&properties)).topic
        };
        assert_eq!(to(Some("hub/replies/1")), "hub/replies/1");
        let usual = "geolocated/field/drone-7/cmd/flush/reply";
        for bad in
            ["", "a/#", "+/b", "$SYS/x", "geolocated/field/drone-7/cmd/flush", "geolocated/field/drone-7/cam/a/frame"]
        {
            assert_eq!(to(Some(bad)), usual, "{bad}");
        }
        assert_eq!(to(None), usual);
    }
}
