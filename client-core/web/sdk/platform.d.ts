/**
 * What browsers have and TypeScript's own library does not describe yet. Only what is used here. A file of
 * declarations: nothing of it reaches the build, and no public type of the SDK needs it.
 */

interface MediaStreamTrackProcessorInit {
  track: MediaStreamTrack;
  /** How many frames wait before the oldest is dropped. */
  maxBufferSize?: number;
}

/** Chromium has it in pages, Safari in workers, Firefox not at all. */
declare class MediaStreamTrackProcessor<T extends VideoFrame | AudioData> {
  constructor(init: MediaStreamTrackProcessorInit);
  readonly readable: ReadableStream<T>;
}

/** The scope of an audio worklet. */
declare abstract class AudioWorkletProcessor {
  constructor(options?: unknown);
  readonly port: MessagePort;
  abstract process(inputs: Float32Array[][], outputs: Float32Array[][]): boolean;
}

declare function registerProcessor(name: string, processor: new (options?: unknown) => AudioWorkletProcessor): void;

/** Samples a second, in the scope of an audio worklet. */
declare const sampleRate: number;

/** Samples since the context began, in the scope of an audio worklet. */
declare const currentFrame: number;
