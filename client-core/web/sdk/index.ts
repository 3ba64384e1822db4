/**
 * Conclave in a browser: an end-to-end encrypted call in ten lines. `README.md` beside this folder is the map.
 *
 * ```ts
 * const room = await Room.join(link, { name: "Guest" });
 * await room.publish((await microphone()).getAudioTracks()[0]);
 * for (let event = await room.next(); event; event = await room.next()) { … }
 * ```
 */

export { Room, PublishedTrack, check } from "./room.js";
export { RoomError, type RoomErrorKind } from "./errors.js";
export {
  camera,
  microphone,
  screen,
  DeviceError,
  type CameraOptions,
  type DeviceErrorKind,
  type MicrophoneOptions,
} from "./devices.js";
export type {
  Carrier,
  Codec,
  Connection,
  CreateOptions,
  Ended,
  EventKind,
  EventOf,
  Kind,
  Options,
  Participant,
  PublishOptions,
  RoomEvent,
  RoomState,
  RoomStats,
  SendStats,
  Track,
  TrackStats,
  TransportKind,
} from "./types.js";
