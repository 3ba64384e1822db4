/** Owns the question whether this browser can hold a call at all, and the plain sentence when it cannot. */

import { words } from "./words.js";

/** Why it cannot, or nothing when it can. */
export function missing(scope: typeof globalThis = globalThis): string | undefined {
  if (!scope.isSecureContext) return words.support.insecure;
  const has = (name: string): boolean => name in scope;
  if (!has("WebAssembly") || !has("Worker") || !has("BigInt") || !has("ReadableStream")) return words.support.old;
  if (!has("WebTransport") && !has("WebSocket")) return words.support.transport;
  const codecs = ["VideoEncoder", "VideoDecoder", "AudioEncoder", "AudioDecoder"];
  if (!codecs.every(has) || !has("AudioWorkletNode") || !has("OffscreenCanvas")) return words.support.codecs;
  return undefined;
}

/** Whether this browser can hand over its screen; phones cannot. */
export function canShareScreen(): boolean {
  return typeof navigator.mediaDevices?.getDisplayMedia === "function";
}

/** Pictures half as wide and high, for machines that cannot encode larger ones beside a call. */
export function isSmallMachine(): boolean {
  return navigator.hardwareConcurrency <= 2;
}
