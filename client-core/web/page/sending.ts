/**
 * Owns what this person sends: the microphone, the camera and a screen, each published while it is on. Muted sound stays
 * published, so that speaking again takes no time; a camera that is off is not published at all.
 */

import type { Kind, PublishedTrack, PublishOptions, Room } from "../sdk/index.js";
import type { Devices } from "./devices.js";
import { words } from "./words.js";

/** What is published, and from which source. */
interface Sent {
  readonly source: MediaStreamTrack;
  readonly published: PublishedTrack;
}

type Slot = "microphone" | "camera" | "screen" | "screen-audio";

/** The most that a camera's picture may cost, bit/s. */
const CAMERA_BITRATE = { small: 300_000, normal: 700_000 };

/** Everything sent into one room. */
export class Sending {
  readonly #room: Room;
  readonly #devices: Devices;
  readonly #sent = new Map<Slot, Sent>();
  #screen: MediaStream | undefined;
  #muted = false;
  #closed = false;
  /** Changes are made one after the other. */
  #work: Promise<void> = Promise.resolve();
  /** Called whenever something is on or off, or does not work. */
  changed: () => void = () => undefined;
  /** The sentence for what could not be sent. */
  trouble: string | undefined;

  constructor(room: Room, devices: Devices) {
    this.#room = room;
    this.#devices = devices;
  }

  /** Whether the others can hear this person. */
  get muted(): boolean {
    return this.#muted || this.#devices.track("microphone") === undefined;
  }

  /** The own screen, while it is shared. */
  get screen(): MediaStreamTrack | undefined {
    return this.#screen?.getVideoTracks()[0];
  }

  /** Publishes what is on and takes back what is not. */
  sync(): Promise<void> {
    this.#work = this.#work.then(async () => {
      await this.#have("microphone", this.#devices.track("microphone"));
      await this.#have("camera", this.#devices.track("camera"));
      await this.#have("screen", this.screen);
      await this.#have("screen-audio", this.#screen?.getAudioTracks()[0]);
      this.#sayMuted();
    }).catch(() => {
      this.trouble = words.devices.notPublished;
    }).finally(() => this.changed());
    return this.#work;
  }

  /** Silent, or heard again; a microphone that was off is switched on first. */
  async mute(muted: boolean): Promise<void> {
    this.#muted = muted;
    this.#sayMuted();
    this.changed();
    if (!muted && this.#devices.track("microphone") === undefined) await this.#devices.switchOn("microphone");
  }

  /** Asks which screen or window, and shares it; ended by the browser's own button too. */
  async share(): Promise<string | undefined> {
    try {
      const wish: DisplayMediaStreamOptions & Record<string, unknown> = {
        video: { frameRate: { ideal: 15, max: 30 } },
        audio: true,
        // The sound of the whole system would bring the others their own voices back.
        systemAudio: "exclude",
        selfBrowserSurface: "exclude",
      };
      const stream = await navigator.mediaDevices.getDisplayMedia(wish);
      if (this.#closed) {
        for (const track of stream.getTracks()) track.stop();
        return undefined;
      }
      this.#screen = stream;
      const picture = stream.getVideoTracks()[0];
      if (picture !== undefined) {
        picture.contentHint = "detail";
        picture.addEventListener("ended", () => void this.unshare());
      }
      await this.sync();
      return undefined;
    } catch (error) {
      const name = error instanceof DOMException ? error.name : "";
      // Closing the question without a choice is no trouble.
      return name === "NotAllowedError" || name === "AbortError" ? undefined : words.devices.screenFailed;
    }
  }

  /** Not shared any more. */
  async unshare(): Promise<void> {
    for (const track of this.#screen?.getTracks() ?? []) track.stop();
    this.#screen = undefined;
    await this.sync();
  }

  /** Devices off; the room takes its tracks back by itself when it is left. */
  close(): void {
    this.#closed = true;
    for (const track of this.#screen?.getTracks() ?? []) track.stop();
    this.#screen = undefined;
    this.#devices.close();
  }

  #sayMuted(): void {
    const track = this.#devices.track("microphone");
    if (track !== undefined) track.enabled = !this.#muted;
    this.#sent.get("microphone")?.published.mute(this.#muted);
  }

  async #have(slot: Slot, source: MediaStreamTrack | undefined): Promise<void> {
    const before = this.#sent.get(slot);
    if (before?.source === source || this.#closed) return;
    if (before !== undefined) {
      this.#sent.delete(slot);
      before.published.unpublish();
    }
    if (source === undefined) return;
    const published = await this.#room.publish(source, this.#options(slot));
    this.#sent.set(slot, { source, published });
    this.trouble = undefined;
  }

  #options(slot: Slot): PublishOptions {
    const kind: Kind = slot;
    if (slot !== "camera") return { kind };
    const size = this.#devices.size;
    return { kind, ...size, bitrate: size.width <= 320 ? CAMERA_BITRATE.small : CAMERA_BITRATE.normal };
  }
}
