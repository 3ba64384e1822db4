/** A connection by WebTransport: every stream and datagram carries exactly the bytes that raw QUIC would. */

import type { TransportItem } from "../core.js";
import { words as wordsOf } from "../errors.js";
import type { Sink, Transport } from "./transport.js";

/** How long a datagram may wait to be sent, in milliseconds, before it is worth less than the next one. */
const OUTGOING_MAX_AGE = 200;

/** How long one that arrived may wait for this worker, in milliseconds: the player would drop it as too old. */
const INCOMING_MAX_AGE = 500;

/** How long what was written before a close may take to leave, in milliseconds. */
const FLUSH_MS = 500;

/** Datagrams that arrived and wait for this worker: ten speakers for half a second. */
const INCOMING_DATAGRAMS = 256;

/**
 * Connects to `url`; `hashes` are the SHA-256 of the certificates that the relay signed for, none to rely on the
 * browser's own authorities. Rejects with what the browser says when it did not work, or when `signal` ends it.
 */
export async function connectWebTransport(
  url: string,
  hashes: readonly Uint8Array[],
  signal: AbortSignal,
): Promise<Transport> {
  signal.throwIfAborted();
  const options: WebTransportOptions = { allowPooling: false, requireUnreliable: true };
  if (hashes.length > 0) {
    options.serverCertificateHashes = hashes.map((value) => ({ algorithm: "sha-256", value: value.slice() }));
  }
  const connection = new WebTransport(url, options);
  // Both promises are listened to here, so that a failure is never one that nobody handled.
  connection.closed.catch(() => undefined);
  const abort = (): void => connection.close();
  signal.addEventListener("abort", abort, { once: true });
  try {
    await connection.ready;
    signal.throwIfAborted();
  } finally {
    signal.removeEventListener("abort", abort);
  }
  return new OverWebTransport(connection);
}

/** The sending side of a stream: open, or about to be. */
interface Sender {
  /** Resolves when the browser has opened the stream; writes before that wait for it in order. */
  readonly writer: Promise<WritableStreamDefaultWriter<Uint8Array>>;
  /** Settles when the last write so far is taken or has failed. */
  last: Promise<void>;
  over: boolean;
}

/** Times at which bytes were handed over and are not taken yet, oldest first. */
class Waiting {
  readonly #since = new Set<{ readonly at: number }>();

  begin(): () => void {
    const entry = { at: performance.now() };
    this.#since.add(entry);
    return () => {
      this.#since.delete(entry);
    };
  }

  oldest(): number {
    for (const entry of this.#since) {
      return entry.at; // a set keeps the order of insertion
    }
    return 0;
  }
}

class OverWebTransport implements Transport {
  readonly kind = "webtransport";
  readonly #connection: WebTransport;
  readonly #senders = new Map<number, Sender>();
  readonly #readers = new Map<number, Promise<ReadableStreamDefaultReader<Uint8Array>>>();
  readonly #waiting = new Waiting();
  readonly #datagrams: WritableStreamDefaultWriter<Uint8Array>;
  #sink!: Sink;
  #over = false;

  constructor(connection: WebTransport) {
    this.#connection = connection;
    const datagrams = connection.datagrams;
    datagrams.outgoingMaxAge = OUTGOING_MAX_AGE;
    datagrams.incomingMaxAge = INCOMING_MAX_AGE;
    datagrams.incomingHighWaterMark = INCOMING_DATAGRAMS;
    this.#datagrams = writableOf(datagrams).getWriter();
    this.#datagrams.closed.catch(() => undefined);
  }

