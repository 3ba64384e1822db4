/** How large pictures are sent, how many a second, and at how many bits. */

import type { PublishOrder } from "./messages.js";
import type { Kind, PublishOptions } from "./types.js";

/** What is announced and asked of the encoder: what the track gives, within what the caller and the kind allow. */
export function announcedSize(
  track: MediaStreamTrack,
  kind: Kind,
  options: PublishOptions,
): Pick<PublishOrder, "width" | "height" | "frameRate" | "bitrate"> {
  if (kind === "microphone" || kind === "screen-audio") {
    return { width: 0, height: 0, frameRate: 0, bitrate: options.bitrate ?? (kind === "microphone" ? 32_000 : 64_000) };
  }
  const most = kind === "screen" ? { width: 1280, height: 720, frameRate: 15 } : { width: 640, height: 360, frameRate: 30 };
  const limit = { width: options.width ?? most.width, height: options.height ?? most.height };
  const settings = track.getSettings();
  const size = within(settings.width ?? limit.width, settings.height ?? limit.height, limit);
  const frameRate = Math.min(options.frameRate ?? most.frameRate, Math.ceil(settings.frameRate ?? Infinity) || Infinity);
  return { ...size, frameRate, bitrate: options.bitrate ?? bitrateOf(size.width * size.height, kind) };
}

/** The largest size of the same shape, in even pixels, that is inside of `limit`; turned pictures turn the limit. */
export function within(
  width: number,
  height: number,
  limit: { readonly width: number; readonly height: number },
): { width: number; height: number } {
  const long = Math.max(limit.width, limit.height);
  const short = Math.min(limit.width, limit.height);
  const scale = Math.min(1, long / Math.max(width, height), short / Math.min(width, height));
  return { width: even(width * scale), height: even(height * scale) };
}

function even(pixels: number): number {
  return Math.max(2, Math.round(pixels / 2) * 2);
}

/**
 * Bit/s for VP8: 700 kb/s at 640x360, 250 at 320x180, 2.0 Mb/s at 1280x720, and a power of the area in between, because
 * larger pictures have more that is alike. A screen has half the pictures, and wants more for each.
 */
function bitrateOf(pixels: number, kind: Kind): number {
  const camera = 700_000 * (pixels / (640 * 360)) ** 0.75;
  return Math.round(kind === "screen" ? camera * 0.75 : camera);
}
