/** Owns what the page's address says beside the link: switches for tests and for people who help others. */

/** The switches of the query part. */
export interface Query {
  /** `?udp=off`: over TCP only. */
  readonly udp: boolean;
  /** `?name=`: filled in. */
  readonly name: string;
  /** `?small`: the camera at 320 by 180. */
  readonly small: boolean;
  /** `?debug`: `window.conclave.room`. */
  readonly debug: boolean;
}

/** Reads them. */
export function readQuery(search: string): Query {
  const query = new URLSearchParams(search);
  return {
    udp: query.get("udp") !== "off",
    name: (query.get("name") ?? "").slice(0, 64),
    small: query.has("small"),
    debug: query.has("debug"),
  };
}