  start(sink: Sink): void {
    this.#sink = sink;
    this.#connection.closed.then(
      (info) => this.#ended(info.closeCode ?? 0, info.reason ?? ""),
      (thrown: unknown) => this.#ended(undefined, wordsOf(thrown)),
    );
    void this.#readDatagrams();
    void this.#accept(this.#connection.incomingUnidirectionalStreams, (stream: ReadableStream<Uint8Array>) => {
      const number = this.#sink.streamIn(false);
      if (number !== undefined) {
        this.#receive(number, Promise.resolve(stream.getReader()));
      }
    });
    void this.#accept(this.#connection.incomingBidirectionalStreams, (stream: WebTransportBidirectionalStream) => {
      const number = this.#sink.streamIn(true);
      if (number !== undefined) {
        this.#send(number, Promise.resolve(stream.writable.getWriter()));
        this.#receive(number, Promise.resolve(stream.readable.getReader()));
      }
    });
  }

  perform(item: TransportItem): void {
    if (this.#over) {
      return;
    }
    switch (item.do) {
      case "open":
        this.#open(item.stream, item.bidi, item.priority);
        return;
      case "send":
        this.#write(item.stream, item.bytes, item.fin);
        return;
      case "datagram":
        this.#writeDatagram(item.bytes);
        return;
      case "reset":
        this.#reset(item.stream, item.code);
        return;
      case "stop":
        this.#stop(item.stream, item.code);
        return;
      case "close":
        this.close(item.code, item.words);
        return;
      case "message":
        return; // of the other transport
    }
  }

  waitingSince(): number {
    return this.#waiting.oldest();
  }

  close(code: number, words: string): void {
    if (!this.#over) {
      this.#over = true;
      const close = (): void => this.#connection.close({ closeCode: code, reason: words.slice(0, 256) });
      // What was said before is still to be written: a farewell would be lost otherwise.
      const written = Promise.allSettled([...this.#senders.values()].map((sender) => sender.last));
      void Promise.race([written, new Promise((done) => setTimeout(done, FLUSH_MS))]).then(close);
    }
  }

  #ended(code: number | undefined, words: string): void {
    if (!this.#over) {
      this.#over = true;
      this.#sink.closed(code, words);
    }
  }

  #open(number: number, bidi: boolean, priority: number): void {
    if (!bidi) {
      const opened = this.#connection.createUnidirectionalStream(ordered(priority));
      this.#send(number, opened.then((stream) => stream.getWriter()));
      return;
    }
    const opened = this.#connection.createBidirectionalStream(ordered(priority));
    this.#send(number, opened.then((stream) => stream.writable.getWriter()));
    this.#receive(number, opened.then((stream) => stream.readable.getReader()));
  }

  #send(number: number, writer: Promise<WritableStreamDefaultWriter<Uint8Array>>): void {
    const sender: Sender = { writer, last: Promise.resolve(), over: false };
    this.#senders.set(number, sender);
    writer
      .then((open) => open.closed)
      .catch((thrown: unknown) => {
        const code = streamCode(thrown);
        if (!sender.over && code !== undefined && !this.#over) {
          sender.over = true;
          this.#senders.delete(number);
          this.#sink.stopped(number, code);
        }
      });
  }

  #write(number: number, bytes: Uint8Array, fin: boolean): void {
    const sender = this.#senders.get(number);
    if (sender === undefined || sender.over) {
      return;
    }
    const taken = this.#waiting.begin();
    const written = sender.writer.then(async (writer) => {
      // Both are called in one go, so that the order of items is the order of writes.
      const write = bytes.length > 0 ? writer.write(bytes) : Promise.resolve();
      const close = fin ? writer.close() : undefined;
      close?.catch(() => undefined);
      await write;
    });
    sender.last = written
      .then(() => {
        if (!this.#over && !sender.over && bytes.length > 0) {
          this.#sink.sent(number, bytes.length);
        }
      })
      // A failed write is told as stopped or closed, by what listens to those.
      .catch(() => undefined)
      .finally(() => {
        taken();
        if (fin && this.#senders.get(number) === sender) {
          this.#senders.delete(number);
        }
      });
  }

  #writeDatagram(bytes: Uint8Array): void {
    const done = (): void => {
      if (!this.#over) {
        this.#sink.datagramsSent(1);
      }
    };
    // Longer than the path takes now: the browser would drop it without a word. It counts as sent, and lost.
    if (bytes.length > this.#connection.datagrams.maxDatagramSize) {
      queueMicrotask(done);
      return;
    }
    this.#datagrams.write(bytes).then(done, done);
  }

  #reset(number: number, code: number): void {
    const sender = this.#senders.get(number);
    if (sender !== undefined) {
      sender.over = true;
      this.#senders.delete(number);
      sender.writer.then((writer) => writer.abort(streamError(code))).catch(() => undefined);
    }
  }

  #stop(number: number, code: number): void {
    const reader = this.#readers.get(number);
    this.#readers.delete(number);
    reader?.then((open) => open.cancel(streamError(code))).catch(() => undefined);
  }

  #receive(number: number, opened: Promise<ReadableStreamDefaultReader<Uint8Array>>): void {
    this.#readers.set(number, opened);
    void this.#read(number, opened);
  }

  async #read(number: number, opened: Promise<ReadableStreamDefaultReader<Uint8Array>>): Promise<void> {
    try {
      const reader = await opened;
      for (;;) {
        const { value, done } = await reader.read();
        if (this.#over || this.#readers.get(number) !== opened) {
          return;
        }
        if (done) {
          this.#readers.delete(number);
          this.#sink.data(number, NOTHING, true);
          return;
        }
        this.#sink.data(number, value, false);
      }
    } catch (thrown) {
      const code = streamCode(thrown);
      if (code !== undefined && !this.#over && this.#readers.delete(number)) {
        this.#sink.reset(number, code);
      }
    }
  }

  async #readDatagrams(): Promise<void> {
    const reader = this.#connection.datagrams.readable.getReader() as ReadableStreamDefaultReader<Uint8Array>;
    try {
      for (;;) {
        const { value, done } = await reader.read();
        if (done || this.#over) {
          return;
        }
        this.#sink.datagram(value);
      }
    } catch {
      // The connection has ended; `closed` says so.
    }
  }

  async #accept<T>(streams: ReadableStream<T>, take: (stream: T) => void): Promise<void> {
    const reader = streams.getReader();
    try {
      for (;;) {
        const { value, done } = await reader.read();
        if (done || this.#over) {
          return;
        }
        take(value);
      }
    } catch {
      // The connection has ended; `closed` says so.
    }
  }
}

const NOTHING = new Uint8Array(0);

/** Lower priorities leave first, higher send orders do. Browsers without them ignore it: little is sent ahead anyway. */
function ordered(priority: number): WebTransportSendStreamOptions {
  return { sendOrder: -priority };
}

/** The newer shape makes a writable on demand, the older has one. */
function writableOf(datagrams: WebTransportDatagramDuplexStream): WritableStream<Uint8Array> {
  const newer = datagrams as unknown as { createWritable?: () => WritableStream<Uint8Array> };
  return newer.createWritable?.() ?? datagrams.writable;
}

/** The application's code in an error of one stream; `undefined` when the whole connection is what failed. */
function streamCode(thrown: unknown): number | undefined {
  return thrown instanceof WebTransportError && thrown.source === "stream" ? (thrown.streamErrorCode ?? 0) : undefined;
}

function streamError(code: number): WebTransportError {
  return new WebTransportError("", { source: "stream", streamErrorCode: code });
}
