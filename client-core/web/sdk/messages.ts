/**
 * Everything that the page and its worker say to each other, and what the worker says to the player. One file, so that
 * both sides agree; both are of one build, so nothing here is a protocol.
 */

import type { Kind, Options, RoomEvent, RoomStats } from "./types.js";

/** Where captured frames come from: whichever way this browser has. */
export type Source =
  /** Frames of a `MediaStreamTrackProcessor` of the page (Chromium). */
  | { readonly via: "frames"; readonly frames: ReadableStream<VideoFrame | AudioData> }
  /** The track itself, processed in the worker (Safari). */
  | { readonly via: "track"; readonly track: MediaStreamTrack }
  /** `CapturedPicture`s or `CapturedSound`s on a port (others). */
  | { readonly via: "port"; readonly port: MessagePort };

/** One picture on a capture port. */
export interface CapturedPicture {
  readonly frame: VideoFrame;
}

/** One block of one-channel sound on a capture port. */
export interface CapturedSound {
  readonly samples: Float32Array<ArrayBuffer>;
  /** Hz. */
  readonly rate: number;
  /** Position of the first sample since capture began, in microseconds. */
  readonly timestamp: number;
}

/** What to publish, with every default filled in. */
export interface PublishOrder {
  readonly local: number;
  readonly kind: Kind;
  readonly source: Source;
  readonly label: string;
  readonly bitrate: number;
  readonly width: number;
  readonly height: number;
  readonly frameRate: number;
}

/** How to enter, without what only the page needs. */
export interface Entry extends Required<Pick<Options, "name" | "relay" | "udp">> {
  /** When the application asked for it, in unix milliseconds of the page's fine clock. */
  readonly began: number;
}

export type ToWorker =
  | { readonly to: "load"; readonly wasmUrl?: string }
  | { readonly to: "check"; readonly ask: number; readonly link: string }
  | { readonly to: "join"; readonly link: string; readonly entry: Entry; readonly player: MessagePort }
  | {
      readonly to: "create";
      readonly entry: Entry;
      readonly title: string;
      readonly maxMembers: number;
      readonly player: MessagePort;
    }
  | { readonly to: "publish"; readonly order: PublishOrder }
  | { readonly to: "unpublish"; readonly local: number }
  | { readonly to: "mute"; readonly local: number; readonly muted: boolean }
  /** `surface` comes with the first order for a canvas, which is known by `canvas` from then on. */
  | {
      readonly to: "show";
      readonly participant: number;
      readonly track: bigint;
      readonly canvas: number;
      readonly surface?: OffscreenCanvas;
    }
  | { readonly to: "hide"; readonly participant: number; readonly track: bigint }
  /** The canvas does not exist any more. */
  | { readonly to: "discard"; readonly canvas: number }
  | { readonly to: "chat"; readonly text: string }
  | { readonly to: "stats"; readonly ask: number }
  | { readonly to: "leave" };

export type FromWorker =
  /** The core is loaded. `processor`: this worker can process a track itself. */
  | { readonly from: "loaded"; readonly processor: boolean }
  /** The core cannot be loaded or has failed; nothing works any more. */
  | { readonly from: "broken"; readonly kind: string; readonly text: string }
  | { readonly from: "checked"; readonly ask: number; readonly host: string }
  | { readonly from: "refused"; readonly ask: number; readonly kind: string; readonly text: string }
  /** `join` or `create` did not even begin. */
  | { readonly from: "notEntered"; readonly kind: string; readonly text: string }
  | { readonly from: "event"; readonly event: RoomEvent }
  | { readonly from: "published"; readonly local: number }
  /** A published track is over: by order, or because its source ended or cannot be encoded. */
  | { readonly from: "unpublished"; readonly local: number; readonly text: string }
  | { readonly from: "stats"; readonly ask: number; readonly stats: RoomStats };

/** From the worker to the player. */
export type ToPlayer =
  /** 48 kHz, one or two planes. `speaker` names a track; `lost`: frames missing before it; `target`: milliseconds. */
  | {
      readonly to: "play";
      readonly speaker: string;
      readonly participant: number;
      readonly planes: readonly Float32Array<ArrayBuffer>[];
      readonly lost: number;
      readonly target: number;
    }
  | { readonly to: "forget"; readonly speaker: string };

/** From the player to the worker, twice a second. */
export interface PlayerReport {
  readonly underruns: number;
  readonly bufferedMs: number;
  /** The largest target of the speakers, milliseconds. */
  readonly targetMs: number;
}

/** From the player to the page, when it is somebody else's turn: participants whose voice is heard. */
export interface Speaking {
  readonly speaking: readonly number[];
}

/** From the page to the player. */
export type PlayerOrder =
  | { readonly order: "listen"; readonly port: MessagePort }
  | { readonly order: "volume"; readonly participant: number; readonly volume: number };

