/** Owns which of our sentences stands for which word of the SDK; an unknown one keeps the SDK's own sentence. */

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
  return { kind, text: FAILURES.get(plain(kind)) ?? sentence(text) };
}

/** A warning for people; an alarm stays in sight. */
export function warning(kind: string, text: string): { readonly text: string; readonly alarm: boolean } {
  const known = plain(kind);
  return { text: WARNINGS.get(known) ?? sentence(text), alarm: ALARMS.has(known) };
}

/** One spelling: whether words are parted by capitals or by hyphens says nothing. */
function plain(kind: string): string {
  return kind.replace(/[^a-z]/gi, "").toLowerCase();
}

/** Where plainer words are known than the SDK's. */
const FAILURES: ReadonlyMap<string, string> = new Map([
  ["link", words.failed.link],
  ["linkinvalid", words.failed.link],
  ["unreachable", words.failed.unreachable],
  ["unknownname", words.failed.unreachable],
  ["relayunreachable", words.failed.unreachable],
  ["wrongkey", words.failed.wrongKey],
  ["wrongrelaykey", words.failed.wrongKey],
  ["notconclave", words.failed.notConclave],
  ["nocommonversion", words.failed.version],
  ["unknownhub", words.failed.unknownHub],
  ["unknownroom", words.failed.unknownRoom],
  ["roomexpired", words.failed.expired],
  ["declined", words.failed.declined],
  ["nobodyanswered", words.failed.nobodyAnswered],
  ["nobodythere", words.failed.nobodyThere],
  ["full", words.failed.full],
  ["connectionlost", words.failed.lost],
  ["removed", words.failed.removed],
  ["over", words.failed.over],
]);

const WARNINGS: ReadonlyMap<string, string> = new Map([
  ["chattoolong", words.chat.tooLong],
  ["chatnotsent", words.warnings.chatNotSent],
  ["publishrefused", words.devices.notPublished],
  ["toomanytracks", words.devices.notPublished],
  ["subscriberefused", words.warnings.notReceived],
  ["rejoined", words.warnings.rejoined],
  ["historymismatch", words.warnings.mismatch],
  ["recordmismatch", words.warnings.mismatch],
]);

/** Signs that somebody may stand in between. */
const ALARMS: ReadonlySet<string> = new Set(["historymismatch", "recordmismatch"]);
