/** Owns which of our sentences stands for which refusal of the SDK; an unknown one keeps the SDK's own sentence. */

import { sentence, words } from "./words.js";

/** What went wrong: a word for tests, a sentence for people. */
export interface Failure {
  readonly kind: string;
  readonly text: string;
}

/** The sentence for anything that was thrown. */
export function failure(error: unknown): Failure {
  if (typeof error !== "object" || error === null) return { kind: "unknown", text: words.failed.unknown };
  const kind = "kind" in error && typeof error.kind === "string" ? error.kind : "unknown";
  const text = "message" in error && typeof error.message === "string" ? error.message : "";
  return explain(kind, text);
}

/** The sentence for a kind and the SDK's own words. */
export function explain(kind: string, text: string): Failure {
  return { kind, text: KINDS[kind] ?? sentence(text) };
}

/** Where plainer words are known than the SDK's. */
const KINDS: Readonly<Record<string, string>> = {
  link: words.failed.link,
  linkInvalid: words.failed.link,
  relayUnreachable: words.failed.unreachable,
  nobodyThere: words.failed.nobodyThere,
  nobodyAnswered: words.failed.nobodyAnswered,
  declined: words.failed.declined,
  full: words.failed.full,
  unknownRoom: words.failed.unknownRoom,
  roomExpired: words.failed.expired,
  connectionLost: words.failed.lost,
  removed: words.failed.removed,
  noCommonVersion: words.failed.version,
};
