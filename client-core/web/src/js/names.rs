//! How enums are spelled in TypeScript. Each is matched in full, so that a new variant is named when it is made.

use conclave_client_core::api::{
    ClientError, Codec, ConnectionState, DeclineReason, Departure, Kind, Misdeed, Mode, Muted, OpenError, Trust, Warning,
};
use conclave_federation::io::DialError;

use crate::deed::Transport;

/// An enum with a word for each variant, and the way back.
macro_rules! words {
    ($($(#[$doc:meta])* $to:ident, $from:ident: $of:ty { $($variant:ident = $word:literal,)* })*) => {$(
        $(#[$doc])*
        pub(super) const fn $to(value: $of) -> &'static str {
            match value {
                $(<$of>::$variant => $word,)*
            }
        }

        /// The other way; a word that is not known is a mistake of the page, and is answered with those that are.
        pub(super) fn $from(word: &str) -> Result<$of, String> {
            match word {
                $($word => Ok(<$of>::$variant),)*
                _ => Err(unknown(word, &[$($word),*])),
            }
        }
    )*};
}

words! {
    /// Where a track comes from.
    kind, kind_of: Kind {
        Microphone = "microphone",
        Camera = "camera",
        Screen = "screen",
        ScreenAudio = "screen-audio",
        Data = "data",
    }
    /// How it is encoded.
    codec, codec_of: Codec {
        Opus = "opus",
        Vp8 = "vp8",
        Vp9 = "vp9",
        Av1 = "av1",
        H264 = "h264",
        Raw = "raw",
    }
    /// What carries a session.
    transport, transport_of: Transport {
        WebTransport = "webtransport",
        WebSocket = "websocket",
    }
}

/// Why a dial failed, in the words of the worker.
pub(super) fn dial_error_of(word: &str) -> Result<DialError, String> {
    match word {
        "unreachable" => Ok(DialError::Unreachable),
        "unknown-name" => Ok(DialError::UnknownName),
        "wrong-key" => Ok(DialError::WrongKey),
        "not-conclave" => Ok(DialError::NotConclave),
        _ => Err(unknown(word, &["unreachable", "unknown-name", "wrong-key", "not-conclave"])),
    }
}

fn unknown(word: &str, known: &[&str]) -> String {
    // What a page passes by mistake may be anything, and long.
    let word: String = word.chars().take(32).collect();
    format!("\"{word}\" is none of {}", known.join(", "))
}

const fn decline(reason: DeclineReason) -> &'static str {
    match reason {
        DeclineReason::Refused => "declined",
        DeclineReason::Locked => "locked",
        DeclineReason::Full => "full",
    }
}

pub(super) const fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Open => "open",
        Mode::Knock => "knock",
        Mode::Locked => "locked",
    }
}

pub(super) const fn misdeed(what: Misdeed) -> &'static str {
    match what {
        Misdeed::Junk => "junk",
        Misdeed::Fault => "fault",
    }
}

pub(super) const fn trust(trust: Trust) -> &'static str {
    match trust {
        Trust::Fresh => "fresh",
        Trust::Verified => "verified",
        Trust::Doubtful => "doubtful",
        Trust::Muted(Muted::NoWords) => "muted",
        Trust::Muted(Muted::Contradiction) => "forged",
    }
}

pub(super) const fn departure(how: Departure) -> &'static str {
    match how {
        Departure::Left => "left",
        Departure::Reaped => "reaped",
        Departure::Removed { .. } => "removed",
        Departure::Moved => "moved",
    }
}

pub(super) const fn connection(state: ConnectionState) -> &'static str {
    match state {
        ConnectionState::Connecting => "connecting",
        ConnectionState::Connected => "connected",
        ConnectionState::Reconnecting => "reconnecting",
        ConnectionState::ControlLost => "controlLost",
        ConnectionState::SendingStopped => "sendingStopped",
    }
}

pub(super) const fn open_error(reason: OpenError) -> &'static str {
    match reason {
        OpenError::Malformed => "malformed",
        OpenError::NoKeyYet => "noKeyYet",
        OpenError::LeftEpoch => "leftEpoch",
        OpenError::BeforeJoin => "beforeJoin",
        OpenError::Damaged => "damaged",
        OpenError::WrongObject => "wrongObject",
        OpenError::Replayed => "replayed",
        OpenError::UnknownSender => "unknownSender",
        OpenError::BadSignature => "badSignature",
        OpenError::TooMuch => "tooMuch",
    }
}

