/**
 * The nouns of a room as an application sees them: plain data, the same on both sides of the worker. Nothing here does
 * anything. Times are milliseconds unless a name says microseconds (`…Us`); track ids are `bigint` because they are
 * random numbers of 64 bits.
 */

import type { Trust } from "../core/conclave_web.js";

export type { Trust };

/** What a track carries. */
export type Kind = "microphone" | "camera" | "screen" | "screen-audio";

/** How a track is encoded. This SDK publishes `opus` and `vp8`, and plays all of them that the browser can decode. */
export type Codec = "opus" | "vp8" | "vp9" | "av1" | "h264";

/** How the bytes travel to the relay: QUIC (`webtransport`), or the fallback over TCP where UDP does not get through. */
export type TransportKind = "webtransport" | "websocket";

/** Somebody in the room. The list of them is the encryption group itself: nobody is in it unseen. */
export interface Participant {
  /** Unique in this call, for as long as this participant is in it. */
  readonly id: number;
  /** As the participant chose it, at most 64 bytes. Text of a stranger: show it as text, never as markup. */
  readonly name: string;
  readonly isMe: boolean;
  /** Founded the room, or was made a host. */
  readonly host: boolean;
  /** False when nothing was heard for a while: shown grey, and gone soon unless it comes back. */
  readonly present: boolean;
  /** A hue from 0 to 359, made of their key: nobody can choose it, and it stays theirs while they are in the call. */
  readonly colour: number;
  /** Somebody else here whose name is equal, or easily taken for theirs: say so beside it. */
  readonly similarTo?: number;
  /** We receive no pictures, no sound, or nothing of them, by our own wish. Nobody is told. */
  readonly hidden: boolean;
  readonly mutedByMe: boolean;
  readonly blocked: boolean;
}

/** A track that somebody else publishes. */
export interface Track {
  readonly participant: number;
  readonly track: bigint;
  readonly kind: Kind;
  readonly codec: Codec;
  /** As the publisher chose it, at most 64 bytes. */
  readonly label: string;
  /** Pixels; 0 for sound. What was announced: pictures may be smaller or turned. */
  readonly width: number;
  readonly height: number;
  /** The publisher sends nothing on purpose. */
  readonly muted: boolean;
  /** Whether what arrives is signed by whom it is said to be of; frames of muted ones are not shown. */
  readonly trust: Trust;
  /** Temporal layers, 1 to 4. */
  readonly layers: number;
}

/** A relay that carries this call, and whose it is. */
export interface Carrier {
  /** Short id, for display. */
  readonly relay: string;
  /** The operator's name as its relay signed it, when it is known. */
  readonly operator?: string;
  /** `host:port`, when it is known. */
  readonly address?: string;
  /** Orders the room's handshake log. */
  readonly hub: boolean;
  /** The relay this page is connected to. */
  readonly entry: boolean;
  /** How many participants send through it. */
  readonly publishers: number;
}

/** Where the connection to the relay stands. Coming back is the SDK's work. */
export type Connection = "connecting" | "connected" | "reconnecting" | "controlLost" | "sendingStopped";

/** What happened. Every event changes `Room.state` before a handler sees it. */
export type RoomEvent =
  /** The room exists; pass the link on. Only after `Room.create`. */
  | { readonly event: "created"; readonly link: string }
  /** The whole state; comes first, and again when the way back led through a new place in the group. */
  | {
      readonly event: "joined";
      readonly me: number;
      readonly title: string;
      readonly roster: readonly Participant[];
      readonly tracks: readonly Track[];
      readonly epoch: number;
      readonly safetyCode: string;
    }
  | { readonly event: "participantJoined"; readonly participant: Participant }
  | { readonly event: "participantChanged"; readonly participant: Participant }
  | { readonly event: "participantLeft"; readonly id: number; readonly how: "left" | "reaped" | "removed" | "moved"; readonly by?: number }
  | { readonly event: "trackPublished"; readonly track: Track }
  | { readonly event: "trackChanged"; readonly track: Track }
  | { readonly event: "trackUnpublished"; readonly participant: number; readonly track: bigint }
  /** The first picture of a track on its canvas, and each change of size in pixels. From the SDK itself. */
  | {
      readonly event: "shown";
      readonly participant: number;
      readonly track: bigint;
      readonly width: number;
      readonly height: number;
    }
  /** Whose voice is heard now, all of them each time: ids of participants. From the SDK itself. */
  | { readonly event: "speaking"; readonly participants: readonly number[] }
  /** `at`: when it was said, by the sender's clock, in unix milliseconds. `text`: of a stranger, never markup. */
  | {
      readonly event: "chat";
      readonly from: number;
      readonly id: string;
      readonly text: string;
      readonly at: number;
      /** As the room has it; of somebody who has gone, as it was known. */
      readonly name: string;
      /** Whether they are not in the room any more. */
      readonly gone: boolean;
      /** Whether it was said before we came, and is told by somebody who was there. */
      readonly history: boolean;
    }
  /** So many messages of somebody will not come. */
  | { readonly event: "chatGap"; readonly from: number; readonly count: number }
  /** Somebody came or went: new keys, and a new code to compare aloud. */
  | { readonly event: "epoch"; readonly epoch: number; readonly safetyCode: string }
  | { readonly event: "connection"; readonly state: Connection; readonly transport?: TransportKind }
  | { readonly event: "carriers"; readonly carriers: readonly Carrier[] }
  /** Something to know that ends nothing; `text` is a sentence for people. */
  | { readonly event: "warning"; readonly text: string; readonly kind: string }
  /** Always the last one. */
  | { readonly event: "ended"; readonly why: "left" | "callEnded" | "failed"; readonly text: string; readonly kind: string };

