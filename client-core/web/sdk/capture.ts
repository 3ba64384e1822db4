/**
 * From a track of the page to frames in the worker, by the best way this browser has. Encoding is the worker's work;
 * this side only hands over. Chromium is what is tested; the other ways are chosen by what the browser can do.
 */

import { RoomError, words } from "./errors.js";
import type { CapturedPicture, CapturedSound, Source } from "./messages.js";

/** Pictures that wait for the worker: one is being read, one is there; a third would only be older. */
const PICTURES = 2;

/** Blocks of sound (10 ms each, in Chromium) that wait for the worker: half a second of it being busy. */
const SOUNDS = 50;

/** A source that frames come from, until it is stopped. */
export interface Feed {
  readonly source: Source;
  /** What has to be transferred with `source`. */
  readonly transfer: readonly Transferable[];
  /** Ends the delivery of frames; the track itself is the application's and goes on. */
  stop(): void;
}

/** Frames of `track`. `processor`: whether the worker can process a track itself. Rejects with a `RoomError`. */
export async function feed(track: MediaStreamTrack, processor: boolean): Promise<Feed> {
  if (track.readyState === "ended") {
    throw new RoomError("media", "This device has ended. Open it again, then publish it.");
  }
  // Each way works on a clone, so that ending a publication neither ends nor disturbs what the application holds.
  const own = track.clone();
  const followed = follow(track, own);
  try {
    if (typeof MediaStreamTrackProcessor !== "undefined") {
      const maxBufferSize = own.kind === "audio" ? SOUNDS : PICTURES;
      const frames = new MediaStreamTrackProcessor<VideoFrame | AudioData>({ track: own, maxBufferSize }).readable;
      return { source: { via: "frames", frames }, transfer: [frames], stop: followed };
    }
    if (processor) {
      // A transferred track is the worker's; the clone's clone stays here to be ended with the application's.
      const given = own.clone();
      return {
        source: { via: "track", track: given },
        transfer: [given as unknown as Transferable],
        stop: followed,
      };
    }
    return own.kind === "audio" ? await soundByWorklet(own, followed) : picturesByElement(own, followed);
  } catch (thrown) {
    followed();
    throw thrown instanceof RoomError
      ? thrown
      : new RoomError("browser", `This browser cannot take frames from a device: ${words(thrown)}`);
  }
}

/** Ends `own` when `track` ends, and turns it on and off with it; the returned function ends `own` now. */
function follow(track: MediaStreamTrack, own: MediaStreamTrack): () => void {
  const end = (): void => {
    track.removeEventListener("ended", end);
    clearInterval(watch);
    own.stop();
  };
  // `ended` is not told when the application itself stops a track; nothing is told when it is disabled.
  const watch = setInterval(() => {
    own.enabled = track.enabled;
    if (track.readyState === "ended") {
      end();
    }
  }, FOLLOW_MS);
  track.addEventListener("ended", end);
  return end;
}

/** How soon a clone follows what the application does to its track, in milliseconds. */
const FOLLOW_MS = 100;

/** Pictures by a video element that nobody sees (Firefox). */
function picturesByElement(track: MediaStreamTrack, ended: () => void): Feed {
  const { port1, port2 } = new MessageChannel();
  const video = document.createElement("video");
  video.muted = true;
  video.playsInline = true;
  video.srcObject = new MediaStream([track]);
  let going = true;
  const next = (): void => {
    if (!going) {
      return;
    }
    if (track.readyState === "ended") {
      stop();
      return;
    }
    const frame = new VideoFrame(video, { timestamp: Math.round(performance.now() * 1000) });
    const picture: CapturedPicture = { frame };
    port1.postMessage(picture, [frame]);
    video.requestVideoFrameCallback(next);
  };
  const stop = (): void => {
    going = false;
    video.srcObject = null;
    port1.postMessage(null);
    ended();
  };
  video.requestVideoFrameCallback(next);
  void video.play();
  return { source: { via: "port", port: port2 }, transfer: [port2], stop };
}

/** Sound by an audio worklet (Firefox). One channel, at the context's rate. */
async function soundByWorklet(track: MediaStreamTrack, ended: () => void): Promise<Feed> {
  const context = new AudioContext({ latencyHint: "interactive" });
  await context.audioWorklet.addModule(new URL("./capture.worklet.js", import.meta.url));
  const source = context.createMediaStreamSource(new MediaStream([track]));
  const node = new AudioWorkletNode(context, "conclave-capture", { numberOfOutputs: 0, channelCount: 1, channelCountMode: "explicit" });
  source.connect(node);
  const { port1, port2 } = new MessageChannel();
  node.port.onmessage = (event: MessageEvent<CapturedSound>) => {
    port1.postMessage(event.data, [event.data.samples.buffer]);
  };
  const stop = (): void => {
    port1.postMessage(null);
    ended();
    void context.close();
  };
  track.addEventListener("ended", stop);
  return { source: { via: "port", port: port2 }, transfer: [port2], stop };
}
