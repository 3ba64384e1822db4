/**
 * The buffer of one speaker: sound goes in as it comes and out as the loudspeaker wants it, as late as the network makes
 * necessary and no later. Pure arithmetic on samples, so that it can be tested without a browser.
 */

/** Samples that fit: 680 ms at 48 kHz, more than the largest target and its slack. A power of two. */
const ROOM = 32_768;

/** Sound above the target by so much is dropped, oldest first, in milliseconds: delay that nothing needs any more. */
const SLACK_MS = 80;

/** Every break in the sound is bridged over so many samples (2.5 ms at 48 kHz), so that it does not click. */
const BRIDGE = 120;

/** A gap up to this many frames is filled from what was heard before it, fading; a longer one is silence. */
const CONCEALED = 3;

/** How far the sound is from where it should be before its speed is changed, in milliseconds. */
const CALM_MS = 12;

/** The largest change of speed. A voice that is 1 % faster or slower is not noticed. */
const STRETCH = 0.01;

/** How fast the target may move, in milliseconds for each millisecond of sound: as fast as stretching can follow. */
const TARGET_STEP = 0.05;

/** How much a new look at the level counts: half of it is forgotten in about 15 blocks. */
const LEVEL_STEP = 0.045;

/** Running dry counts as an underrun when sound comes again within this time, in milliseconds; otherwise it was a pause. */
const PAUSE_MS = 1_000;

/** What an underrun adds to the target, and the most of it, in milliseconds: this machine is busier than the network. */
const EXTRA_STEP_MS = 20;
const EXTRA_MOST_MS = 100;

/** How fast that goes again, in milliseconds for each millisecond of sound: one step in 40 s. */
const EXTRA_DECAY = 0.0005;

/** One speaker's buffer. */
export class Speaker {
  readonly #rate: number;
  readonly #left = new Float32Array(ROOM);
  readonly #right = new Float32Array(ROOM);
  /** Positions in samples since the beginning; the one read from has a fraction while the speed is changed. */
  #written = 0;
  #read = 0;
  #target: number;
  #extra = 0;
  #level: number;
  #speed = 1;
  #playing = false;
  /** How much of the bridge from `#from…` to the sound is crossed, in samples. */
  #bridge = BRIDGE;
  #fromLeft = 0;
  #fromRight = 0;
  #lastLeft = 0;
  #lastRight = 0;
  /** Ran dry, and no sound has come since. */
  #ranDry = false;
  /** Samples asked for since then. */
  #dry = 0;
  #underruns = 0;

  /** `rate` in Hz; `target` in milliseconds. */
  constructor(rate: number, target: number) {
    this.#rate = rate;
    this.#target = target;
    this.#level = target;
  }

  /** Times it ran dry in the middle of somebody's speech. */
  get underruns(): number {
    return this.#underruns;
  }

  /** Sound that waits, in milliseconds. */
  get bufferedMs(): number {
    return this.#ms(this.#written - this.#read);
  }

  /** Where the buffer aims now, in milliseconds: what was wanted, and more after underruns. */
  get targetMs(): number {
    return this.#target;
  }

  /** Takes sound: one plane, or two. `lost`: blocks missing before it. `target`: milliseconds wanted now. */
  push(planes: readonly Float32Array[], lost: number, target: number): void {
    const left = planes[0];
    if (left === undefined || left.length === 0 || left.length > ROOM / 4) {
      return;
    }
    const right = planes[1]?.length === left.length ? planes[1] : left;
    if (this.#ranDry) {
      this.#ranDry = false;
      if (this.#ms(this.#dry) < PAUSE_MS) {
        this.#underruns += 1;
        this.#extra = Math.min(this.#extra + EXTRA_STEP_MS, EXTRA_MOST_MS);
      }
    }
    this.#extra = Math.max(0, this.#extra - this.#ms(left.length) * EXTRA_DECAY);
    this.#aim(target + this.#extra, this.#ms(left.length));
    const missing = lost > 0 && lost <= CONCEALED && this.#written >= left.length ? lost * left.length : 0;
    this.#conceal(missing, left.length);
    this.#write(left, right);
    if (missing > 0) {
      this.#blend(missing, left.length);
    }
    this.#trim();
    this.#level += (this.bufferedMs - this.#level) * LEVEL_STEP;
    this.#speed = this.#wantedSpeed(this.#ms(left.length) / 2);
  }

