// Every picture that a camera of this page captures gets the time and the page's number burnt in, before the page sees it.
// Only in the test: the page that is shipped knows nothing of it.
"use strict";

(() => {
  const { WIDTH, HEIGHT, stamp } = globalThis.conclaveTest;
  // Whoever stamps writes their number over this one before the page begins.
  const who = () => globalThis.conclaveTest.who ?? 0;

  const stamped = (camera) => {
    const generator = new MediaStreamTrackGenerator({ kind: "video" });
    const canvas = new OffscreenCanvas(WIDTH, HEIGHT);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    const burn = new TransformStream({
      transform(frame, controller) {
        context.drawImage(frame, 0, 0, WIDTH, HEIGHT);
        const { timestamp } = frame;
        frame.close();
        stamp(context, who(), Date.now());
        controller.enqueue(new VideoFrame(canvas, { timestamp }));
      },
    });
    new MediaStreamTrackProcessor({ track: camera }).readable
      .pipeThrough(burn)
      .pipeTo(generator.writable)
      .catch(() => camera.stop());
    // The page asks the track what it asked of the camera.
    generator.getSettings = () => ({ ...camera.getSettings(), width: WIDTH, height: HEIGHT });
    generator.getConstraints = () => camera.getConstraints();
    generator.applyConstraints = (constraints) => camera.applyConstraints(constraints);
    const stop = generator.stop.bind(generator);
    generator.stop = () => { camera.stop(); stop(); };
    return generator;
  };

  const devices = navigator.mediaDevices;
  if (!devices) return;
  const real = devices.getUserMedia.bind(devices);
  devices.getUserMedia = async (constraints) => {
    const stream = await real(constraints);
    for (const camera of stream.getVideoTracks()) {
      stream.removeTrack(camera);
      stream.addTrack(stamped(camera));
    }
    return stream;
  };
})();
