/** The seam between the engine and a connection to the relay: two implementations, WebTransport and WebSocket. */

import type { TransportItem } from "../core.js";
import type { TransportKind } from "../types.js";

/** What a connection tells. Numbers of streams are the core's. */
export interface Sink {
  /** The relay opened a stream; answers its number, or nothing when the session is over. */
  streamIn(bidi: boolean): number | undefined;
  data(stream: number, bytes: Uint8Array, fin: boolean): void;
  reset(stream: number, code: number): void;
  stopped(stream: number, code: number): void;
  datagram(bytes: Uint8Array): void;
  /** The connection took so many bytes of the `send` items of a stream. */
  sent(stream: number, bytes: number): void;
  datagramsSent(count: number): void;
  message(bytes: Uint8Array): void;
  /** So many bytes of the `message` items have left this process. */
  messageSent(bytes: number): void;
  /** The connection is over: by the relay with a code, or lost (`undefined`). Told once, and nothing after it. */
  closed(code: number | undefined, words: string): void;
}

/** An open connection. It says nothing before `start`. */
export interface Transport {
  readonly kind: TransportKind;
  start(sink: Sink): void;
  /** Carries out one item of the core. */
  perform(item: TransportItem): void;
  /** Since when, on the `now` line, the oldest bytes that were handed over and not taken have waited; 0 if none have. */
  waitingSince(): number;
  /** Ends it from this side; `closed` is not told. */
  close(code: number, words: string): void;
}
