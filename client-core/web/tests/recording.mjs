// Recordings of the command-line participant, taken apart and decoded by the browser: what is in them is what it received.

import { readFile } from "node:fs/promises";

/// The frames of an IVF file, in order.
export function ivf(file) {
  const frames = [];
  let at = file.readUInt16LE(6);
  while (at + 12 <= file.length) {
    const size = file.readUInt32LE(at);
    frames.push(file.subarray(at + 12, at + 12 + size));
    at += 12 + size;
  }
  return frames;
}

/// The sound packets of an Ogg file: all but the two of its head.
export function ogg(file) {
  const packets = [];
  let [at, begun] = [0, []];
  while (at + 27 <= file.length) {
    const segments = file[at + 26];
    let data = at + 27 + segments;
    for (const length of file.subarray(at + 27, at + 27 + segments)) {
      begun.push(file.subarray(data, data + length));
      data += length;
      if (length < 255) {
        packets.push(Buffer.concat(begun));
        begun = [];
      }
    }
    at = data;
  }
  return packets.slice(2);
}

const inText = (frames) => frames.map((frame) => Buffer.from(frame).toString("base64"));

/// The numbers in the pictures of a recording, `null` where none can be read.
export async function numbersIn(page, path) {
  return page.evaluate(async (frames) => {
    const { read, reader } = globalThis.conclaveTest;
    const [context, numbers] = [reader(), []];
    let failure;
    const decoder = new VideoDecoder({
      output: (frame) => { numbers.push(read(context, frame).number ?? null); frame.close(); },
      error: (error) => { failure = error; },
    });
    decoder.configure({ codec: "vp8" });
    for (const [at, text] of frames.entries()) {
      const data = Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
      // The lowest bit of a VP8 frame is 0 in a key frame.
      decoder.decode(new EncodedVideoChunk({ type: (data[0] & 1) === 0 ? "key" : "delta", timestamp: at, data }));
      // Not all at once: decoded pictures are kept until they were looked at.
      while (decoder.decodeQueueSize > 16) await new Promise((next) => { decoder.addEventListener("dequeue", next, { once: true }); });
    }
    await decoder.flush();
    if (failure) throw failure;
    return numbers;
  }, inText(ivf(await readFile(path))));
}

/// The sound of a recording in pieces of 10 ms, as an ear of a page hears it.
export async function piecesIn(page, path) {
  return page.evaluate(async (packets) => {
    const [samples, pieces] = [[], []];
    let failure;
    const decoder = new AudioDecoder({
      output: (sound) => {
        const one = new Float32Array(sound.numberOfFrames);
        sound.copyTo(one, { planeIndex: 0, format: "f32-planar" });
        samples.push(...one);
        sound.close();
      },
      error: (error) => { failure = error; },
    });
    decoder.configure({ codec: "opus", sampleRate: 48000, numberOfChannels: 1 });
    packets.forEach((text, at) => {
      const data = Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
      decoder.decode(new EncodedAudioChunk({ type: "key", timestamp: at * 20_000, data }));
    });
    await decoder.flush();
    if (failure) throw failure;
    for (let from = 0; from + 480 <= samples.length; from += 480) {
      let [power, turns] = [0, 0];
      for (let at = from; at < from + 480; at += 1) {
        power += samples[at] * samples[at];
        if (at > from && samples[at] >= 0 !== samples[at - 1] >= 0) turns += 1;
      }
      pieces.push([from / 48, Math.sqrt(power / 480), turns]);
    }
    return pieces;
  }, inText(ogg(await readFile(path))));
}
