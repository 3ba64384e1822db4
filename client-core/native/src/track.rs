//! What an application publishes: a track, and the encoded frames on it.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use conclave_client_core::api::{Codec, Command, Kind, LocalTrack, Media, OutFrame};
use tokio::sync::{Notify, mpsc};

use crate::{driver::Order, error::RoomOver};

/// A track to publish: where it comes from and how it is encoded. Participants see it, relays do not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Track {
    pub(crate) media: Media,
}

impl Track {
    /// A voice, in Opus.
    #[must_use]
    pub fn audio(label: impl Into<String>) -> Self {
        Self::of(Media { label: label.into(), ..Media::microphone() })
    }

    /// A face; the size in pixels is of the first picture.
    #[must_use]
    pub fn camera(label: impl Into<String>, codec: Codec, width: u16, height: u16) -> Self {
        Self::of(Media { label: label.into(), ..Media::camera(codec, width, height) })
    }

    /// A screen; the size in pixels is of the first picture.
    #[must_use]
    pub fn screen(label: impl Into<String>, codec: Codec, width: u16, height: u16) -> Self {
        Self::of(Media { label: label.into(), ..Media::screen(codec, width, height) })
    }

    /// The application's own bytes, in order, as frames of a picture are.
    #[must_use]
    pub fn data(label: impl Into<String>) -> Self {
        Self::of(Media { kind: Kind::Data, codec: Codec::Raw, label: label.into(), width: 0, height: 0, layers: 1 })
    }

    /// With so many temporal layers, 1 to 4: see [`Frame::of_layer`].
    #[must_use]
    pub const fn with_layers(mut self, layers: u8) -> Self {
        self.media.layers = layers;
        self
    }

    /// Anything else that the protocol can describe.
    #[must_use]
    pub const fn of(media: Media) -> Self {
        Self { media }
    }
}

/// One encoded frame on its way out.
#[derive(Clone, Debug)]
pub struct Frame(OutFrame);

impl Frame {
    /// A frame that can be decoded alone, captured now: every frame of sound, and a key frame of a picture.
    #[must_use]
    pub fn key(data: impl Into<Bytes>) -> Self {
        Self(OutFrame { data: data.into(), captured_us: unix_us(), key: true, layer: 0, level: 0 })
    }

    /// A frame that needs those before it, captured now.
    #[must_use]
    pub fn delta(data: impl Into<Bytes>) -> Self {
        Self(OutFrame { key: false, ..Self::key(data).0 })
    }

    /// How surely somebody speaks in this frame of sound, by your own voice detection: 0 to 3. In rooms of more than eight relays
    /// see it beside the frame; in smaller ones nobody does.
    #[must_use]
    pub const fn with_level(mut self, level: u8) -> Self {
        self.0.level = level;
        self
    }

    /// Of another temporal layer than the base: it needs frames of its own layer and of those below it, and frames of
    /// lower layers do not need it. The first that is dropped where the way is narrow.
    #[must_use]
    pub const fn of_layer(mut self, layer: u8) -> Self {
        self.0.layer = layer;
        self
    }

    /// Captured at another time: microseconds since 1970. It travels inside the encryption.
    #[must_use]
    pub const fn captured_at(mut self, unix_us: u64) -> Self {
        self.0.captured_us = unix_us;
        self
    }
}

/// A published track. Dropping it ends the track.
#[derive(Debug)]
pub struct PublishedTrack {
    pub(crate) track: LocalTrack,
    pub(crate) orders: mpsc::Sender<Order>,
    pub(crate) wanted: Arc<Notify>,
}

impl PublishedTrack {
    /// Sends one frame to everybody. Waits only for the room's own task, never for the network: a frame that the
    /// network cannot take is dropped, as late frames help nobody.
    ///
    /// # Errors
    /// When the room is over.
    pub async fn write(&self, frame: Frame) -> Result<(), RoomOver> {
        let order = Order::Command(Command::Write { track: self.track, frame: frame.0 });
        self.orders.send(order).await.map_err(|_| RoomOver)
    }

    /// Returns when somebody needs a key frame: ask the encoder for one. Requests that come together are one.
    ///
    /// Never returns once the room is over.
    pub async fn key_frame_wanted(&self) {
        self.wanted.notified().await;
    }

    /// Tells everybody whether the track is muted. Whether frames are written meanwhile is the application's matter.
    ///
    /// # Errors
    /// When the room is over.
    pub async fn mute(&self, muted: bool) -> Result<(), RoomOver> {
        let order = Order::Command(Command::Mute { track: self.track, muted });
        self.orders.send(order).await.map_err(|_| RoomOver)
    }

    /// Ends the track; returns when the room's task knows.
    ///
    /// # Errors
    /// When the room is over, and the track with it.
    pub async fn unpublish(self) -> Result<(), RoomOver> {
        self.orders.send(Order::Unpublish(self.track)).await.map_err(|_| RoomOver)
    }
}

impl Drop for PublishedTrack {
    fn drop(&mut self) {
        // A second time does no harm, and a full or closed channel means that the room has worse to do.
        let _ = self.orders.try_send(Order::Unpublish(self.track));
    }
}

/// The wall clock, microseconds since 1970: what frames carry as their capture time.
#[must_use]
pub fn unix_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}