/** The name of an event. */
export type EventKind = RoomEvent["event"];

/** The event of one name. */
export type EventOf<K extends EventKind> = Extract<RoomEvent, { readonly event: K }>;

/** How a room ended. */
export interface Ended {
  readonly why: "left" | "callEnded" | "failed";
  /** A sentence for people. */
  readonly text: string;
  readonly kind: string;
}

/** The room as it is now: a snapshot that never changes; the next change makes a new one. */
export interface RoomState {
  /** My own participant id; absent until joined. */
  readonly me?: number;
  readonly title: string;
  readonly participants: readonly Participant[];
  /** Tracks of the others. */
  readonly tracks: readonly Track[];
  readonly epoch: number;
  /** 30 digits, the same for everybody in the call; empty until joined. */
  readonly safetyCode: string;
  readonly connection: Connection;
  readonly transport?: TransportKind;
  readonly carriers: readonly Carrier[];
  /** Set once, by the last event. */
  readonly ended?: Ended;
}

/** What was received of one track. Counters run from the start of the room. */
export interface TrackStats {
  readonly participant: number;
  readonly track: bigint;
  readonly kind: Kind;
  /** Frames that arrived and opened. */
  readonly received: number;
  /** Pictures drawn; for sound, frames handed to the player. */
  readonly shown: number;
  /** Frames that never came. */
  readonly lost: number;
  /** Pictures that came too late to be shown, or that a newer one overtook. */
  readonly droppedLate: number;
  /** Times the decoder had to be made anew. */
  readonly decodeErrors: number;
  /** Key frames asked for by the decoder here (the core asks for others by itself). */
  readonly keyFrameRequests: number;
  /** Median of the last 128 frames, captured to shown (sound: to the loudspeaker's buffer), by both machines' clocks. */
  readonly latencyMs?: number;
  /** Pictures drawn in the last second. */
  readonly fps: number;
}

/** What was sent of one published track. */
export interface SendStats {
  readonly local: number;
  readonly kind: Kind;
  /** Frames encoded, and their bytes before sealing. */
  readonly frames: number;
  readonly bytes: number;
  /** Captures not encoded because the encoder or the uplink had no room for them. */
  readonly dropped: number;
  readonly keyFrames: number;
  /** What the encoder is told now: bit/s, and captures a second. */
  readonly bitrate: number;
  readonly frameRate: number;
  /** Times the encoder had to be made anew. */
  readonly encodeErrors: number;
}

/** Counters of a room, for a page that shows them and for tests. */
export interface RoomStats {
  readonly transport?: TransportKind;
  /** From the call of `join` or `create` to the first picture of somebody else on a canvas. */
  readonly firstFrameMs?: number;
  readonly perTrack: readonly TrackStats[];
  readonly sending: readonly SendStats[];
  /** Frames that did not open, later than a second after joining. */
  readonly refusedAfterFirstSecond: number;
  /** Times a speaker's buffer ran dry while he went on speaking. */
  readonly audioUnderruns: number;
  /** The largest playout delay wanted now by any speaker. */
  readonly targetMs: number;
  /** Sound that is buffered now, of the speaker who has the most of it. */
  readonly bufferedMs: number;
  /** What the core counts itself, as it names it. For reading by people. */
  readonly core: Readonly<Record<string, unknown>>;
}

/** How to enter. */
export interface Options {
  /** How the others see me: at most 64 bytes, longer ones are cut. */
  readonly name: string;
  /** Origin of the relay to enter by, for instance `https://relay.example.org`. Default: where this page came from. */
  readonly relay?: string;
  /** False: never try UDP. Default true: UDP first, TCP beside it when UDP did not answer in 1.5 s. */
  readonly udp?: boolean;
  /** Where `worker.js` of this package is served, when it is not beside the module. Must be this page's origin. */
  readonly workerUrl?: string | URL;
  /** Where `conclave_web_bg.wasm` is served, when it is not beside the core. */
  readonly wasmUrl?: string | URL;
  /** Where `player.worklet.js` is served, when it is not beside the module. */
  readonly playerUrl?: string | URL;
}

/** How to begin a room. */
export interface CreateOptions extends Options {
  /** At most 128 bytes; everybody in the room sees it, no relay does. */
  readonly title?: string;
  /** 2 to 1,000; default 50. */
  readonly maxMembers?: number;
}

/** How to publish a track. Everything has a default that suits the kind. */
export interface PublishOptions {
  /** Default: `camera` for pictures, `microphone` for sound; name screens as such. */
  readonly kind?: Kind;
  /** At most 64 bytes. Default: empty (a device's own label may say too much about its owner). */
  readonly label?: string;
  /** Bit/s; the most that is used. Default: 32,000 for a voice, 700,000 for 640x360, by size for others. */
  readonly bitrate?: number;
  /** The largest picture that is sent, in pixels; larger captures are made smaller. Default: 640x360; a screen 1280x720. */
  readonly width?: number;
  readonly height?: number;
  /** The most pictures a second. Default 30; a screen 15. */
  readonly frameRate?: number;
}
