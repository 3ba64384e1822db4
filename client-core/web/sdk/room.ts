/** A room, as an application holds it: a thin hand on the worker that does the work. */

import { feed, type Feed } from "./capture.js";
import { RoomError } from "./errors.js";
import { Events } from "./events.js";
import { borrowWorker, takeWorker, type Labour } from "./labour.js";
import type { Entry, FromWorker, ToWorker } from "./messages.js";
import { Player } from "./player.js";
import { announcedSize } from "./size.js";
import { EMPTY, reduce } from "./state.js";
import type {
  CreateOptions,
  EventKind,
  EventOf,
  Kind,
  Options,
  PublishOptions,
  RoomEvent,
  RoomState,
  RoomStats,
} from "./types.js";

/** How long `leave` waits for the others to be told, in milliseconds, before the worker is ended anyway. */
const FAREWELL_MS = 3_000;

/** Members a room may have when nothing is said. */
const DEFAULT_MEMBERS = 50;

/** A track of mine that the others receive. */
export class PublishedTrack {
  /** Number of this track in this room, given by this page. */
  readonly local: number;
  readonly kind: Kind;
  /** Resolves, with a sentence, when the track is no longer published: by order, or because its device ended. */
  readonly ended: Promise<string>;
  readonly #labour: Labour;
  #muted = false;

  /** @internal */
  constructor(local: number, kind: Kind, ended: Promise<string>, labour: Labour) {
    this.local = local;
    this.kind = kind;
    this.ended = ended;
    this.#labour = labour;
  }

  get muted(): boolean {
    return this.#muted;
  }

  /** Sends nothing any more, and says so to the others; or goes on. The device stays open. */
  mute(muted: boolean): void {
    this.#muted = muted;
    this.#labour.post({ to: "mute", local: this.local, muted });
  }

  /** Takes the track out of the call. The device stays open: stopping it is the application's. */
  unpublish(): void {
    this.#labour.post({ to: "unpublish", local: this.local });
  }
}

interface Publication {
  readonly feed: Feed;
  readonly published: () => void;
  readonly ended: (text: string) => void;
}

/** A call in a room. Everything heavy happens in one module worker; this object only passes words on. */
export class Room {
  readonly #labour: Labour;
  readonly #events = new Events();
  readonly #player: Player;
  readonly #canvases = new WeakMap<HTMLCanvasElement, number>();
  /** Canvases come and go with people; the worker's half of one must not stay when the page has dropped it. */
  readonly #dropped = new FinalizationRegistry<number>((canvas) => this.#labour.post({ to: "discard", canvas }));
  readonly #publications = new Map<number, Publication>();
  readonly #watchers = new Set<(state: RoomState) => void>();
  readonly #pagehide = (): void => this.#labour.post({ to: "leave" });
  #state: RoomState = EMPTY;
  readonly #began: number;
  #link: string;
  #number = 0;
  #entered!: { resolve: (room: Room) => void; reject: (error: RoomError) => void };
  #ended!: () => void;
  readonly #over: Promise<void>;

  private constructor(began: number, link: string, labour: Labour, player: Player) {
    this.#began = began;
    this.#link = link;
    this.#labour = labour;
    this.#player = player;
    player.speaking = (participants) => this.#tell({ event: "speaking", participants });
    this.#over = new Promise((resolve) => (this.#ended = resolve));
  }

  /**
   * Enters the room that `link` names and resolves when the group has admitted this page; rejects with a `RoomError`.
   * Sound needs a click of the user before it: see `playing`.
   */
  static async join(link: string, options: Options): Promise<Room> {
    const room = await Room.#prepare(link, options);
    return room.#enter((player, entry) => ({ to: "join", link, entry, player }), options);
  }

  /** Begins a room and enters it; `link` is what the others need. Rejects with a `RoomError`. */
  static async create(options: CreateOptions): Promise<Room> {
    const room = await Room.#prepare("", options);
    const title = options.title ?? "";
    const maxMembers = options.maxMembers ?? DEFAULT_MEMBERS;
    return room.#enter((player, entry) => ({ to: "create", entry, title, maxMembers, player }), options);
  }

