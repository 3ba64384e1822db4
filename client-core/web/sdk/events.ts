/** Events for an application that waits for them one by one (`next`) and for one that is called (`on`). */

import type { EventKind, EventOf, RoomEvent } from "./types.js";

/**
 * How many events wait for somebody who calls `next`. An application that only uses `on` never calls it, and must not
 * fill the memory; one that calls it and is this far behind misses the oldest, and `Room.state` is right all the same.
 */
const WAITING = 1024;

/** The events of one room on their way to the application. */
export class Events {
  #waiting: RoomEvent[] = [];
  #hungry: ((event: RoomEvent | undefined) => void)[] = [];
  #handlers = new Map<EventKind, Set<(event: never) => void>>();
  #over = false;

  /** Hands `event` to whoever waits and to every handler of its kind. */
  tell(event: RoomEvent): void {
    const first = this.#hungry.shift();
    if (first !== undefined) {
      first(event);
    } else {
      this.#waiting.push(event);
      if (this.#waiting.length > WAITING) {
        this.#waiting.shift();
      }
    }
    for (const handler of [...(this.#handlers.get(event.event) ?? [])]) {
      try {
        (handler as (event: RoomEvent) => void)(event);
      } catch (thrown) {
        // A handler's fault must not keep the event from the others; it is shown where it would have been without us.
        reportError(thrown);
      }
    }
    if (event.event === "ended") {
      this.#over = true;
      for (const waiter of this.#hungry.splice(0)) {
        waiter(undefined);
      }
    }
  }

  /** The next event; `undefined` after the last one. */
  next(): Promise<RoomEvent | undefined> {
    const first = this.#waiting.shift();
    if (first !== undefined || this.#over) {
      return Promise.resolve(first);
    }
    return new Promise((resolve) => this.#hungry.push(resolve));
  }

  /** Calls `handler` with every event of `kind`, until the returned function is called. */
  on<K extends EventKind>(kind: K, handler: (event: EventOf<K>) => void): () => void {
    const all = this.#handlers.get(kind) ?? new Set();
    this.#handlers.set(kind, all.add(handler));
    return () => {
      all.delete(handler);
    };
  }
}
