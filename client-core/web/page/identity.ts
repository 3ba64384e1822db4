/** Owns how a person looks without a picture: initials, and a colour from the id, so that two of one name differ. */

import { words } from "./words.js";

/** What is needed of a participant here. */
interface Named {
  readonly id: number;
  readonly name: string;
}

/** At most two letters: of the first and the last word, whole characters, also outside of the Latin alphabet. */
export function initials(name: string): string {
  const parts = name.trim().split(/\s+/u).filter((part) => part !== "");
  const first = [...(parts[0] ?? "")][0];
  const last = parts.length > 1 ? [...(parts[parts.length - 1] ?? "")][0] : undefined;
  return `${first ?? "?"}${last ?? ""}`.toLocaleUpperCase();
}

/** An angle of hue in degrees: neighbouring ids are far apart (golden angle). */
export function hue(id: number): number {
  return Math.round((id * 137.508 + 40) % 360);
}

/** The name, with a number behind it when another one before them has the same: nobody passes for somebody else. */
export function displayName(person: Named, everybody: readonly Named[]): string {
  const key = (name: string): string => name.trim().toLocaleLowerCase();
  const twins = everybody.filter((other) => key(other.name) === key(person.name)).sort((a, b) => a.id - b.id);
  const at = twins.findIndex((other) => other.id === person.id);
  return at > 0 ? words.people.twin(person.name, at + 1) : person.name;
}
