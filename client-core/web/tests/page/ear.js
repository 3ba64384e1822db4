// Listens to what the page gives to the loudspeaker, in pieces of 10 ms: how loud, and how often the sign changes.
"use strict";

(() => {
  const test = globalThis.conclaveTest;
  const ears = [];
  const connect = AudioNode.prototype.connect;
  const LOOK_MS = 100;

  const listen = (source) => {
    const { context } = source;
    const analyser = context.createAnalyser();
    analyser.fftSize = 32768;
    connect.call(source, analyser);
    const samples = new Float32Array(analyser.fftSize);
    const length = Math.round(context.sampleRate / 100);
    const ear = { pieces: [], next: 0 };
    ears.push(ear);
    const look = () => {
      analyser.getFloatTimeDomainData(samples);
      const end = Math.round(context.currentTime * context.sampleRate);
      const begin = end - samples.length;
      ear.next = Math.max(ear.next, Math.ceil(begin / length));
      for (; (ear.next + 1) * length <= end; ear.next += 1) {
        const from = ear.next * length - begin;
        let [power, turns] = [0, 0];
        for (let at = from; at < from + length; at += 1) {
          power += samples[at] * samples[at];
          if (at > from && samples[at] >= 0 !== samples[at - 1] >= 0) turns += 1;
        }
        ear.pieces.push([ear.next * 10, Math.sqrt(power / length), turns]);
      }
    };
    setInterval(look, LOOK_MS);
  };

  AudioNode.prototype.connect = function connected(to, ...rest) {
    if (to instanceof AudioDestinationNode) listen(this);
    return connect.call(this, to, ...rest);
  };

  // Since the page began: [ms of the loudspeaker's clock, loudness, changes of sign] of each piece, of the ear that heard most.
  test.heard = () => ears.map((ear) => ear.pieces).reduce((most, one) => (one.length > most.length ? one : most), []);
})();
