/** How a participant is made. */
export interface Start {
    /** What others see; at most 64 bytes of UTF-8, longer ones are cut. */
    name: string;
    /** The key that the entry relay has to prove, as `readWellKnown` gives it: 64 hexadecimal digits. */
    relay: string;
    /** The `host:port` that is dialled. */
    address: string;
    /** 32 bytes fresh from `crypto.getRandomValues`, never used again: all secrets come from them. */
    seed: Uint8Array;
}

export type Kind = "microphone" | "camera" | "screen" | "screen-audio" | "data";
export type Codec = "opus" | "vp8" | "vp9" | "av1" | "h264" | "raw";
export type Transport = "webtransport" | "websocket";
/** Who may let others in. */
export type Mode = "open" | "knock" | "locked";
export type DialError = "unreachable" | "unknown-name" | "wrong-key" | "not-conclave";

/** What a track of ours carries. */
export interface Media {
    kind: Kind;
    codec: Codec;
    /** A name for people; at most 64 bytes of UTF-8, longer ones are cut. */
    label: string;
    /** Pixels; 0 for sound. */
    width: number;
    /** Pixels; 0 for sound. */
    height: number;
    /** Temporal layers, 1 to 4. */
    layers: number;
}

/** Somebody in the room. */
export interface Participant {
    id: number;
    name: string;
    isMe: boolean;
    host: boolean;
    /** Whether they have been heard of lately; shown grey when not. */
    present: boolean;
    /** A hue from 0 to 359, of their key: theirs on every leaf. */
    colour: number;
    /** Somebody else here whose name is equal or easily taken for theirs. */
    similarTo?: number;
    /** Our own wishes; nobody is told. */
    hidden: boolean;
    mutedByMe: boolean;
    blocked: boolean;
    /** Whether they were here when codes were compared with somebody and were equal. */
    verified: boolean;
    /** Whether codes were compared with them. */
    compared: boolean;
    /** Which of the people that we know they are, counted from 0 in the order in which they were given. */
    known?: number;
    /** Whether they say that they record. */
    recording: boolean;
}

/**
 * How sure it is that a track's frames are from its publisher: everybody in the room can seal in anybody's name, and signed
 * digests say who did. `muted`: unsigned for five seconds, until they are signed again; `forged`: something else was signed.
 * Nothing of such tracks is delivered.
 */
export type Trust = "fresh" | "verified" | "doubtful" | "muted" | "forged";

/** A track of somebody else. */
export interface Track {
    participant: number;
    track: bigint;
    kind: Kind;
    codec: Codec;
    label: string;
    width: number;
    height: number;
    muted: boolean;
    trust: Trust;
    layers: number;
}

/** A relay that carries the call. */
export interface Carrier {
    /** The beginning of its id. */
    relay: string;
    /** What its operator calls itself, where that is known. */
    operator?: string;
    /** `host:port`, where that is known. */
    address?: string;
    hub: boolean;
    entry: boolean;
    /** How many participants send through it. */
    publishers: number;
}

/** For the transport to do, in this order. */
export type Deed =
    /** Reach the entry relay; answered by `connected` or `dialFailed`. */
    | { do: "dial"; dial: number }
    /** Open a stream; the first one of a session is the control stream. Lower priorities leave first. */
    | { do: "open"; session: number; stream: number; bidi: boolean; priority: number }
    /** Write, and close the writer when `fin`; answered by `sent`. `bytes` may be empty when `fin`. */
    | { do: "send"; session: number; stream: number; bytes: Uint8Array<ArrayBuffer>; fin: boolean }
    /** Abort the writer; what was not written yet is thrown away. */
    | { do: "reset"; session: number; stream: number; code: number }
    /** Cancel the reader. */
    | { do: "stop"; session: number; stream: number; code: number }
    /** Answered by `datagramsSent`. */
    | { do: "datagram"; session: number; bytes: Uint8Array }
    /** One WebSocket message; answered by `messageSent`. */
    | { do: "message"; session: number; bytes: Uint8Array }
    /** Close the session once everything before is written. */
    | { do: "close"; session: number; code: number; words: string };

/** One frame of sound. */
export interface SoundEvent {
    event: "sound";
    participant: number;
    track: bigint;
    bytes: Uint8Array<ArrayBuffer>;
    /** Microseconds since 1970 on the sender's clock. */
    capturedUs: number;
    /** Frames that are missing before it. */
    lost: number;
    /** Milliseconds of playout delay wanted now. */
    target: number;
}

/** One picture. */
export interface PictureEvent {
    event: "picture";
    participant: number;
    track: bigint;
    bytes: Uint8Array<ArrayBuffer>;
    /** Microseconds since 1970 on the sender's clock. */
    capturedUs: number;
    key: boolean;
    layer: number;
    /** When to show it, milliseconds on the `now` line. */
    due: number;
    /** Too late to be shown: to be decoded all the same, because later ones need it. */
    late: boolean;
}

