// A call between two pages, at the relays of two operators, and a participant without a browser; then a third page, for which
// only TCP gets through. Says at the end what was seen and heard, in numbers: whether that is enough is judged elsewhere.
//
// Started by `cargo xtask browser`, which answers to what is asked (`talk.mjs`) and gives as the first line what there is:
// { chromium, camera, microphone, alder, birch, tcp: origins, native: its name, folder: for pictures of what went wrong }.

import { basename, join } from "node:path";

import { launch, openPage } from "./browser.mjs";
import { beeps, loud, order, pictures, bestRate } from "./measure.mjs";
import { numbersIn, piecesIn } from "./recording.mjs";
import {
  ANYBODY, begin, codeOf, enter, heard, heardSoFar, hearsBeeps, here, idOf, leave, linkOf, open, pictureOf, prepare, reads, say, seen,
  sees, stateOf, statsOf, watch,
} from "./steps.mjs";
import { answer, ask, hangUp, tell } from "./talk.mjs";

/// How long pictures are looked at and sound is listened to, each time.
const WINDOW_MS = 8_000;

/// How long at most, when pictures come too slowly for `ENOUGH_FPS`.
const LONGEST_MS = 24_000;
const ENOUGH_FPS = 24;

/// After the first picture, until the decoders, the uplink and this machine are at ease.
const SETTLE_MS = 1_500;

/// How long the main thread of a page does nothing else: several beeps.
const BUSY_MS = 4_000;

/// Sound that was on its way when somebody muted themselves.
const ECHO_MS = 700;

const settings = await answer();
const complaints = [];
const pages = new Map();
const browser = await launch(settings);

const page = async (name, who) => {
  const made = await openPage(browser, { who, name, complaints });
  made.setDefaultTimeout(30_000);
  pages.set(name, made);
  return made;
};

/// What eyes saw in a stretch of time, from now. It goes on for a while when the machine has something else to do: the judge
/// asks for the best five seconds.
const look = async (views) => {
  for (const [one, name, selector, kind] of views) await watch(one, name, selector, kind);
  const deadline = Date.now() + LONGEST_MS;
  for (;;) {
    await views[0][0].waitForTimeout(WINDOW_MS);
    const seenBy = await Promise.all(views.map(async ([one, name, , kind]) => {
      const all = await seen(one, name);
      return kind === "change" ? { pictures: all.seen.length, best_fps: bestRate(all.seen.map(([when]) => when), 5000) } : pictures(all);
    }));
    if (seenBy.every((one) => one.best_fps >= ENOUGH_FPS) || Date.now() > deadline) return seenBy;
    tell({ say: "this machine is busy: looking on" });
  }
};

/// Two pages meet.
const meet = async (ada, bo) => {
  tell({ say: "the first page begins a call" });
  await begin(ada, settings.alder, "Tuesday");
  await prepare(ada, "Ada");
  await watch(ada, "first", ANYBODY);
  const began = await enter(ada);
  const link = await linkOf(ada);

  tell({ say: "the second page opens the link at another operator's relay" });
  await open(bo, settings.birch, link);
  await prepare(bo, "Bo");
  await watch(bo, "first", ANYBODY);
  const came = await enter(bo);
  await sees(bo, "first");
  await sees(ada, "first");
  const first = (await seen(bo, "first")).seen[0][0];
  return {
    link,
    create_ms: began.join_ms,
    join_ms: came.join_ms,
    first_picture_ms: Math.round(first - came.began),
    first_frame_ms: (await statsOf(bo)).firstFrameMs,
  };
};

/// What each sees and hears of the other.
const talk = async (ada, bo) => {
  tell({ say: "both look and listen" });
  await ada.waitForTimeout(SETTLE_MS);
  const [heardByAda, heardByBo] = [await heardSoFar(ada), await heardSoFar(bo)];
  const [seenByAda, seenByBo] = await look([[ada, "other", ANYBODY, "barcode"], [bo, "other", ANYBODY, "barcode"]]);
  const sound = async (one, since) => {
    const pieces = await heard(one, since);
    const found = beeps(pieces);
    const apart = found.slice(1).map((beep, at) => beep.at - found[at].at);
    return { seconds: pieces.length / 100, beeps: found.length, apart_ms: apart, lengths_ms: found.map(({ length }) => length) };
  };
  return { ada: { sees: seenByAda, hears: await sound(ada, heardByAda) }, bo: { sees: seenByBo, hears: await sound(bo, heardByBo) } };
};

