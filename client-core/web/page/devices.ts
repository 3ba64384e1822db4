/**
 * Owns this person's camera and microphone: switched on, off and over, and the plain sentence when one does not work.
 * Off means stopped: the camera's light goes out.
 */

import { isSmallMachine } from "./support.js";
import { words } from "./words.js";

/** One of the two. */
export type DeviceKind = "camera" | "microphone";

/** What can be chosen. */
export interface Choice {
  readonly id: string;
  readonly label: string;
}

/** Pixels and frames a second to ask a camera for. */
export interface CameraSize {
  readonly width: number;
  readonly height: number;
  readonly frameRate: number;
}

/** Small when wished for, and on small machines. */
export function cameraSize(small: boolean): CameraSize {
  return small || isSmallMachine()
    ? { width: 320, height: 180, frameRate: 30 }
    : { width: 640, height: 360, frameRate: 30 };
}

/** Camera and microphone of this page. */
export class Devices {
  readonly #size: CameraSize;
  readonly #tracks: { camera?: MediaStreamTrack; microphone?: MediaStreamTrack } = {};
  readonly #chosen: { camera?: string; microphone?: string } = {};
  readonly #troubles: { camera?: string; microphone?: string } = {};
  /** Called whenever a track, a trouble or the list of devices is another one. */
  changed: () => void = () => undefined;
  readonly #unwatch = new AbortController();
  #closed = false;

  constructor(size: CameraSize) {
    this.#size = size;
    navigator.mediaDevices?.addEventListener("devicechange", () => this.changed(), { signal: this.#unwatch.signal });
  }

  get size(): CameraSize {
    return this.#size;
  }

  /** The running track, if it is on. */
  track(kind: DeviceKind): MediaStreamTrack | undefined {
    return this.#tracks[kind];
  }

  /** Why it is not on, if that is not by wish. */
  trouble(kind: DeviceKind): string | undefined {
    return this.#troubles[kind];
  }

  /** Which one is chosen. */
  chosen(kind: DeviceKind): string | undefined {
    return this.#tracks[kind]?.getSettings().deviceId ?? this.#chosen[kind];
  }

  /** Both at once, so that the browser asks one question only; when that fails, one by one. */
  async switchOnBoth(): Promise<void> {
    if (navigator.mediaDevices === undefined) return this.#fail("NotSupportedError");
    try {
      const stream = await navigator.mediaDevices.getUserMedia({
        audio: this.#constraints("microphone"),
        video: this.#constraints("camera"),
      });
      for (const track of stream.getTracks()) this.#take(track.kind === "video" ? "camera" : "microphone", track);
      this.changed();
    } catch {
      await this.switchOn("microphone");
      await this.switchOn("camera");
    }
  }

  /** On, with the chosen device or another one; the trouble says why not. */
  async switchOn(kind: DeviceKind, device?: string): Promise<MediaStreamTrack | undefined> {
    if (device !== undefined) this.#chosen[kind] = device;
    try {
      const constraints = this.#constraints(kind);
      const stream = await navigator.mediaDevices.getUserMedia(
        kind === "camera" ? { video: constraints } : { audio: constraints },
      );
      const track = stream.getTracks()[0];
      if (track !== undefined) this.#take(kind, track);
    } catch (error) {
      this.#stop(kind);
      this.#troubles[kind] = trouble(kind, error);
    }
    this.changed();
    return this.#tracks[kind];
  }

  /** Off, by wish. */
  switchOff(kind: DeviceKind): void {
    this.#stop(kind);
    delete this.#troubles[kind];
    this.changed();
  }

  /** What can be chosen; labels are known only after the first permission. */
  async choices(kind: DeviceKind): Promise<Choice[]> {
    const wanted = kind === "camera" ? "videoinput" : "audioinput";
    const all = (await navigator.mediaDevices?.enumerateDevices().catch(() => [])) ?? [];
    const name = kind === "camera" ? words.preview.camera : words.preview.microphone;
    return all
      .filter((device) => device.kind === wanted && device.deviceId !== "")
      .map((device, at) => ({ id: device.deviceId, label: device.label || words.preview.unnamed(name, at + 1) }));
  }

  /** All off, for good. */
  close(): void {
    this.#closed = true;
    this.#unwatch.abort();
    this.#stop("camera");
    this.#stop("microphone");
  }

  #take(kind: DeviceKind, track: MediaStreamTrack): void {
    if (this.#closed) return track.stop();
    this.#stop(kind);
    this.#tracks[kind] = track;
    delete this.#troubles[kind];
    track.contentHint = kind === "camera" ? "motion" : "speech";
    track.addEventListener("ended", () => {
      if (this.#tracks[kind] !== track) return;
      delete this.#tracks[kind];
      this.#troubles[kind] = words.devices.ended[kind];
      this.changed();
    });
  }

  #stop(kind: DeviceKind): void {
    const track = this.#tracks[kind];
    delete this.#tracks[kind];
    track?.stop();
  }

  #fail(name: string): void {
    this.#troubles.camera = trouble("camera", { name });
    this.#troubles.microphone = trouble("microphone", { name });
    this.changed();
  }

  #constraints(kind: DeviceKind): MediaTrackConstraints {
    const chosen = this.#chosen[kind];
    const device = chosen === undefined ? {} : { deviceId: { exact: chosen } };
    if (kind === "microphone") {
      return { ...device, echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 };
    }
    const { width, height, frameRate } = this.#size;
    return { ...device, width: { ideal: width }, height: { ideal: height }, frameRate: { ideal: frameRate } };
  }
}

/** The sentence for what `getUserMedia` threw. */
function trouble(kind: DeviceKind, error: unknown): string {
  const name = typeof error === "object" && error !== null && "name" in error ? String(error.name) : "";
  switch (name) {
    case "NotAllowedError":
    case "SecurityError":
      return words.devices.denied[kind];
    case "NotFoundError":
    case "OverconstrainedError":
      return words.devices.missing[kind];
    case "NotReadableError":
    case "AbortError":
      return words.devices.busy[kind];
    default:
      return words.devices.failed[kind];
  }
}