  /** Adds the next samples to `left` and `right`, as loud as `gain`. */
  pull(left: Float32Array, right: Float32Array, gain: number): void {
    if (!this.#playing && this.bufferedMs >= this.#target) {
      this.#playing = true;
      this.#level = this.bufferedMs;
      this.#break();
    }
    for (let at = 0; at < left.length; at += 1) {
      let leftSample = 0;
      let rightSample = 0;
      if (this.#playing && this.#read + 1 < this.#written) {
        const before = Math.floor(this.#read);
        const part = this.#read - before;
        leftSample = between(this.#left, before, part);
        rightSample = between(this.#right, before, part);
        this.#read += this.#speed;
      } else if (this.#playing) {
        this.#playing = false;
        this.#ranDry = true;
        this.#dry = 0;
        this.#break();
      }
      this.#dry += 1;
      if (this.#bridge < BRIDGE) {
        const crossed = this.#bridge / BRIDGE;
        leftSample = leftSample * crossed + this.#fromLeft * (1 - crossed);
        rightSample = rightSample * crossed + this.#fromRight * (1 - crossed);
        this.#bridge += 1;
      }
      this.#lastLeft = leftSample;
      this.#lastRight = rightSample;
      left[at] = (left[at] ?? 0) + leftSample * gain;
      right[at] = (right[at] ?? 0) + rightSample * gain;
    }
  }

  /** The sound goes on elsewhere than it stopped: bridge from the last sample. */
  #break(): void {
    this.#bridge = 0;
    this.#fromLeft = this.#lastLeft;
    this.#fromRight = this.#lastRight;
  }

  #aim(target: number, heardMs: number): void {
    const most = heardMs * TARGET_STEP;
    // Before the first sound plays, and while it is dry, nothing is stretched and the target may jump.
    this.#target = this.#playing ? this.#target + clamp(target - this.#target, most) : target;
  }

  #wantedSpeed(halfBlockMs: number): number {
    // The level is taken just after a block has come, when there is half a block more than on average.
    const error = this.#level - this.#target - halfBlockMs;
    if (Math.abs(error) < CALM_MS) {
      this.#read = Math.round(this.#read);
      return 1;
    }
    return 1 + clamp(error / 2_000, STRETCH);
  }

  #trim(): void {
    const most = this.#samples(this.#target + SLACK_MS);
    if (this.#playing && this.#written - this.#read > most) {
      this.#read = this.#written - this.#samples(this.#target);
      this.#level = this.#target;
      this.#break();
    } else if (this.#written - this.#read > ROOM / 2) {
      // Nobody pulls: the context is suspended. Only the newest is kept.
      this.#read = this.#written - this.#samples(this.#target);
    }
  }

  #write(left: Float32Array, right: Float32Array): void {
    for (let at = 0; at < left.length; at += 1) {
      this.#put(this.#written + at, left[at] ?? 0, right[at] ?? 0);
    }
    this.#written += left.length;
  }

  /** Writes `missing` samples made of the `block` samples before them, there and back, fading. */
  #conceal(missing: number, block: number): void {
    for (let at = 0; at < missing; at += 1) {
      const from = this.#written - at - 1 - reflect(at, block);
      const gain = fade(at, block);
      this.#put(this.#written, (this.#left[from & (ROOM - 1)] ?? 0) * gain, (this.#right[from & (ROOM - 1)] ?? 0) * gain);
      this.#written += 1;
    }
  }

  /** Bridges from the end of what was concealed to the beginning of the sound that came after it. */
  #blend(missing: number, block: number): void {
    const start = this.#written - block;
    const end = start - 1;
    const gain = fade(missing, block);
    const left = this.#left[end & (ROOM - 1)] ?? 0;
    const right = this.#right[end & (ROOM - 1)] ?? 0;
    for (let at = 0; at < Math.min(BRIDGE, block); at += 1) {
      const part = at / BRIDGE;
      const place = (start + at) & (ROOM - 1);
      this.#left[place] = (this.#left[place] ?? 0) * part + left * gain * (1 - part);
      this.#right[place] = (this.#right[place] ?? 0) * part + right * gain * (1 - part);
    }
  }

  #put(position: number, left: number, right: number): void {
    this.#left[position & (ROOM - 1)] = left;
    this.#right[position & (ROOM - 1)] = right;
  }

  #ms(samples: number): number {
    return (samples * 1_000) / this.#rate;
  }

  #samples(ms: number): number {
    return Math.round((ms * this.#rate) / 1_000);
  }
}

/** How far back from the gap's edge sample `at` of a gap is taken: 0, 1, … and back again. */
function reflect(at: number, block: number): number {
  const place = at % (2 * block);
  return place < block ? place : 2 * block - 1 - place;
}

/** Full at the gap's beginning, nothing after as many blocks as are concealed. */
function fade(at: number, block: number): number {
  return Math.max(0, 1 - at / (CONCEALED * block));
}

function between(samples: Float32Array, position: number, part: number): number {
  const before = samples[position & (ROOM - 1)] ?? 0;
  if (part === 0) {
    return before;
  }
  const after = samples[(position + 1) & (ROOM - 1)] ?? 0;
  return before + (after - before) * part;
}

function clamp(value: number, most: number): number {
  return Math.min(Math.max(value, -most), most);
}
