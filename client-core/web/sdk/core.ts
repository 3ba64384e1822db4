/**
 * The one door to the WebAssembly core: its class, and the shapes that cross the border, which the bindings leave
 * untyped. What the core answers is of the same build, so it is believed and not checked again.
 */

import init, { Core as Wasm, readLink as wasmLink, readWellKnown as wasmWellKnown } from "../core/conclave_web.js";
import type { RoomEvent, TransportKind } from "./types.js";

/** Something to do for a connection. */
export type TransportItem =
  | { readonly do: "open"; readonly session: number; readonly stream: number; readonly bidi: boolean; readonly priority: number }
  | { readonly do: "send"; readonly session: number; readonly stream: number; readonly bytes: Uint8Array; readonly fin: boolean }
  | { readonly do: "reset"; readonly session: number; readonly stream: number; readonly code: number }
  | { readonly do: "stop"; readonly session: number; readonly stream: number; readonly code: number }
  | { readonly do: "datagram"; readonly session: number; readonly bytes: Uint8Array }
  | { readonly do: "message"; readonly session: number; readonly bytes: Uint8Array }
  | { readonly do: "close"; readonly session: number; readonly code: number; readonly words: string };

/** Sound that opened: one frame of Opus. */
export interface SoundItem {
  readonly event: "sound";
  readonly participant: number;
  readonly track: bigint;
  readonly bytes: Uint8Array;
  /** Unix microseconds, by the sender's clock. */
  readonly capturedUs: number;
  /** Frames missing right before it. */
  readonly lost: number;
  /** Playout delay wanted now, milliseconds. */
  readonly target: number;
}

/** A picture that opened. */
export interface PictureItem {
  readonly event: "picture";
  readonly participant: number;
  readonly track: bigint;
  readonly bytes: Uint8Array;
  readonly capturedUs: number;
  readonly key: boolean;
  readonly layer: number;
  /** When to show it, on the `performance.now()` line of this worker. */
  readonly due: number;
  /** To be decoded, because others need it, and not to be shown. */
  readonly late: boolean;
}

/** All that the core wants done, or tells. */
export type Item =
  | { readonly do: "dial"; readonly dial: number }
  | TransportItem
  | SoundItem
  | PictureItem
  | { readonly event: "framesLost"; readonly participant: number; readonly track: bigint; readonly count: number }
  | { readonly event: "frameRefused"; readonly participant?: number; readonly reason: string }
  | { readonly event: "keyFrameWanted"; readonly local: number }
  | { readonly event: "published"; readonly local: number }
  | Exclude<RoomEvent, { readonly event: "shown" | "speaking" }>;

/** Why a dial came to nothing. */
export type DialFailure = "unreachable" | "unknown-name" | "wrong-key" | "not-conclave";

/** Who enters, and through whom. */
export interface Start {
  readonly name: string;
  /** 64 hex digits. */
  readonly relay: string;
  /** `host:port` as dialled. */
  readonly address: string;
  /** 32 bytes of chance. */
  readonly seed: Uint8Array;
}

/** What is announced of a published track. */
export interface Media {
  readonly kind: "microphone" | "camera" | "screen" | "screen-audio";
  readonly codec: "opus" | "vp8";
  readonly label: string;
  readonly width: number;
  readonly height: number;
  readonly layers: number;
}

/** A relay's signed word about itself. */
export interface WellKnown {
  readonly relay: string;
  readonly operator: string;
  readonly operatorName: string;
  readonly addresses: readonly string[];
  readonly certificateHashes: readonly Uint8Array[];
}

/** A participant without a face: every input takes the time first, `now` monotonic and `unix` by the clock. */
export interface Core {
  poll(now: number, unix: number): Item[];
  wait(): number | undefined;
  connected(now: number, unix: number, dial: number, transport: TransportKind): number;
  dialFailed(now: number, unix: number, dial: number, why: DialFailure): void;
  streamIn(session: number, bidi: boolean): number;
  data(now: number, unix: number, session: number, stream: number, bytes: Uint8Array, fin: boolean): void;
  resetIn(now: number, unix: number, session: number, stream: number, code: number): void;
  stoppedIn(now: number, unix: number, session: number, stream: number, code: number): void;
  datagram(now: number, unix: number, session: number, bytes: Uint8Array): void;
  sent(now: number, unix: number, session: number, stream: number, bytes: number): void;
  datagramsSent(now: number, unix: number, session: number, count: number): void;
  message(now: number, unix: number, session: number, bytes: Uint8Array): void;
  messageSent(now: number, unix: number, session: number, bytes: number): void;
  closed(now: number, unix: number, session: number, code: number | undefined, words: string): void;
  publish(now: number, unix: number, local: number, media: Media): void;
  unpublish(now: number, unix: number, local: number): void;
  mute(now: number, unix: number, local: number, muted: boolean): void;
  write(now: number, unix: number, local: number, bytes: Uint8Array, capturedUs: number, key: boolean, layer: number): void;
  chat(now: number, unix: number, text: string): void;
  requestKeyFrame(now: number, unix: number, participant: number, track: bigint): void;
  leave(now: number, unix: number): void;
  stats(): object;
  free(): void;
}

/** Loads the core; needed once before anything else here. Rejects when the browser cannot. */
export async function loadCore(url: string | undefined): Promise<void> {
  await (url === undefined ? init() : init({ module_or_path: url }));
}

/** Enters a room. Throws an `Error` with a sentence. */
export function joinRoom(link: string, start: Start): Core {
  return Wasm.join(link, start) as unknown as Core;
}

/** Begins a room. Throws an `Error` with a sentence. */
export function createRoom(title: string, maxMembers: number, start: Start): Core {
  return Wasm.create(title, maxMembers, start) as unknown as Core;
}

/** Reads a relay's document. Throws an `Error` with a sentence when it is not signed, has run out, or is damaged. */
export function readWellKnown(json: string): WellKnown {
  return wasmWellKnown(json, Date.now()) as unknown as WellKnown;
}

/** Reads a link. Throws an `Error` with a sentence. */
export function readLink(link: string): { readonly host: string } {
  return wasmLink(link) as unknown as { readonly host: string };
}
