/**
 * Owns how elements are made: by `createElement` and text nodes only, never from strings of markup, because names and
 * messages come from strangers, and the content security policy allows nothing inline.
 */

/** What stands inside an element; nothing for `undefined` and `false`, so that conditions can be written in place. */
export type Child = Node | string | undefined | false;

/** Attributes; `true` is a bare attribute, `false` and `undefined` leave it out. */
export type Attributes = Readonly<Record<string, string | number | boolean | undefined>>;

/** An element with attributes and children. */
export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) setAttribute(element, name, value);
  element.append(...present(children));
  return element;
}

/** Sets, or takes away for `false` and `undefined`. */
export function setAttribute(element: Element, name: string, value: string | number | boolean | undefined): void {
  if (value === undefined || value === false) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value === true ? "" : value)) {
    element.setAttribute(name, value === true ? "" : String(value));
  }
}

/** The children that are there. */
export function present(children: readonly Child[]): (Node | string)[] {
  return children.filter((child): child is Node | string => child !== undefined && child !== false);
}

/** Writes a text only when it changed, so that live regions do not speak again. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** A text by strangers: it may be written in any direction and must not turn the words around it. */
export function foreign(text: string): HTMLElement {
  return el("bdi", {}, text);
}

/** Registers a handler until the signal aborts: a screen that goes away takes its handlers with it. */
export function listen<K extends keyof HTMLElementEventMap>(
  target: EventTarget,
  kind: K,
  handler: (event: HTMLElementEventMap[K]) => void,
  signal?: AbortSignal,
): void {
  target.addEventListener(kind, handler as EventListener, signal === undefined ? {} : { signal });
}
