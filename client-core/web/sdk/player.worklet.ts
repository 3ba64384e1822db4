/** The loudspeaker's side of the call: every speaker's buffer, mixed into one sound. Runs where a busy page cannot stop it. */

import type { PlayerOrder, PlayerReport, Speaking, ToPlayer } from "./messages.js";
import { Speaker } from "./speaker.js";

/** Speakers that are mixed at once; a voice beyond them is not heard. */
const SPEAKERS = 128;

/** Participants whose volume is remembered. */
const VOLUMES = 1_024;

/** How often the buffers are reported, in seconds. */
const REPORT_S = 0.5;

/** How fast a change of volume comes: part of the rest that is gone after one block of 128 samples. */
const VOLUME_STEP = 0.1;

/** Sound at least this strong is speech: root mean square of a block, of full scale (-40 dB). */
const SPEECH = 0.01;

/** Somebody counts as speaking for so long after the last loud block, in seconds: words have gaps. */
const SPEECH_S = 0.4;

/** How often it is looked who speaks, in seconds. */
const LOOK_S = 0.1;

interface Voice {
  readonly speaker: Speaker;
  readonly participant: number;
  gain: number;
  /** Frame of the context until which this one counts as speaking. */
  speaksUntil: number;
}

class PlayerProcessor extends AudioWorkletProcessor {
  readonly #voices = new Map<string, Voice>();
  readonly #volumes = new Map<number, number>();
  #worker: MessagePort | undefined;
  #reportAt = 0;
  #lookAt = 0;
  /** As it was told last. */
  #speaking: readonly number[] = [];
  /** Underruns of speakers that are gone. */
  #underruns = 0;

  constructor() {
    super();
    this.port.onmessage = (event: MessageEvent<PlayerOrder>) => {
      const order = event.data;
      if (order.order === "listen") {
        this.#worker = order.port;
        order.port.onmessage = (message: MessageEvent<ToPlayer>) => this.#take(message.data);
      } else if (this.#volumes.has(order.participant) || this.#volumes.size < VOLUMES) {
        this.#volumes.set(order.participant, order.volume);
      }
    };
  }

  override process(_inputs: Float32Array[][], outputs: Float32Array[][]): boolean {
    const left = outputs[0]?.[0];
    const right = outputs[0]?.[1] ?? left;
    if (left !== undefined && right !== undefined) {
      for (const voice of this.#voices.values()) {
        voice.gain += ((this.#volumes.get(voice.participant) ?? 1) - voice.gain) * VOLUME_STEP;
        voice.speaker.pull(left, right, voice.gain);
      }
      soften(left);
      soften(right);
    }
    if (currentFrame >= this.#reportAt) {
      this.#reportAt = currentFrame + sampleRate * REPORT_S;
      this.#worker?.postMessage(this.#report());
    }
    if (currentFrame >= this.#lookAt) {
      this.#lookAt = currentFrame + sampleRate * LOOK_S;
      this.#look();
    }
    return true;
  }

  #look(): void {
    const speaking = [...this.#voices.values()].filter((voice) => voice.speaksUntil > currentFrame).map((voice) => voice.participant);
    if (speaking.length !== this.#speaking.length || speaking.some((one, at) => one !== this.#speaking[at])) {
      this.#speaking = speaking;
      this.port.postMessage({ speaking } satisfies Speaking);
    }
  }

  #take(message: ToPlayer): void {
    const known = this.#voices.get(message.speaker);
    if (message.to === "forget") {
      this.#underruns += known?.speaker.underruns ?? 0;
      this.#voices.delete(message.speaker);
      return;
    }
    if (known === undefined && this.#voices.size >= SPEAKERS) {
      return;
    }
    const { participant } = message;
    const voice = known ?? {
      speaker: new Speaker(sampleRate, message.target),
      participant,
      gain: this.#volumes.get(participant) ?? 1,
      speaksUntil: 0,
    };
    this.#voices.set(message.speaker, voice);
    voice.speaker.push(message.planes, message.lost, message.target);
    if (strength(message.planes[0]) >= SPEECH) {
      voice.speaksUntil = currentFrame + sampleRate * (SPEECH_S + voice.speaker.targetMs / 1_000);
    }
  }

  #report(): PlayerReport {
    let underruns = this.#underruns;
    let bufferedMs = 0;
    let targetMs = 0;
    for (const { speaker } of this.#voices.values()) {
      underruns += speaker.underruns;
      bufferedMs = Math.max(bufferedMs, speaker.bufferedMs);
      targetMs = Math.max(targetMs, speaker.targetMs);
    }
    return { underruns, bufferedMs, targetMs };
  }
}

/** Root mean square of a block. */
function strength(samples: Float32Array | undefined): number {
  let sum = 0;
  for (const sample of samples ?? []) {
    sum += sample * sample;
  }
  return Math.sqrt(sum / Math.max(1, samples?.length ?? 0));
}

/** Several loud voices together exceed what a loudspeaker takes: bends them instead of cutting them off. */
function soften(samples: Float32Array): void {
  for (let at = 0; at < samples.length; at += 1) {
    const sample = samples[at] ?? 0;
    const size = Math.abs(sample);
    if (size > KNEE) {
      samples[at] = Math.sign(sample) * (KNEE + (1 - KNEE) * Math.tanh((size - KNEE) / (1 - KNEE)));
    }
  }
}

/** Where bending begins, of full scale. */
const KNEE = 0.85;

registerProcessor("conclave-player", PlayerProcessor);
