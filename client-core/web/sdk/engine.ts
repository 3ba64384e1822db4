/**
 * The loop around the core: it is asked what is to be done, that is done, and it is asked again at the latest when it
 * said. Every input is followed by a step; the steps of one turn are one.
 */

import type { AnyTrack, Core, Item, PictureItem } from "./core.js";
import { DialError, type Dialler } from "./dial.js";
import { words } from "./errors.js";
import type { FromWorker, PlayerReport, PublishOrder } from "./messages.js";
import { Incomings } from "./receive.js";
import { Outgoings } from "./send.js";
import type { Transport } from "./transport/transport.js";
import type { RoomEvent, RoomStats, Track, TransportKind } from "./types.js";

/** Frames refused in this time after joining belong to the keys of before, in milliseconds. */
const SETTLING_MS = 1_000;

/** The most that a timer is set ahead, in milliseconds: longer ones would not fit into its number. */
const FAR_MS = 60_000;

/** Everything of one room that happens in the worker. */
export class Engine {
  readonly #core: Core;
  readonly #relay: string;
  readonly #dialler: Dialler;
  readonly #tell: (message: FromWorker) => void;
  readonly #began: number;
  readonly #transports = new Map<number, Transport>();
  readonly #incomings: Incomings;
  readonly #outgoings: Outgoings;
  #transport: TransportKind | undefined;
  #player: PlayerReport = { underruns: 0, bufferedMs: 0, targetMs: 0 };
  #joinedAt: number | undefined;
  #firstFrameMs: number | undefined;
  #refused = 0;
  #stepping = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #over = false;

