// Numbers out of what was seen and heard. Pure functions: `measure.test.mjs` says what they promise.

/// The picture numbers of the test camera count up to this and begin again, and so does the clock in ms that is burnt in.
const PICTURES = 256;
const CLOCK = 1 << 18;

/// The value in the middle; `undefined` of nothing.
export function median(values) {
  const sorted = [...values].sort((one, other) => one - other);
  return sorted[Math.floor(sorted.length / 2)];
}

/// The value that this share is not above; `undefined` of nothing.
export function quantile(values, share) {
  const sorted = [...values].sort((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
}

/// Events in a second, in the best stretch of `span` ms: a machine that does something else for a moment says nothing about us.
export function bestRate(times, span) {
  let [best, first] = [0, 0];
  for (let last = 0; last < times.length; last += 1) {
    while (times[last] - times[first] > span) first += 1;
    best = Math.max(best, last - first);
  }
  return (best * 1000) / span;
}

/// How a counter that begins again at `span` went on: forward by one, over a gap, back, or not at all.
///
/// A camera that is a file shows its last picture twice before it begins anew: `same` is no fault of anybody.
export function order(numbers, span = PICTURES) {
  const steps = { one: 0, skipped: 0, same: 0, back: 0 };
  for (let at = 1; at < numbers.length; at += 1) {
    const step = (numbers[at] - numbers[at - 1] + span) % span;
    if (step === 0) steps.same += 1;
    else if (step === 1) steps.one += 1;
    else if (step > span / 2) steps.back += 1;
    else steps.skipped += 1;
  }
  return steps;
}

/// The beeps in pieces of sound of 10 ms: where each begins and how long it is, in ms.
///
/// A beep is 1 kHz, so 20 changes of sign in a piece, and at least half of the 100 ms that were sent.
export function beeps(pieces) {
  const found = [];
  let current;
  for (const [at, loudness, turns] of pieces) {
    const isTone = loudness > 0.01 && turns >= 17 && turns <= 23;
    if (isTone && current && at - current.end <= 20) {
      current.end = at + 10;
    } else if (isTone) {
      current = { at, end: at + 10 };
      found.push(current);
    }
  }
  return found.map(({ at, end }) => ({ at, length: end - at })).filter(({ length }) => length >= 50);
}

/// The share of pieces that are louder than a whisper.
export function loud(pieces) {
  return pieces.filter(([, loudness]) => loudness > 0.003).length / Math.max(1, pieces.length);
}

/// What an eye saw of a test camera, in numbers.
export function pictures({ seen, unreadable }, span = 5000) {
  const ages = seen.map(([, , age]) => age);
  const times = seen.map(([when]) => when);
  return {
    pictures: seen.length,
    unreadable,
    seconds: seen.length > 1 ? (times.at(-1) - times[0]) / 1000 : 0,
    best_fps: bestRate(times, span),
    mean_fps: seen.length > 1 ? ((seen.length - 1) * 1000) / (times.at(-1) - times[0]) : 0,
    order: order(seen.map(([, number]) => number)),
    // By the time of capture, which every picture has another of.
    back: order(seen.map((one) => one[4]), CLOCK).back,
    latency_p50_ms: median(ages),
    latency_p95_ms: quantile(ages, 0.95),
    who: [...new Set(seen.map(([, , , who]) => who))],
  };
}
