//! What is true of the room now, kept up from the events, so that the handle can be asked at any time.

use conclave_client_core::api;

use crate::event::{Event, State};

/// Applies what an event changes; `state` is `None` until the first whole one.
pub(crate) fn apply(state: &mut Option<State>, event: &Event) {
    if let Event::Joined(whole) = event {
        *state = Some(whole.clone());
        return;
    }
    let Some(state) = state else { return };
    match event {
        Event::ParticipantJoined(participant) | Event::ParticipantChanged(participant) => {
            match state.roster.iter_mut().find(|known| known.id == participant.id) {
                Some(known) => *known = participant.clone(),
                None => state.roster.push(participant.clone()),
            }
        }
        Event::ParticipantLeft { id, .. } => {
            state.roster.retain(|known| known.id != *id);
            state.tracks.retain(|track| track.participant != *id);
        }
        Event::TrackPublished(track) | Event::TrackChanged(track) => {
            let same = |known: &&mut api::RemoteTrack| (known.participant, known.track) == (track.participant, track.track);
            match state.tracks.iter_mut().find(same) {
                Some(known) => *known = track.clone(),
                None => state.tracks.push(track.clone()),
            }
        }
        Event::TrackUnpublished { participant, track } => {
            state.tracks.retain(|known| (known.participant, known.track) != (*participant, *track));
        }
        Event::TrackTrust { participant, track, trust } => {
            let same = |known: &&mut api::RemoteTrack| (known.participant, known.track) == (*participant, *track);
            if let Some(known) = state.tracks.iter_mut().find(same) {
                known.trust = *trust;
            }
        }
        Event::Connection { transport, .. } => state.transport = *transport,
        Event::Epoch { epoch, safety_code, .. } => {
            state.epoch = *epoch;
            state.safety_code.clone_from(safety_code);
        }
        Event::Joined(_)
        | Event::Frame(_)
        | Event::FramesLost { .. }
        | Event::FramesUnread { .. }
        | Event::FrameRefused { .. }
        | Event::Chat { .. }
        | Event::ChatGap { .. }
        | Event::Carriers(_)
        | Event::Knock { .. }
        | Event::KnockGone { .. }
        | Event::LinkChanged { .. }
        | Event::ModeChanged { .. }
        | Event::HostsChanged { .. }
        | Event::LastHost
        | Event::CompareCode { .. }
        | Event::CompareUnanswered { .. }
        | Event::Acquaintance { .. }
        | Event::Hands(_)
        | Event::Reaction { .. }
        | Event::MuteRequested { .. }
        | Event::Equivocation { .. }
        | Event::ReportReady { .. }
        | Event::Misbehaved { .. }
        | Event::Warning(_)
        | Event::Ended(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use conclave_client_core::api::{
        ConnectionState, Departure, Media, Participant, ParticipantId, Presence, RemoteTrack, Trust,
    };
    use conclave_federation::id::TrackId;
    use conclave_quic::Transport;

    use super::*;

    fn somebody(leaf: u16) -> Participant {
        let id = ParticipantId::of_leaf(leaf, &[1; 32]);
        Participant {
            id,
            name: format!("P{leaf}"),
            is_me: leaf == 0,
            host: false,
            present: Presence::Here,
            joined_epoch: 1,
            colour: 0,
            similar_to: None,
            hidden: false,
            muted_by_me: false,
            blocked: false,
            verified: false,
            compared: false,
            known: None,
            recording: false,
        }
    }

    fn joined() -> Event {
        let me = somebody(0);
        let state = State {
            me: me.id,
            title: "Tea".to_owned(),
            roster: vec![me],
            tracks: Vec::new(),
            epoch: 1,
            safety_code: "1".repeat(30),
            transport: Some(Transport::Quic),
        };
        Event::Joined(state)
    }

    #[test]
    fn nothing_is_true_before_the_whole_state() {
        let mut state = None;
        apply(&mut state, &Event::ParticipantJoined(somebody(1)));
        assert_eq!(state, None);
        apply(&mut state, &joined());
        assert_eq!(state.expect("the whole state").roster.len(), 1);
    }

    #[test]
    fn who_leaves_takes_their_tracks_along() {
        let mut state = None;
        let track = |leaf, id| RemoteTrack {
            participant: somebody(leaf).id,
            track: TrackId(id),
            media: Media::microphone(),
            muted: false,
            trust: Trust::Fresh,
        };
        for event in [
            joined(),
            Event::ParticipantJoined(somebody(1)),
            Event::ParticipantJoined(somebody(2)),
            Event::ParticipantChanged(Participant { present: Presence::Grey, ..somebody(2) }),
            Event::TrackPublished(track(1, 20)),
            Event::TrackPublished(track(1, 20)),
            Event::TrackPublished(track(2, 21)),
            Event::TrackPublished(track(2, 22)),
            Event::TrackUnpublished { participant: somebody(2).id, track: TrackId(22) },
            Event::TrackTrust { participant: somebody(2).id, track: TrackId(21), trust: Trust::Doubtful },
            Event::ParticipantLeft { id: somebody(1).id, how: Departure::Left },
            Event::Epoch { epoch: 5, safety_code: "2".repeat(30), committed: false },
            Event::Connection { state: ConnectionState::Reconnecting, transport: None },
            Event::Connection { state: ConnectionState::Connected, transport: Some(Transport::WebSocket) },
        ] {
            apply(&mut state, &event);
        }
        let state = state.expect("the whole state");
        assert_eq!(
            state.roster.iter().map(|p| (p.name.as_str(), p.present)).collect::<Vec<_>>(),
            [("P0", Presence::Here), ("P2", Presence::Grey),]
        );
        assert_eq!(state.tracks, [RemoteTrack { trust: Trust::Doubtful, ..track(2, 21) }]);
        assert_eq!((state.epoch, state.safety_code.len()), (5, 30));
        assert_eq!(state.transport, Some(Transport::WebSocket));
    }
}
