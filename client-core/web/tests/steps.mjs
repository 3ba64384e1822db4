// What a person does on the page, and what they see there. The names are those that the page promises to tests.

import { beeps } from "./measure.mjs";

/// Anybody's picture but one's own.
export const ANYBODY = "[data-tile]:not([data-me]) canvas";

/// The picture of one person.
export const pictureOf = (id) => `[data-tile="${id}"] canvas`;

/// From the start page to the preview of a new call.
export async function begin(page, origin, title) {
  await page.goto(`${origin}/?debug&small`);
  await page.locator("#start").waitFor();
  await page.locator("#title").fill(title);
  await page.locator("#create").click();
}

/// From a link to its preview.
export async function open(page, origin, link) {
  const secret = link.slice(link.indexOf("#"));
  await page.goto(`${origin}/r?debug&small${secret}`);
}

/// Waits for camera and microphone and gives a name; everything is ready to press the button.
export async function prepare(page, name) {
  await page.locator("#preview").waitFor();
  await page.locator("#name").fill(name);
  await page.locator("#preview-camera[data-state=on]").waitFor();
  await page.locator("#preview-mute[data-state=on]").waitFor();
}

/// Presses the button and waits for the call; says how long that took in ms, and when it began by the page's clock.
export async function enter(page) {
  const began = await page.evaluate(() => performance.now());
  await page.locator("#join").click();
  // Whichever comes first: the call, or a sentence why not.
  const call = page.locator("body[data-screen=call]");
  const trouble = page.locator("#join-trouble:not([hidden]), body[data-screen=over]");
  await call.or(trouble).first().waitFor();
  if (await trouble.count() > 0) throw new Error(`the page did not get in: ${(await trouble.first().innerText()).trim()}`);
  const ended = await page.evaluate(() => performance.now());
  return { began, join_ms: Math.round(ended - began) };
}

export const linkOf = (page) => page.evaluate(() => globalThis.conclave.room.link);

/// Everything that the page knows of the room.
export const stateOf = (page) => page.evaluate(() => globalThis.conclave.room.state);

export const statsOf = (page) => page.evaluate(() => globalThis.conclave.room.stats());

export async function idOf(page, name) {
  await page.waitForFunction((wanted) => globalThis.conclave.room.state.participants.some((one) => one.name === wanted), name);
  const { participants } = await stateOf(page);
  return participants.find((one) => one.name === name).id;
}

/// Until so many are here, as the page shows it.
export const here = (page, count) => page.locator(`#people[data-count="${count}"]`).waitFor({ state: "attached" });

export const watch = (page, name, selector, kind = "barcode") =>
  page.evaluate((what) => globalThis.conclaveTest.watch(what.name, what.selector, what.kind), { name, selector, kind });

export const seen = (page, name) => page.evaluate((what) => globalThis.conclaveTest.seen(what), name);

/// Until an eye saw so many pictures.
export const sees = (page, name, count = 1) =>
  page.waitForFunction((what) => globalThis.conclaveTest.seen(what.name).seen.length >= what.count, { name, count });

/// What was heard since a moment: an index from `heardSoFar`.
export const heard = (page, since) => page.evaluate((from) => globalThis.conclaveTest.heard().slice(from), since);

export const heardSoFar = (page) => page.evaluate(() => globalThis.conclaveTest.heard().length);

/// Until so many beeps were heard since a moment.
export async function hearsBeeps(page, since, count) {
  const deadline = Date.now() + 20_000;
  while (beeps(await heard(page, since)).length < count) {
    if (Date.now() > deadline) throw new Error(`no ${count} beeps were heard in 20 s`);
    await page.waitForTimeout(100);
  }
}

/// Writes a message as a person does.
export async function say(page, text) {
  const field = page.locator("#chat-text");
  if (!(await field.isVisible())) await page.locator("#open-chat").click();
  await field.fill(text);
  await field.press("Enter");
}

/// Until a message is there, once.
export async function reads(page, text) {
  const message = page.locator("#chat-log .text", { hasText: text });
  await message.first().waitFor({ state: "attached" });
  return message.count();
}

/// The thirty digits, and whom they are for.
export async function codeOf(page) {
  const { epoch, participants } = await stateOf(page);
  const code = await page.locator("#code").getAttribute("data-code");
  return { epoch, code: (code ?? "").replaceAll(" ", ""), names: participants.map((one) => one.name).sort() };
}

export async function leave(page) {
  await page.locator("#leave").click();
  await page.locator("#over[data-kind=left]").waitFor();
}
