/** How events change the snapshot of a room. Pure: the same events make the same state. */

import type { Participant, RoomEvent, RoomState, Track } from "./types.js";

/** Before anything is known. */
export const EMPTY: RoomState = Object.freeze({
  title: "",
  participants: [],
  tracks: [],
  epoch: 0,
  safetyCode: "",
  connection: "connecting",
  carriers: [],
});

/** The state after `event`; the same object when nothing changed. */
export function reduce(state: RoomState, event: RoomEvent): RoomState {
  switch (event.event) {
    case "created":
    case "warning":
    case "chat":
    case "chatGap":
    case "shown":
    case "speaking":
      return state;
    case "joined":
      return {
        ...state,
        me: event.me,
        title: event.title,
        participants: event.roster,
        tracks: event.tracks,
        epoch: event.epoch,
        safetyCode: event.safetyCode,
      };
    case "participantJoined":
    case "participantChanged":
      return { ...state, participants: withParticipant(state.participants, event.participant) };
    case "participantLeft":
      return {
        ...state,
        participants: state.participants.filter((one) => one.id !== event.id),
        tracks: state.tracks.filter((one) => one.participant !== event.id),
      };
    case "trackPublished":
    case "trackChanged":
      return { ...state, tracks: withTrack(state.tracks, event.track) };
    case "trackUnpublished":
      return { ...state, tracks: state.tracks.filter((one) => !sameTrack(one, event)) };
    case "epoch":
      return { ...state, epoch: event.epoch, safetyCode: event.safetyCode };
    case "connection":
      return withConnection(state, event);
    case "carriers":
      return { ...state, carriers: event.carriers };
    case "ended":
      return { ...state, ended: { why: event.why, text: event.text, kind: event.kind } };
  }
}

function withParticipant(all: readonly Participant[], one: Participant): readonly Participant[] {
  const at = all.findIndex((other) => other.id === one.id);
  return at < 0 ? [...all, one] : all.map((other, index) => (index === at ? one : other));
}

function withTrack(all: readonly Track[], one: Track): readonly Track[] {
  const at = all.findIndex((other) => sameTrack(other, one));
  return at < 0 ? [...all, one] : all.map((other, index) => (index === at ? one : other));
}

function sameTrack(
  one: { readonly participant: number; readonly track: bigint },
  other: { readonly participant: number; readonly track: bigint },
): boolean {
  return one.participant === other.participant && one.track === other.track;
}

function withConnection(state: RoomState, event: Extract<RoomEvent, { event: "connection" }>): RoomState {
  const { transport: before, ...rest } = state;
  const transport = event.transport ?? (event.state !== "connecting" && event.state !== "reconnecting" ? before : undefined);
  return transport === undefined
    ? { ...rest, connection: event.state }
    : { ...rest, connection: event.state, transport };
}