/** What the application is told, in this order. */
export type RoomEvent =
    /** The room exists; whoever has the link may come in. */
    | { event: "created"; link: string }
    /** In the room, with the whole state. Comes again when the way back led through a new leaf. */
    | { event: "joined"; me: number; title: string; roster: Participant[]; tracks: Track[]; epoch: number; safetyCode: string }
    | { event: "participantJoined"; participant: Participant }
    | { event: "participantChanged"; participant: Participant }
    | { event: "participantLeft"; id: number; how: "left" | "reaped" | "removed" | "moved"; by?: number }
    | { event: "trackPublished"; track: Track }
    | { event: "trackChanged"; track: Track }
    | { event: "trackUnpublished"; participant: number; track: bigint }
    | { event: "trackTrust"; participant: number; track: bigint; trust: Trust }
    | SoundEvent
    | PictureEvent
    | { event: "framesLost"; participant: number; track: bigint; count: number }
    | { event: "frameRefused"; participant?: number; reason: string }
    /** `id` is equal at everybody; `at` is the sender's clock, milliseconds since 1970. */
    | { event: "chat"; from: number; id: string; text: string; at: number; name: string; gone: boolean; history: boolean }
    | { event: "chatGap"; from: number; count: number }
    /** These words are on the other's screen as well, if nobody sits in between. */
    | { event: "compareCode"; participant: number; words: string; epoch: number }
    | { event: "compareUnanswered"; participant: number }
    /** What both of a comparison can be recognised by in later calls: a secret, to be stored or to be forgotten. */
    | { event: "acquaintance"; participant: number; secret: Uint8Array<ArrayBuffer> }
    /** Whose hands are up, in the order in which they were raised. */
    | { event: "hands"; hands: number[] }
    | { event: "reaction"; from: number; text: string }
    /** Somebody asks us to mute ourselves. */
    | { event: "muteRequested"; by: number; kind: Kind }
    /** The hub's own signatures prove that it told two histories. */
    | { event: "equivocation"; relay: string; proof: Uint8Array<ArrayBuffer> }
    /** `safetyCode` has 30 digits that are equal at everybody in this epoch. */
    | { event: "epoch"; epoch: number; safetyCode: string }
    | { event: "keyFrameWanted"; local: number }
    | { event: "published"; local: number }
    | { event: "connection"; state: "connecting" | "connected" | "reconnecting" | "controlLost" | "sendingStopped"; transport?: Transport }
    | { event: "carriers"; carriers: Carrier[] }
    /** To hosts: somebody asks to come in. `code` stands on their screen as well. */
    | { event: "knock"; request: string; name: string; code: string; oldLink: boolean }
    /** Nobody has to answer any more. */
    | { event: "knockGone"; request: string }
    /** To whoever asks to come in: a host has to decide. */
    | { event: "waiting"; code: string }
    | { event: "linkChanged"; link: string }
    | { event: "modeChanged"; mode: Mode; by?: number }
    | { event: "hostsChanged"; hosts: number[] }
    /** We wanted to leave, are the last host, and others are here. Leaving again leaves. */
    | { event: "lastHost" }
    /** A report, as a document of JSON. */
    | { event: "reportReady"; document: string; stamped: boolean }
    /** To hosts: somebody did what no honest client does. */
    | { event: "misbehaved"; participant: number; what: "junk" | "fault" }
    /** A sentence for people; `kind` is for programs and for translations. */
    | { event: "warning"; text: string; kind: string }
    /** The last one. */
    | { event: "ended"; why: "left" | "callEnded" | "failed"; text: string; kind: string };

export type Item = Deed | RoomEvent;

/** What was counted so far. */
export interface Stats {
    framesSent: number;
    framesDropped: number;
    /** For tracks that are said to be muted. */
    framesMuted: number;
    /** While the room's control was out of reach. */
    framesStopped: number;
    objectsOpened: number;
    refusedMalformed: number;
    refusedNoKeyYet: number;
    refusedLeftEpoch: number;
    refusedBeforeJoin: number;
    refusedDamaged: number;
    refusedWrongObject: number;
    refusedReplayed: number;
    refusedUnknownSender: number;
    refusedBadSignature: number;
    refusedTooMuch: number;
    /** How often the log was asked for again, because objects came of an epoch that it had not brought. */
    logAskedAgain: number;
    /** How often a key frame was asked for, because an object of a picture could not be opened. */
    repairsAsked: number;
    /** Frames of silence, sent in place of frames in small rooms. */
    coverSent: number;
    coverReceived: number;
    /** Words of ours about what we sealed. */
    attestSaid: number;
    attestRefused: number;
    /** Opened, and not delivered, because nobody signed them or somebody forged some. */
    framesWithheld: number;
    entriesApplied: number;
    entriesSkipped: number;
    entriesMade: number;
    knocksRefused: number;
    sessions: number;
    rejoins: number;
    eventsDropped: number;
    /** Writes and datagrams that the transport could not take at that moment. */
    blocked: number;
}

/** What a relay's signed document says. */
export interface WellKnown {
    /** 64 hexadecimal digits. */
    relay: string;
    operator: string;
    operatorName: string;
    addresses: string[];
    /** SHA-256 of the certificates that WebTransport may meet now and soon. */
    certificateHashes: Uint8Array<ArrayBuffer>[];
}

/** What a link says to whoever holds it; its secret stays in it. */
export interface LinkParts {
    host: string;
    /** The beginning of the room's id. */
    room: string;
    hubs: { relay: string; address: string }[];
}