  static async #prepare(link: string, options: Options): Promise<Room> {
    const began = performance.timeOrigin + performance.now();
    // The audio context is made first and synchronously: a click that led here still counts as one.
    const player = new Player(options.playerUrl);
    try {
      const [labour] = await Promise.all([takeWorker(options), player.loaded]);
      return new Room(began, link, labour, player);
    } catch (thrown) {
      player.close();
      throw thrown;
    }
  }

  #enter(order: (player: MessagePort, entry: Entry) => ToWorker, options: Options): Promise<Room> {
    const began = this.#began;
    const entry: Entry = {
      name: options.name,
      relay: options.relay ?? globalThis.location.origin,
      udp: options.udp ?? true,
      began,
    };
    const port = this.#player.connect();
    return new Promise((resolve, reject) => {
      this.#entered = { resolve, reject };
      this.#labour.listen((message) => this.#hear(message));
      this.#labour.post(order(port, entry), [port]);
      globalThis.addEventListener("pagehide", this.#pagehide);
    });
  }

  /** The link to this room. After `create` it is known when the promise resolves. */
  get link(): string {
    return this.#link;
  }

  /** The room as it is now. Replaced, never changed. */
  get state(): RoomState {
    return this.#state;
  }

  /** The next event, oldest first; `undefined` after the last. At most 1,024 wait, then the oldest are forgotten. */
  next(): Promise<RoomEvent | undefined> {
    return this.#events.next();
  }

  /** Calls `handler` for every event of `kind`; the returned function ends that. */
  on<K extends EventKind>(kind: K, handler: (event: EventOf<K>) => void): () => void {
    return this.#events.on(kind, handler);
  }

  /** Calls `handler` with every new `state`; the returned function ends that. */
  onState(handler: (state: RoomState) => void): () => void {
    this.#watchers.add(handler);
    return () => {
      this.#watchers.delete(handler);
    };
  }

  /**
   * Publishes a track of `getUserMedia` or `getDisplayMedia` and resolves when the relay has taken it. Sound is Opus,
   * pictures are VP8 in two temporal layers. When the track ends by itself it is unpublished.
   */
  async publish(track: MediaStreamTrack, options: PublishOptions = {}): Promise<PublishedTrack> {
    this.#mustGoOn();
    const local = (this.#number += 1);
    const kind = options.kind ?? (track.kind === "audio" ? "microphone" : "camera");
    const size = announcedSize(track, kind, options);
    const source = await feed(track, this.#labour.processor);
    return new Promise((resolve, reject) => {
      let refuse: ((error: RoomError) => void) | undefined = reject;
      let tell: (text: string) => void = () => undefined;
      const ended = new Promise<string>((done) => (tell = done));
      const published = (): void => {
        refuse = undefined;
        resolve(new PublishedTrack(local, kind, ended, this.#labour));
      };
      this.#publications.set(local, {
        feed: source,
        published,
        ended: (text) => {
          tell(text);
          refuse?.(new RoomError("media", text));
        },
      });
      this.#labour.post(
        {
          to: "publish",
          order: { local, kind, source: source.source, label: options.label ?? "", ...size },
        },
        source.transfer,
      );
    });
  }

  /**
   * Shows a track on a canvas, from its next key frame on. The canvas is handed to the worker the first time (nothing
   * else can draw on it afterwards) and may show another track later. Its size in pixels follows the pictures.
   */
  show(participant: number, track: bigint, canvas: HTMLCanvasElement): void {
    const known = this.#canvases.get(canvas);
    if (known !== undefined) {
      this.#labour.post({ to: "show", participant, track, canvas: known });
      return;
    }
    const number = (this.#number += 1);
    const surface = canvas.transferControlToOffscreen();
    this.#canvases.set(canvas, number);
    this.#dropped.register(canvas, number);
    this.#labour.post({ to: "show", participant, track, canvas: number, surface }, [surface]);
  }

  /** Takes a track off its canvases, which go black, and stops decoding it. */
  hide(participant: number, track: bigint): void {
    this.#labour.post({ to: "hide", participant, track });
  }

  /** How loud somebody is here: 0 silent, 1 as sent, at most 4. */
  setVolume(participant: number, volume: number): void {
    this.#player.setVolume(participant, Math.min(Math.max(volume, 0), 4));
  }

  /** Resolves when sound really plays: browsers want a click or a key press first. */
  get playing(): Promise<void> {
    return this.#player.playing;
  }

  /** Starts the sound; to be called in a handler of a click when `playing` has not resolved by itself. */
  play(): Promise<void> {
    return this.#player.resume();
  }

  /** Says `text` to everybody in the room: at most 4 KiB, longer ones are refused with a warning. */
  chat(text: string): void {
    this.#mustGoOn();
    this.#labour.post({ to: "chat", text });
  }

  /** Leaves, tells the others, and resolves when that is done (3 s at most). Calling it again is harmless. */
  async leave(): Promise<void> {
    if (this.#state.ended === undefined) {
      this.#labour.post({ to: "leave" });
      const waited = setTimeout(() => {
        this.#tell({ event: "ended", why: "left", text: "You have left.", kind: "left" });
      }, FAREWELL_MS);
      await this.#over;
      clearTimeout(waited);
    }
  }

  /** Counters as they are now; the last ones known, empty ones if there are none, when the room is over. */
  stats(): Promise<RoomStats> {
    return this.#labour.stats();
  }

  #mustGoOn(): void {
    if (this.#state.ended !== undefined) {
      throw new RoomError("over", "The call has ended. Join again.");
    }
  }

  #hear(message: FromWorker): void {
    switch (message.from) {
      case "event":
        this.#tell(message.event);
        return;
      case "notEntered":
        this.#tell({ event: "ended", why: "failed", text: message.text, kind: message.kind });
        return;
      case "broken":
        this.#tell({ event: "ended", why: "failed", text: message.text, kind: message.kind });
        return;
      case "published":
        this.#publications.get(message.local)?.published();
        return;
      case "unpublished":
        this.#unpublished(message.local, message.text);
        return;
      case "loaded":
      case "checked":
      case "refused":
      case "stats":
        return; // answered where they were asked
    }
  }

  #tell(event: RoomEvent): void {
    if (this.#state.ended !== undefined) {
      return;
    }
    const before = this.#state;
    this.#state = reduce(before, event);
    if (event.event === "created") {
      this.#link = event.link;
    }
    if (event.event === "ended") {
      this.#finish(event.text);
    }
    this.#events.tell(event);
    if (this.#state !== before) {
      for (const watcher of [...this.#watchers]) {
        try {
          watcher(this.#state);
        } catch (thrown) {
          reportError(thrown);
        }
      }
    }
    if (event.event === "joined") {
      this.#entered.resolve(this);
    } else if (event.event === "ended") {
      this.#entered.reject(new RoomError(event.kind, event.text));
      this.#ended();
    }
  }

  #unpublished(local: number, text: string): void {
    const publication = this.#publications.get(local);
    this.#publications.delete(local);
    publication?.feed.stop();
    publication?.ended(text);
  }

  #finish(text: string): void {
    globalThis.removeEventListener("pagehide", this.#pagehide);
    for (const local of [...this.#publications.keys()]) {
      this.#unpublished(local, text);
    }
    this.#player.close();
    this.#labour.retire();
  }
}

/**
 * Whether `link` is a link to a room, and the host it begins with; rejects with a `RoomError` of kind `link` and a
 * sentence. The core that was loaded for it is used again by the next `join`.
 */
export async function check(
  link: string,
  options: Pick<Options, "workerUrl" | "wasmUrl"> = {},
): Promise<{ readonly host: string }> {
  const labour = await borrowWorker(options);
  return { host: await labour.check(link) };
}
