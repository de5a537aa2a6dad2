//! Has everyone who must know been told?
//!
//! Frames come in by MQTT and from the sources of the settings, and wait in the [`Inbox`], the newest per camera. One thread takes them through the pipeline
//! and appends each answer to the outbox, whose own thread brings it to the disk. One task owns the connection to the
//! broker; it empties the outbox by PUBACK alone.

mod backoff;
mod boot;
mod clock;
mod commands;
mod counters;
mod generations;
mod health;
mod inbox;
mod last;
mod link;
mod memory;
mod metadata;
mod mqtt;
mod metrics;
mod outbox;
mod publish;
mod run;
mod session;
mod settings;
mod sources;
mod status;
mod topics;
mod worker;

pub use counters::{Counter, Counters, CountersNow};
pub use inbox::{Arrived, Inbox, InboxLimits, Taken};
pub use metadata::FrameMetadata;
pub use mqtt::TlsFiles;
pub use outbox::{
    ArchiveError, ArchivedMessage, MessageFate, OutboxArchive, OutboxLimits, Selection, SeqRange, clear as clear_outbox,
};
pub use run::{RunError, run};
pub use settings::{
    ActivateWhen, After, Broker, BrokerAddress, CommandSettings, FolderSettings, FrameTime, GenerationSettings,
    MqttVersion, NmeaSettings, PublishSettings, Settings, SettingsError, SourceInput, SourceSettings, UpdateSettings,
};
pub use topics::{InboundTopic, Topics};
