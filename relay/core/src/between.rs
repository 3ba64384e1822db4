//! What the control plane and a shard tell each other: plain values, so that a shard can have a thread of its own.

use bytes::Bytes;
use conclave_federation::{
    id::Alias,
    io::{DialKey, SessionKey},
    session::{Remote, Reply},
    track::Class,
    wire::{
        code::Code,
        message::{Answer, Notice, Request, Start},
        object::ObjectHeader,
    },
};

use crate::window::Retention;

/// One of the control plane's own requests; never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct AskKey(pub(crate) u64);

/// What is attached to a request while its answer is out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tag {
    /// Whose it is.
    pub(crate) ask: AskKey,
    /// For a subscription: the local track that the remote's alias will mean.
    pub(crate) binds: Option<Alias>,
}

/// From a shard to the control plane.
#[derive(Debug)]
pub(crate) enum ToRelay {
    /// An opening is complete.
    Opened { session: SessionKey, remote: Remote, dial: Option<DialKey> },
    /// A session is over, whether it was opened or not.
    Closed { session: SessionKey, dial: Option<DialKey>, reason: &'static str, unanswered: Vec<AskKey> },
    /// A remote wants an answer.
    Request { session: SessionKey, reply: Reply, request: Box<Request> },
    /// A remote answered, or time is up.
    Answered { session: SessionKey, ask: AskKey, answer: Answer },
    /// A remote says something.
    Notice { session: SessionKey, notice: Notice },
    /// A payload of a track that the control plane listens to.
    Heard { alias: Alias, payload: Bytes },
}

/// From the control plane to a shard.
#[derive(Debug)]
pub(crate) enum ToShard {
    /// Answer a remote.
    Answer { session: SessionKey, reply: Reply, answer: Answer },
    /// Ask a remote.
    Ask { session: SessionKey, ask: AskKey, request: Box<Request>, binds: Option<Alias> },
    /// Say something.
    Notify { session: SessionKey, notice: Notice },
    /// End a session.
    Close { session: SessionKey, code: Code, words: &'static str },
    /// There is a track.
    Open { alias: Alias, class: Class, retention: Retention, heard: bool },
    /// A track is no more; subscribers are told apart from this.
    Shut { alias: Alias },
    /// Objects that come from `session` under `remote` belong to `alias`.
    Bind { session: SessionKey, remote: Alias, alias: Alias },
    /// They do not any more.
    Unbind { session: SessionKey, remote: Alias },
    /// Send a track's objects to a session.
    Subscribe { alias: Alias, session: SessionKey, start: Start, until: u64 },
    /// Give a session a reliable track up to this object.
    Limit { alias: Alias, session: SessionKey, until: u64 },
    /// Send no more.
    Unsubscribe { alias: Alias, session: SessionKey },
    /// An object of a reliable track that begins here.
    Originate { alias: Alias, header: ObjectHeader, payload: Bytes },
    /// An object of a reliable track is not worth keeping any more.
    Forget { alias: Alias, group: u64, object: u64 },
}
