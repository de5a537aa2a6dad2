//! Has everyone who must know been told?
//!
//! Frames come in by MQTT and from the sources of the settings, and wait in the [`Inbox`], the newest per camera. One
//! thread takes them through the pipeline and appends each answer to the outbox, whose own thread brings it to the disk.
//! Another one asks a comparator about the newest, where there is one, and one more a generator. One task owns the connection to the
//! broker; it empties the outbox by PUBACK alone.

mod answers;
mod backoff;
mod boot;
mod camera_memory;
mod clock;
mod commands;
mod counters;
mod follower;
mod generations;
mod generator_stage;
mod health;
mod inbox;
mod last;
mod link;
mod marker;
mod memory;
mod metadata;
mod metrics;
mod mqtt;
mod outbox;
mod publish;
mod rerank_settings;
mod run;
mod second_stage;
mod sensors;
mod session;
mod settings;
mod sources;
mod status;
mod topics;
mod worker;

pub use counters::{Counter, Counters, CountersNow};
pub use inbox::{Arrived, Inbox, InboxLimits, Taken};
pub use marker::MarkedModel;
pub use metadata::FrameMetadata;
pub use mqtt::TlsFiles;
pub use outbox::{
    ArchiveError, ArchivedMessage, MessageFate, OutboxArchive, OutboxLimits, Selection, SeqRange, clear as clear_outbox,
};
pub use rerank_settings::{PublishStages, RerankSettings};
pub use run::{RunError, run};
pub use settings::{
    ActivateWhen, After, Broker, BrokerAddress, CameraSettings, Cameras, CommandSettings, FolderSettings, FrameTime,
    GenerateWhen, GenerationSettings, GeneratorSettings, MqttVersion, NmeaSettings, PublishSettings, Settings,
    SettingsError, SourceInput, SourceSettings, TrackSettings, UpdateSettings,
};
pub use topics::{InboundTopic, Topics};
