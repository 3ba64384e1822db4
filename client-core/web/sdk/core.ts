/**
 * The one door to the WebAssembly core. The shapes that cross the border are written once, beside the Rust that makes them
 * (`client-core/web/src/js/types.d.ts`); here they get the names that the worker uses.
 */

import init, { Core, readLink as wasmLink, readWellKnown as wasmWellKnown } from "../core/conclave_web.js";
import type { Deed, DialError, Item, LinkParts, Media, PictureEvent, SoundEvent, Start, Track, WellKnown } from "../core/conclave_web.js";

export type { Core, Item, Media, Start, WellKnown };
export type DialFailure = DialError;
export type SoundItem = SoundEvent;
export type PictureItem = PictureEvent;

/** A track of any kind; the application is told of those that a page can play. */
export type AnyTrack = Track;

/** Something to do for a connection that is there. */
export type TransportItem = Exclude<Deed, { do: "dial" }>;

/** Loads the core; needed once before anything else here. Rejects when the browser cannot. */
export async function loadCore(url: string | undefined): Promise<void> {
  await (url === undefined ? init() : init({ module_or_path: url }));
}

/** Enters a room. Throws an `Error` with a sentence. */
export function joinRoom(link: string, start: Start): Core {
  return Core.join(link, start);
}

/** Begins a room. Throws an `Error` with a sentence. */
export function createRoom(title: string, maxMembers: number, start: Start): Core {
  return Core.create(title, maxMembers, start);
}

/** Reads a relay's document. Throws an `Error` with a sentence when it is not signed, has run out, or is damaged. */
export function readWellKnown(json: string): WellKnown {
  return wasmWellKnown(json, Date.now());
}

/** Reads a link. Throws an `Error` with a sentence. */
export function readLink(link: string): LinkParts {
  return wasmLink(link);
}
