/** Owns what a screen of the page is: an element, and what has to end with it. */

import type { Query } from "./query.js";
import type { Room } from "../sdk/index.js";
import type { Devices } from "./devices.js";

/** One screen. */
export interface View {
  readonly element: HTMLElement;
  /** Ends timers, handlers and devices of this screen. */
  dispose(): void;
}

/** What a person is about to do. */
export type Goal = { readonly kind: "join"; readonly link: string } | { readonly kind: "create"; readonly title: string };

/** What goes on from the preview into the call. */
export interface Entered {
  readonly room: Room;
  readonly devices: Devices;
  readonly name: string;
}

/** The part of a link that never leaves the browser, with its `#`. */
export function fragment(link: string): string {
  const at = link.indexOf("#");
  return at < 0 ? "" : link.slice(at);
}

/**
 * The link as others should get it: it begins where this page came from, because browsers are known to reach that; the
 * room itself is named by the fragment alone.
 */
export function linkHere(link: string): string {
  return `${location.origin}/r${fragment(link)}`;
}

/** What every screen may know and ask for. */
export interface Page {
  readonly query: Query;
  /** Shown again when the person comes back to the preview; never stored. */
  name: string;
  start(): void;
  preview(goal: Goal): void;
  call(entered: Entered): void;
  /** A sentence, and where one may go from there. */
  over(over: Over): void;
}

/** A screen that only says something. */
export interface Over {
  readonly heading: string;
  readonly text: string;
  /** `data-kind` for tests and support. */
  readonly kind: string;
  /** What the way back leads to. */
  readonly again?: { readonly words: string; readonly goal: Goal };
}
