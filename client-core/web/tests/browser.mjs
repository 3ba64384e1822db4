// A Chromium whose camera and microphone are files, and pages of which no complaint goes unheard.

import { fileURLToPath } from "node:url";

import { chromium } from "playwright-core";

const SCRIPTS = ["barcode.js", "stamp.js", "eye.js", "ear.js"].map((name) => fileURLToPath(new URL(`page/${name}`, import.meta.url)));

/// What a person would have to do in a window that cannot be seen.
const ARGUMENTS = [
  "--use-fake-ui-for-media-stream",
  "--autoplay-policy=no-user-gesture-required",
  // Both pages are in front of somebody.
  "--disable-backgrounding-occluded-windows",
  "--disable-renderer-backgrounding",
];

/// Starts one.
export function launch({ chromium: executablePath, camera, microphone }) {
  return chromium.launch({
    executablePath,
    headless: true,
    // Its own walls need rights that a container does not give; it opens nothing but our page.
    chromiumSandbox: false,
    args: [
      ...ARGUMENTS,
      "--use-fake-device-for-media-stream=fps=30",
      `--use-file-for-fake-video-capture=${camera}`,
      `--use-file-for-fake-audio-capture=${microphone}`,
    ],
  });
}

/// A page of somebody who shares nothing with the others: storage, cookies, permissions.
///
/// `who` is the number that is burnt into their pictures. Complaints of the page go into `complaints`.
/// With `burnt: false` nothing is burnt in, and nothing of the test is in the page.
export async function openPage(browser, { who, name, complaints, viewport = { width: 960, height: 640 }, burnt = true }) {
  const context = await browser.newContext({ viewport });
  if (burnt) {
    for (const path of SCRIPTS) await context.addInitScript({ path });
    await context.addInitScript((number) => { globalThis.conclaveTest.who = number; }, who);
  }
  const page = await context.newPage();
  page.on("pageerror", (error) => complaints.push(`${name}: ${error.stack ?? error.message}`));
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(`${name}: ${message.text()} (${message.location().url})`);
  });
  page.on("crash", () => complaints.push(`${name}: the page crashed`));
  return page;
}
