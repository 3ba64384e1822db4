/** What may go wrong at a call of this SDK, as one error type with a word for programs and a sentence for people. */

/**
 * `link`: not a link, or a damaged one. `unreachable`, `unknown-name`, `wrong-key`, `not-conclave`: the relay.
 * `browser`: this browser lacks something that is needed. `over`: the room has ended. `media`: the track cannot be
 * published. `bug`: our own fault. Others come from the core, which names them.
 */
export type RoomErrorKind =
  | "link"
  | "unreachable"
  | "unknown-name"
  | "wrong-key"
  | "not-conclave"
  | "browser"
  | "over"
  | "media"
  | "bug"
  | (string & {});

/** Why `join`, `create`, `publish` or `check` did not work. `message` is a sentence that says what to do. */
export class RoomError extends Error {
  readonly kind: RoomErrorKind;

  constructor(kind: RoomErrorKind, message: string) {
    super(message);
    this.name = "RoomError";
    this.kind = kind;
  }
}

/** What an unknown value that was thrown says. */
export function words(thrown: unknown): string {
  if (thrown instanceof Error && thrown.message !== "") {
    return thrown.message;
  }
  return typeof thrown === "string" && thrown !== "" ? thrown : "it gave no reason";
}
