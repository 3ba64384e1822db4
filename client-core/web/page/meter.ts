/** Owns how loud the microphone is, for the level in the preview and the ring around one's own tile. */

/** Sound below this is a quiet room, in dB under full scale. */
const QUIET_DB = -55;
/** Loud speech, in dB under full scale. */
const LOUD_DB = -12;
/** At least this loud is speech. */
export const SPEECH = 0.25;
/** How often it is read, in ms: fast enough for the eye, and it goes on in a hidden page. */
const EVERY_MS = 80;

/** Reads a track until it is closed. */
export class Meter {
  readonly #context: AudioContext;
  readonly #analyser: AnalyserNode;
  readonly #source: MediaStreamAudioSourceNode;
  readonly #samples: Float32Array<ArrayBuffer>;
  readonly #timer: number;
  readonly #wake: AbortController;

  /** `heard` gets a number from 0 (quiet) to 1 (loud). */
  constructor(track: MediaStreamTrack, heard: (level: number) => void) {
    this.#context = new AudioContext();
    this.#analyser = new AnalyserNode(this.#context, { fftSize: 1024 });
    this.#source = this.#context.createMediaStreamSource(new MediaStream([track]));
    this.#source.connect(this.#analyser);
    this.#samples = new Float32Array(this.#analyser.fftSize);
    this.#timer = window.setInterval(() => heard(this.#read()), EVERY_MS);
    this.#wake = new AbortController();
    // Before the first gesture a browser may hold the context still.
    for (const gesture of ["pointerdown", "keydown"] as const) {
      document.addEventListener(gesture, () => void this.#context.resume().catch(() => undefined), { signal: this.#wake.signal });
    }
  }

  close(): void {
    window.clearInterval(this.#timer);
    this.#wake.abort();
    this.#source.disconnect();
    void this.#context.close().catch(() => undefined);
  }

  /** Whether the browser lets it listen yet. */
  get running(): boolean {
    return this.#context.state === "running";
  }

  #read(): number {
    this.#analyser.getFloatTimeDomainData(this.#samples);
    let sum = 0;
    for (const sample of this.#samples) sum += sample * sample;
    const db = 10 * Math.log10(sum / this.#samples.length + 1e-12);
    return Math.min(1, Math.max(0, (db - QUIET_DB) / (LOUD_DB - QUIET_DB)));
  }
}