pub(super) const fn warning(warning: Warning) -> &'static str {
    match warning {
        Warning::UnpinnedRelay => "unpinnedRelay",
        Warning::ChatTooLong => "chatTooLong",
        Warning::ChatNotSent => "chatNotSent",
        Warning::PublishRefused(_) => "publishRefused",
        Warning::TooManyTracks => "tooManyTracks",
        Warning::FrameTooLarge => "frameTooLarge",
        Warning::SubscribeRefused(_) => "subscribeRefused",
        Warning::Rejoined => "rejoined",
        Warning::HistoryMismatch => "historyMismatch",
        Warning::CodesDiffer => "codesDiffer",
        Warning::NoMoreComparisons => "noMoreComparisons",
        Warning::NotCompared => "notCompared",
        Warning::TooManyGestures => "tooManyGestures",
        Warning::NobodyOfThatId => "nobodyOfThatId",
        Warning::NotHost => "notHost",
        Warning::Gone => "gone",
        Warning::NotInRoom => "notInRoom",
        Warning::NotAllowed(_) => "notAllowed",
        Warning::NothingToReport => "nothingToReport",
        Warning::NotChanged => "notChanged",
        Warning::RecordMismatch => "recordMismatch",
    }
}

pub(super) const fn client_error(error: &ClientError) -> &'static str {
    match error {
        ClientError::LinkInvalid => "linkInvalid",
        ClientError::UnknownRoom => "unknownRoom",
        ClientError::RoomExpired => "roomExpired",
        ClientError::Record(_) => "record",
        ClientError::RelayUnreachable(_) => "relayUnreachable",
        ClientError::WrongRelayKey => "wrongRelayKey",
        ClientError::NoCommonVersion => "noCommonVersion",
        ClientError::UnknownHub { .. } => "unknownHub",
        ClientError::Refused { .. } => "refused",
        ClientError::Closed { .. } => "closed",
        ClientError::Declined { reason } => decline(*reason),
        ClientError::NobodyAnswered => "nobodyAnswered",
        ClientError::NobodyThere => "nobodyThere",
        ClientError::BadWelcome => "badWelcome",
        ClientError::ConnectionLost => "connectionLost",
        ClientError::Removed => "removed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lead_back_to_what_they_stand_for() {
        for of in [Kind::Microphone, Kind::Camera, Kind::Screen, Kind::ScreenAudio, Kind::Data] {
            assert_eq!(kind_of(kind(of)), Ok(of));
        }
        for of in [Codec::Opus, Codec::Vp8, Codec::Vp9, Codec::Av1, Codec::H264, Codec::Raw] {
            assert_eq!(codec_of(codec(of)), Ok(of));
        }
        for of in [Transport::WebTransport, Transport::WebSocket] {
            assert_eq!(transport_of(transport(of)), Ok(of));
        }
    }

    #[test]
    fn a_word_that_is_not_known_is_answered_with_those_that_are() {
        assert_eq!(transport_of("telegraph"), Err("\"telegraph\" is none of webtransport, websocket".to_owned()));
        assert!(dial_error_of(&"x".repeat(10_000)).is_err_and(|words| words.len() < 120));
    }

    /// Every word of an enum's stands in the types that TypeScript reads.
    #[test]
    fn typescript_knows_the_words() {
        let types = include_str!("types.d.ts");
        let kinds = [Kind::Microphone, Kind::Camera, Kind::Screen, Kind::ScreenAudio, Kind::Data].map(kind);
        let codecs = [Codec::Opus, Codec::Vp8, Codec::Vp9, Codec::Av1, Codec::H264, Codec::Raw].map(codec);
        let ways = [Transport::WebTransport, Transport::WebSocket].map(transport);
        let left = [Departure::Left, Departure::Reaped, Departure::Removed { by: None }, Departure::Moved].map(departure);
        for word in kinds.into_iter().chain(codecs).chain(ways).chain(left) {
            assert!(types.contains(&format!("\"{word}\"")), "{word}");
        }
    }
}