/// Ada mutes herself and hides; Bo sees and hears it.
const hide = async (ada, bo) => {
  tell({ say: "one mutes herself, and switches her camera off and on" });
  const id = await idOf(bo, "Ada");
  await ada.locator("#mute").click();
  await bo.locator(`[data-tile="${id}"][data-muted]`).waitFor();
  await bo.waitForTimeout(ECHO_MS);
  let since = await heardSoFar(bo);
  await bo.waitForTimeout(2_500);
  const whileMuted = beeps(await heard(bo, since)).length;
  await ada.locator("#mute").click();
  await bo.locator(`[data-tile="${id}"]:not([data-muted])`).waitFor();
  since = await heardSoFar(bo);
  await hearsBeeps(bo, since, 2);

  await ada.locator("#camera").click();
  await bo.locator(pictureOf(id)).waitFor({ state: "detached" });
  await ada.locator("#camera").click();
  await bo.locator(pictureOf(id)).waitFor();
  await watch(bo, "again", pictureOf(id));
  await sees(bo, "again", 30);
  return { beeps_while_muted: whileMuted, heard_again: true, seen_again: true };
};

/// Ada's page does nothing but count for a while; Bo goes on hearing her.
const busy = async (ada, bo) => {
  tell({ say: "the main thread of one page does something else for four seconds" });
  const since = await heardSoFar(bo);
  await ada.evaluate((ms) => {
    const end = performance.now() + ms;
    let turns = 0;
    while (performance.now() < end) turns += 1;
    return turns;
  }, BUSY_MS);
  const found = beeps(await heard(bo, since));
  return { seconds: BUSY_MS / 1000, beeps: found.length };
};

/// Everybody writes, everybody reads.
const chat = async (ada, bo) => {
  tell({ say: "everybody writes" });
  await say(ada, "hello from Ada");
  await say(bo, "hello from Bo");
  await ask("chat", { text: "hello from the command line" });
  const times = {};
  for (const [name, one, texts] of [
    ["ada", ada, ["hello from Bo", "hello from the command line"]],
    ["bo", bo, ["hello from Ada", "hello from the command line"]],
  ]) {
    times[name] = [];
    for (const text of texts) times[name].push(await reads(one, text));
  }
  return times;
};

/// A participant without a browser comes.
const withNative = async (ada, bo, link) => {
  tell({ say: "a participant without a browser joins" });
  await ask("native", { link });
  await here(ada, 3);
  await here(bo, 3);
  const native = await idOf(bo, settings.native);
  for (const one of [ada, bo]) {
    await watch(one, "native", pictureOf(native), "change");
    await sees(one, "native", 30);
  }
  await ada.waitForTimeout(SETTLE_MS);
  const since = await heardSoFar(bo);
  const [a, b, ofAda, ofNative] = await look([
    [ada, "native", pictureOf(native), "change"],
    [ada, "bo", pictureOf(await idOf(ada, "Bo")), "barcode"],
    [bo, "ada", pictureOf(await idOf(bo, "Ada")), "barcode"],
    [bo, "native", pictureOf(native), "change"],
  ]);
  const loudness = loud(await heard(bo, since));
  const said = await chat(ada, bo);
  const [stateOfAda, stateOfBo] = [await stateOf(ada), await stateOf(bo)];
  const carriers = (state) => state.carriers.map(({ operator, hub, entry, publishers }) => ({ operator, hub, entry, publishers }));
  return {
    ada: { native: a, other: b, code: await codeOf(ada), carriers: carriers(stateOfAda), stats: await statsOf(ada), transport: stateOfAda.transport },
    bo: { native: ofNative, other: ofAda, code: await codeOf(bo), carriers: carriers(stateOfBo), stats: await statsOf(bo), loud: loudness, transport: stateOfBo.transport },
    chat: said,
  };
};