  /** `relay`: the key that the entry relay has proved, 64 hex digits. `began`: when the user asked, `now` line. */
  constructor(core: Core, relay: string, dialler: Dialler, player: MessagePort, began: number, tell: (message: FromWorker) => void) {
    this.#core = core;
    this.#relay = relay;
    this.#dialler = dialler;
    this.#began = began;
    this.#tell = tell;
    this.#incomings = new Incomings(player, {
      askKey: (participant, track) => this.#do((now, unix) => core.requestKeyFrame(now, unix, participant, track)),
      shown: (participant, track, width, height) => {
        this.#firstFrameMs ??= performance.now() - this.#began;
        this.#event({ event: "shown", participant, track, width, height });
      },
    });
    this.#outgoings = new Outgoings({
      write: (local, bytes, capturedUs, key, layer) =>
        this.#do((now, unix) => core.write(now, unix, local, bytes, capturedUs, key, layer)),
      fullMs: () => this.#fullMs(),
      over: (local, text) => this.unpublish(local, text),
    });
    player.onmessage = (event: MessageEvent<PlayerReport>) => {
      this.#player = event.data;
    };
    this.#wake();
  }

  publish(order: PublishOrder): void {
    const { local, kind, label, width, height } = order;
    const sound = kind === "microphone" || kind === "screen-audio";
    const media = { kind, label, width, height, codec: sound ? "opus" : "vp8", layers: sound ? 1 : 2 } as const;
    let refused = "The call has ended.";
    let taken = false;
    this.#do((now, unix) => {
      taken =
        this.#ask(
          () => {
            this.#core.publish(now, unix, local, media);
            this.#outgoings.add(order);
            return true;
          },
          (thrown) => (refused = words(thrown)),
        ) ?? false;
    });
    if (!taken) {
      this.unpublish(local, refused);
    }
  }

  unpublish(local: number, text = "It is no longer published."): void {
    const known = this.#outgoings.remove(local);
    if (known) {
      this.#do((now, unix) => this.#core.unpublish(now, unix, local));
    }
    this.#tell({ from: "unpublished", local, text });
  }

  mute(local: number, muted: boolean): void {
    this.#outgoings.mute(local, muted);
    this.#do((now, unix) => this.#core.mute(now, unix, local, muted));
  }

  show(participant: number, track: bigint, canvas: number, surface: OffscreenCanvas | undefined): void {
    this.#incomings.show(participant, track, canvas, surface);
  }

  hide(participant: number, track: bigint): void {
    this.#incomings.hide(participant, track);
  }

  discard(canvas: number): void {
    this.#incomings.discard(canvas);
  }

  chat(text: string): void {
    this.#do((now, unix) => this.#core.chat(now, unix, text));
  }

  leave(): void {
    this.#outgoings.close();
    this.#do((now, unix) => this.#core.leave(now, unix));
    // At once and not in a moment: the page may be gone by then.
    this.#step();
  }

  stats(): RoomStats {
    const stats: RoomStats = {
      perTrack: this.#incomings.stats(),
      sending: this.#outgoings.stats(),
      refusedAfterFirstSecond: this.#refused,
      audioUnderruns: this.#player.underruns,
      targetMs: this.#player.targetMs,
      bufferedMs: this.#player.bufferedMs,
      core: this.#over ? {} : { ...this.#core.stats() },
    };
    return {
      ...stats,
      ...(this.#transport !== undefined && { transport: this.#transport }),
      ...(this.#firstFrameMs !== undefined && { firstFrameMs: this.#firstFrameMs }),
    };
  }

  /** Gives the core something, then sees what it wants. Nothing after the end. */
  #do(input: (now: number, unix: number) => void): void {
    if (this.#over) {
      return;
    }
    try {
      input(performance.now(), Date.now());
    } catch (thrown) {
      this.#broken(thrown);
      return;
    }
    this.#wake();
  }

  /** What the core answers; nothing when it refuses, which is no fault of it: `refused` has its reason. */
  #ask<T>(question: () => T, refused: (thrown: unknown) => void = () => undefined): T | undefined {
    if (this.#over) {
      return undefined;
    }
    try {
      return question();
    } catch (thrown) {
      if (thrown instanceof WebAssembly.RuntimeError) {
        throw thrown;
      }
      refused(thrown);
      return undefined;
    }
  }

  /** A step comes when this turn's inputs are all in: one read often brings several. */
  #wake(): void {
    if (!this.#stepping) {
      this.#stepping = true;
      queueMicrotask(() => this.#step());
    }
  }

  #step(): void {
    if (this.#over) {
      return;
    }
    this.#stepping = false;
    clearTimeout(this.#timer);
    try {
      const items = this.#core.poll(performance.now(), Date.now());
      this.#carryOut(items);
      const wait = this.#over ? undefined : this.#core.wait();
      if (wait !== undefined) {
        const left = Math.min(Math.max(wait - performance.now(), 0), FAR_MS);
        this.#timer = setTimeout(() => this.#step(), left);
      }
    } catch (thrown) {
      this.#broken(thrown);
    }
  }

  /** In order, but pictures last: decoding them takes the longest, and a voice must not wait for a face. */
  #carryOut(items: readonly Item[]): void {
    const pictures: PictureItem[] = [];
    for (const item of items) {
      if ("do" in item) {
        if (item.do === "dial") {
          void this.#dial(item.dial);
        } else {
          this.#transports.get(item.session)?.perform(item);
          if (item.do === "close") {
            this.#transports.delete(item.session);
          }
        }
      } else if (item.event === "picture") {
        pictures.push(item);
      } else {
        this.#told(item);
      }
    }
    for (const picture of pictures) {
      this.#incomings.picture(picture);
    }
  }

  #told(item: Exclude<Extract<Item, { event: unknown }>, PictureItem>): void {
    switch (item.event) {
      case "sound":
        this.#incomings.sound(item);
        return;
      case "framesLost":
        this.#incomings.lost(item.participant, item.track, item.count);
        return;
      case "frameRefused":
        if (this.#joinedAt !== undefined && performance.now() - this.#joinedAt > SETTLING_MS) {
          this.#refused += 1;
        }
        return;
      case "keyFrameWanted":
        this.#outgoings.keyFrame(item.local);
        return;
      case "published":
        this.#tell({ from: "published", local: item.local });
        return;
      case "joined":
        this.#joinedAt = performance.now();
        this.#incomings.keep(item.tracks.filter(playable));
        this.#event({ ...item, tracks: item.tracks.filter(playable) });
        return;
      case "trackPublished":
      case "trackChanged": {
        const { event, track } = item;
        if (playable(track)) {
          this.#incomings.add(track);
          this.#event({ event, track });
        }
        return;
      }
      case "trackUnpublished":
        this.#incomings.remove(item.participant, item.track);
        this.#event(item);
        return;
      case "participantLeft":
        this.#incomings.removeAllOf(item.id);
        this.#event(item);
        return;
      case "connection":
        this.#transport = item.transport ?? (item.state === "reconnecting" ? undefined : this.#transport);
        this.#event(item);
        return;
      case "ended":
        this.#event(item);
        this.#end();
        return;
      case "lastHost":
        // Whoever leaves a page has been asked by the page.
        this.#do((now, unix) => this.#core.leave(now, unix));
        return;
      case "created":
      case "participantJoined":
      case "participantChanged":
      case "chat":
      case "chatGap":
      case "epoch":
      case "carriers":
      case "warning":
        this.#event(item);
        return;
    }
  }

  #event(event: RoomEvent): void {
    this.#tell({ from: "event", event });
  }

  async #dial(dial: number): Promise<void> {
    let transport: Transport;
    try {
      transport = await this.#dialler.connect(this.#relay);
    } catch (thrown) {
      const why = thrown instanceof DialError ? thrown.why : "unreachable";
      this.#do((now, unix) => this.#core.dialFailed(now, unix, dial, why));
      return;
    }
    if (this.#over) {
      transport.close(0, "");
      return;
    }
    this.#do((now, unix) => {
      const session = this.#ask(() => this.#core.connected(now, unix, dial, transport.kind));
      if (session === undefined) {
        transport.close(0, "");
        return;
      }
      this.#transports.set(session, transport);
      this.#listen(session, transport);
    });
  }

  #listen(session: number, transport: Transport): void {
    const core = this.#core;
    transport.start({
      streamIn: (bidi) => this.#ask(() => core.streamIn(session, bidi)),
      data: (stream, bytes, fin) => this.#do((now, unix) => core.data(now, unix, session, stream, bytes, fin)),
      reset: (stream, code) => this.#do((now, unix) => core.resetIn(now, unix, session, stream, code)),
      stopped: (stream, code) => this.#do((now, unix) => core.stoppedIn(now, unix, session, stream, code)),
      datagram: (bytes) => this.#do((now, unix) => core.datagram(now, unix, session, bytes)),
      sent: (stream, bytes) => this.#do((now, unix) => core.sent(now, unix, session, stream, bytes)),
      datagramsSent: (count) => this.#do((now, unix) => core.datagramsSent(now, unix, session, count)),
      message: (bytes) => this.#do((now, unix) => core.message(now, unix, session, bytes)),
      messageSent: (bytes) => this.#do((now, unix) => core.messageSent(now, unix, session, bytes)),
      closed: (code, text) => {
        this.#transports.delete(session);
        this.#do((now, unix) => core.closed(now, unix, session, code, text));
      },
    });
  }

  #fullMs(): number {
    let oldest = 0;
    for (const transport of this.#transports.values()) {
      const since = transport.waitingSince();
      if (since > 0) {
        oldest = Math.max(oldest, performance.now() - since);
      }
    }
    return oldest;
  }

  #broken(thrown: unknown): void {
    if (!this.#over) {
      const text = `The call's program failed: ${words(thrown)}. Reload the page and join again.`;
      this.#event({ event: "ended", why: "failed", text, kind: "bug" });
      this.#end();
    }
  }

  #end(): void {
    this.#over = true;
    clearTimeout(this.#timer);
    this.#outgoings.close();
    this.#incomings.close();
    for (const transport of this.#transports.values()) {
      transport.close(0, "");
    }
    this.#transports.clear();
  }
}

/** Tracks of data, and of codecs for programs, are none that a page shows. */
function playable(track: AnyTrack): track is Track {
  return KINDS.has(track.kind) && CODECS.has(track.codec);
}

const KINDS: ReadonlySet<string> = new Set(["microphone", "camera", "screen", "screen-audio"]);
const CODECS: ReadonlySet<string> = new Set(["opus", "vp8", "vp9", "av1", "h264"]);
