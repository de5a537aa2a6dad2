//! A server that speaks OpenAI's chat completions, as vLLM, LMDeploy, llama.cpp and Ollama do.

use std::io::Read;
use std::time::Duration;

use anyhow::{Context, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use geolocated::download::{Token, tls_config};
use serde::Deserialize;
use serde_json::json;
use ureq::Agent;
use url::Url;

use super::generator::{GenerateError, Generator, Question, Written};

/// Bytes of an answer that are read at most.
const MOST_ANSWER_BYTES: u64 = 4 << 20;
/// Characters of a server's own words that are repeated.
const MOST_WORDS: usize = 200;
/// A server that asks to wait longer is given up.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Where the key stands that a server asks for; on a command line anybody could read it.
pub(super) const KEY_VARIABLE: &str = "GEOLOCATE_GENERATOR_KEY";

/// How a server is asked.
#[derive(Debug, Clone)]
pub(super) struct ServerOptions {
    /// Its address, up to and with `/v1`.
    pub(super) url: Url,
    /// Name of the model.
    pub(super) model: String,
    /// Patience with one answer.
    pub(super) timeout: Duration,
    /// How often a question is asked that fails in passing.
    pub(super) attempts: u32,
    /// Wait after the first failure; it doubles with each.
    pub(super) first_wait: Duration,
    /// Tokens that an answer may have.
    pub(super) most_tokens: u32,
}

/// The server.
#[derive(Debug)]
pub(super) struct OpenAiServer {
    agent: Agent,
    url: Url,
    options: ServerOptions,
    authorization: Option<String>,
}

impl OpenAiServer {
    /// Asks nothing yet. The key, if there is one, goes to `https` or to this machine only.
    ///
    /// # Errors
    /// The address is none, or the key would be sent in the clear.
    pub(super) fn new(options: ServerOptions, key: Option<&str>) -> anyhow::Result<Self> {
        let shown = options.url.as_str();
        if !matches!(options.url.scheme(), "http" | "https") || !options.url.has_host() {
            bail!("--generator {shown}: expected an address like http://127.0.0.1:8000/v1");
        }
        if let Some(key) = key {
            Token::new(&options.url, key).with_context(|| format!("{KEY_VARIABLE}, --generator {shown}"))?;
        }
        let mut url = options.url.clone();
        let path = format!("{}/chat/completions", url.path().trim_end_matches('/'));
        url.set_path(&path);
        let config = Agent::config_builder()
            .tls_config(tls_config().0)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("geolocate/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(options.timeout.min(Duration::from_secs(15))))
            .timeout_global(Some(options.timeout));
        let authorization = key.map(|key| format!("Bearer {key}"));
        Ok(Self { agent: config.build().new_agent(), url, options, authorization })
    }

    fn shown(&self) -> String {
        self.url.to_string()
    }

    fn body(&self, question: &Question<'_>) -> serde_json::Value {
        let kind = match question.picture {
            [0x89, b'P', ..] => "image/png",
            [b'R', b'I', b'F', b'F', ..] => "image/webp",
            _ => "image/jpeg",
        };
        let picture = format!("data:{kind};base64,{}", STANDARD.encode(question.picture));
        json!({
            "model": self.options.model,
            "messages": [{"role": "user", "content": [
                {"type": "image_url", "image_url": {"url": picture}},
                {"type": "text", "text": question.text},
            ]}],
            "temperature": question.temperature,
            "max_tokens": self.options.most_tokens,
            "seed": question.number,
            "stream": false,
        })
    }

    fn ask(&self, body: &[u8]) -> Result<Written, Failure> {
        let mut request = self.agent.post(self.url.as_str()).header("Content-Type", "application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header("Authorization", authorization);
        }
        let response = request.send(body).map_err(|error| Failure::passing(reason(&error)))?;
        let status = response.status().as_u16();
        let wait = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let mut text = Vec::new();
        let read = response.into_body().into_reader().take(MOST_ANSWER_BYTES + 1).read_to_end(&mut text);
        read.map_err(|error| Failure::passing(format!("the answer ends early: {error}")))?;
        let garbage = |expected| {
            let found = if text.is_empty() { "nothing".to_owned() } else { words(&text) };
            Failure::Final(GenerateError::Garbage { url: self.shown(), expected, found })
        };
        if text.len() as u64 > MOST_ANSWER_BYTES {
            return Err(garbage("an answer of at most 4 MiB"));
        }
        match status {
            200 => {}
            408 | 425 | 429 | 500..=599 => {
                let reason = format!("the server answers {status}: {}", words(&text));
                return Err(Failure::Passing { reason, wait: wait.map(Duration::from_secs) });
            }
            400 | 413 | 422 => {
                let message = words(&text);
                return Err(Failure::Final(GenerateError::Declined { url: self.shown(), status, message }));
            }
            _ => {
                let message = words(&text);
                return Err(Failure::Final(GenerateError::Refused { url: self.shown(), status, message }));
            }
        }
        let answer: Completion = serde_json::from_slice(&text).map_err(|_| garbage("a chat completion in JSON"))?;
        let choice = answer.choices.into_iter().next().ok_or_else(|| garbage("at least one choice"))?;
        let usage = answer.usage.unwrap_or_default();
        Ok(Written {
            text: choice.message.content.unwrap_or_default(),
            question_tokens: usage.prompt_tokens,
            answer_tokens: usage.completion_tokens,
            cached: false,
        })
    }
}

/// Why one attempt came to nothing.
enum Failure {
    /// It may be another matter next time.
    Passing {
        reason: String,
        wait: Option<Duration>,
    },
    Final(GenerateError),
}

impl Failure {
    fn passing(reason: String) -> Self {
        Self::Passing { reason, wait: None }
    }
}

#[derive(Debug, Deserialize)]
struct Completion {
    choices: Vec<Choice>,
    usage: Option<Usage>,
}

#[derive(Debug, Deserialize)]
struct Choice {
    message: Message,
}

#[derive(Debug, Deserialize)]
struct Message {
    content: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Usage {
    prompt_tokens: u64,
    completion_tokens: u64,
}

fn reason(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Timeout(_) => "no answer in time".to_owned(),
        ureq::Error::HostNotFound => "the host's name is not known".to_owned(),
        error => format!("no answer: {error}"),
    }
}

/// The beginning of what a server said, on one line; of an error in OpenAI's form, its message.
fn words(text: &[u8]) -> String {
    let json: Option<serde_json::Value> = serde_json::from_slice(text).ok();
    let message = json.as_ref().and_then(|json| json.pointer("/error/message").or(json.get("message"))?.as_str());
    let text = message.map_or_else(|| String::from_utf8_lossy(text).into_owned(), str::to_owned);
    let line: String =
        text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(MOST_WORDS).collect();
    line.trim().to_owned()
}

impl Generator for OpenAiServer {
    fn name(&self) -> &str {
        &self.options.model
    }

    fn write(&self, question: &Question<'_>) -> Result<Written, GenerateError> {
        let body = self.body(question).to_string();
        let (mut attempts, mut wait) = (0, self.options.first_wait);
        loop {
            attempts += 1;
            let (reason, asked) = match self.ask(body.as_bytes()) {
                Ok(written) => return Ok(written),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Passing { reason, wait }) => (reason, wait),
            };
            if attempts >= self.options.attempts || asked.is_some_and(|asked| asked > LONGEST_WAIT) {
                return Err(GenerateError::GivenUp { url: self.shown(), reason, attempts });
            }
            std::thread::sleep(asked.unwrap_or_default().max(wait.min(LONGEST_WAIT)));
            wait = wait.saturating_mul(2);
        }
    }
}