/// A page that opens a link of a call that goes on, at a relay whose UDP port never answers.
const overTcp = async (bo, room) => {
  tell({ say: "a page for which UDP is blocked joins the call" });
  const { link } = await ask("browser-link");
  const cy = await page("Cy", 3);
  await cy.goto(link.replace("/r#", "/r?debug&small#"));
  await prepare(cy, "Cy");
  await watch(cy, "first", ANYBODY);
  const came = await enter(cy);
  const { transport } = await stateOf(cy);
  await cy.locator("#transport[data-transport=websocket]").waitFor();
  const notice = (await cy.locator("#transport").innerText()).trim();
  const theirs = await idOf(cy, "Bo");
  await watch(cy, "bo", pictureOf(theirs));
  await sees(cy, "bo", 30);
  const native = await idOf(cy, settings.native);
  await watch(cy, "native", pictureOf(native), "change");
  await sees(cy, "native", 30);
  const [seenByCy, nativeSeen, seenByBo] = await look([
    [cy, "bo", pictureOf(theirs), "barcode"],
    [cy, "native", pictureOf(native), "change"],
    [bo, "cy", pictureOf(await idOf(bo, "Cy")), "barcode"],
  ]);
  tell({ say: "a participant without a browser joins, for which UDP is blocked too" });
  const blocked = await ask("blocked-native", { link: room });
  return { blocked, join_ms: came.join_ms, transport, notice, sees: seenByCy, native: nativeSeen, seen_by_bo: seenByBo, stats: await statsOf(cy) };
};

/// What the participant without a browser wrote down of the two.
const recorded = async (one, files) => {
  tell({ say: "its recordings are decoded" });
  const result = {};
  for (const name of ["Ada", "Bo"]) {
    const of = (kind) => files.find((file) => basename(file).startsWith(`${name}-`) && basename(file).includes(`-${kind}-`));
    const [camera, microphone] = [of("camera"), of("microphone")];
    const numbers = camera ? await numbersIn(one, camera) : [];
    const read = numbers.filter((number) => number !== null);
    const pieces = microphone ? await piecesIn(one, microphone) : [];
    result[name.toLowerCase()] = { pictures: numbers.length, unreadable: numbers.length - read.length, order: order(read), seconds: pieces.length / 100, beeps: beeps(pieces).length };
  }
  return result;
};

const play = async () => {
  const [ada, bo] = [await page("Ada", 1), await page("Bo", 2)];
  const report = { browser: browser.version() };
  const { link, ...met } = await meet(ada, bo);
  report.met = met;
  report.talk = await talk(ada, bo);
  report.busy = await busy(ada, bo);
  report.hide = await hide(ada, bo);
  report.three = await withNative(ada, bo, link);
  await leave(ada);
  await ada.context().close();
  await here(bo, 2);
  report.tcp = await overTcp(bo, link);
  await leave(pages.get("Cy"));
  await leave(bo);
  const { files } = await ask("native-leaves");
  const decoder = await page("decoder", 0);
  await decoder.goto(`${settings.alder}/`);
  report.recorded = await recorded(decoder, files);
  return report;
};

/// A browser says so itself when a connection over UDP fails; where UDP is blocked that is what has to happen.
const isExpected = (complaint) => complaint.startsWith("Cy: ") && /Failed to establish a connection to https/.test(complaint);

/// A picture that nobody closed costs memory for a moment and nothing else. It is counted and shown, apart from what is broken.
const isUnclosed = (complaint) => /VideoFrame was garbage collected without being closed/.test(complaint);

try {
  const report = await play();
  const unclosed = complaints.filter(isUnclosed).length;
  tell({ report: { ...report, unclosed, complaints: complaints.filter((one) => !isExpected(one) && !isUnclosed(one)) } });
} catch (error) {
  for (const [name, one] of pages) {
    await one.screenshot({ path: join(settings.folder, `${name}.png`), timeout: 5_000 }).catch(() => undefined);
  }
  const states = {};
  for (const [name, one] of pages) {
    states[name] = await one.evaluate(async () => ({
      words: document.body.innerText.slice(0, 600),
      state: globalThis.conclave?.room.state,
      stats: await globalThis.conclave?.room.stats(),
    })).catch((why) => String(why));
  }
  tell({ failed: error.message, where: error.stack, states, complaints });
} finally {
  await browser.close();
  hangUp();
}
