// The pictures of the page for the README: start, preview, a call of two, and what is said when UDP is blocked. No clock and
// no barcode are in them; the cameras are landscapes.
//
// Started by `cargo xtask browser --pictures`: the first line says what there is.

import { join } from "node:path";

import { launch, openPage } from "./browser.mjs";
import { ANYBODY, begin, enter, here, linkOf, open, prepare, reads, say } from "./steps.mjs";
import { answer, hangUp, tell } from "./talk.mjs";

const settings = await answer();
const complaints = [];
const names = [];
const browsers = await Promise.all(settings.cameras.map((camera) => launch({ ...settings, camera })));
const viewport = { width: 960, height: 600 };

const page = async (browser, name) => {
  const made = await openPage(browser, { name, complaints, viewport, burnt: false });
  made.setDefaultTimeout(30_000);
  return made;
};

const take = async (one, name) => {
  // JPEG where a camera is in the picture: a landscape as PNG is ten times larger.
  const path = join(settings.album, name);
  await one.screenshot(name.endsWith(".jpg") ? { path, type: "jpeg", quality: 82 } : { path });
  names.push(name);
};

/// Until the picture of somebody else is on the page, and looks as it will go on looking.
const shown = async (one) => {
  await one.locator(ANYBODY).first().waitFor();
  await one.waitForFunction(() => globalThis.conclave.room.stats().then((stats) => stats.perTrack.some((track) => track.shown > 60)));
};

/// News about who came are not what a picture is about.
const quiet = (one) => one.waitForFunction(() => document.querySelector("#news").childElementCount === 0);

try {
  const [wren, lark] = [await page(browsers[0], "Wren"), await page(browsers[1], "Lark")];
  tell({ say: "the start" });
  await wren.goto(`${settings.alder}/`);
  await wren.locator("#start").waitFor();
  await take(wren, "start.png");

  tell({ say: "the preview" });
  await begin(wren, settings.alder, "Reading circle");
  await prepare(wren, "Wren");
  await wren.waitForFunction(() => document.querySelector("video")?.currentTime > 1);
  await take(wren, "preview.jpg");

  tell({ say: "a call of two" });
  await enter(wren);
  const link = await linkOf(wren);
  await open(lark, settings.birch, link);
  await prepare(lark, "Lark");
  await enter(lark);
  await Promise.all([shown(wren), shown(lark)]);
  await say(lark, "Chapter four today?");
  await reads(wren, "Chapter four today?");
  await say(wren, "Yes, from the letter on.");
  await reads(lark, "Yes, from the letter on.");
  await quiet(wren);
  await take(wren, "call.jpg");

  tell({ say: "a page for which UDP is blocked" });
  const robin = await page(browsers[1], "Robin");
  await open(robin, settings.tcp, link);
  await prepare(robin, "Robin");
  await enter(robin);
  await here(robin, 3);
  await shown(robin);
  await robin.locator("#transport[data-transport=websocket]").waitFor();
  await robin.locator("#open-carriers").click();
  await quiet(robin);
  await take(robin, "tcp.jpg");
  tell({ report: names });
} catch (error) {
  tell({ failed: error.message, where: error.stack, states: {}, complaints });
} finally {
  await Promise.all(browsers.map((browser) => browser.close()));
  hangUp();
}
