/** Where captures come from in the worker: reads any kind of source until it ends or is stopped. */

import { words } from "./errors.js";
import type { CapturedPicture, CapturedSound, Source } from "./messages.js";

/** What is done with captures. Each one belongs to its taker, who closes it. */
export interface Taker {
  picture(frame: VideoFrame): void;
  sound(data: AudioData): void;
  samples(samples: Float32Array<ArrayBuffer>, rate: number, timestamp: number): void;
  /** No more comes; `text` is a sentence. */
  ended(text: string): void;
}

/** Reads `source`; the returned function ends that, silently. */
export function readSource(source: Source, taker: Taker): () => void {
  switch (source.via) {
    case "frames":
      return readFrames(source.frames, taker, () => undefined);
    case "track": {
      const { track } = source;
      const processor = new MediaStreamTrackProcessor<VideoFrame | AudioData>({ track });
      return readFrames(processor.readable, taker, () => track.stop());
    }
    case "port":
      return readPort(source.port, taker);
  }
}

const ENDED = "The device has ended.";

function readFrames(frames: ReadableStream<VideoFrame | AudioData>, taker: Taker, stopped: () => void): () => void {
  const reader = frames.getReader();
  let over = false;
  const read = async (): Promise<void> => {
    try {
      for (;;) {
        const { value, done } = await reader.read();
        if (over) {
          value?.close();
          return;
        }
        if (done) {
          taker.ended(ENDED);
          return;
        }
        if (value instanceof VideoFrame) {
          taker.picture(value);
        } else {
          taker.sound(value);
        }
      }
    } catch (thrown) {
      if (!over) {
        taker.ended(`The device has failed: ${words(thrown)}`);
      }
    }
  };
  void read();
  return () => {
    over = true;
    stopped();
    reader.cancel().catch(() => undefined);
  };
}

function readPort(port: MessagePort, taker: Taker): () => void {
  let over = false;
  port.onmessage = (event: MessageEvent<CapturedPicture | CapturedSound | null>) => {
    const capture = event.data;
    if (capture === null) {
      port.close();
      if (!over) {
        taker.ended(ENDED);
      }
    } else if ("frame" in capture) {
      if (over) {
        capture.frame.close();
      } else {
        taker.picture(capture.frame);
      }
    } else if (!over) {
      taker.samples(capture.samples, capture.rate, capture.timestamp);
    }
  };
  return () => {
    over = true;
  };
}
