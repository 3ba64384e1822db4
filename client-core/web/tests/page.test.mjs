// The parts of the page that only decide: layout, names, sentences. `cargo xtask web` first, then `node --test`.
import assert from "node:assert/strict";
import test from "node:test";

import { explain, failure, warning } from "../../../target/web/page/failures.js";
import { displayName, hue, initials } from "../../../target/web/page/identity.js";
import { fit } from "../../../target/web/page/layout.js";
import { sentence } from "../../../target/web/page/words.js";

const GAP = 8;

test("one to sixteen tiles fit into a wide field, and are 16 to 9", () => {
  for (let count = 1; count <= 16; count += 1) {
    const { columns, width, height } = fit(count, 1256, 660, GAP);
    const rows = Math.ceil(count / columns);
    assert.ok(columns * width + (columns - 1) * GAP <= 1256, `${count}: too wide`);
    assert.ok(rows * height + (rows - 1) * GAP <= 660, `${count}: too high`);
    assert.ok(Math.abs(width / height - 16 / 9) < 0.02, `${count}: ${width} to ${height}`);
  }
});

test("two tiles stand beside each other in a wide field and above each other in a narrow one", () => {
  assert.equal(fit(2, 1256, 660, GAP).columns, 2);
  assert.equal(fit(2, 344, 480, GAP).columns, 1);
});

test("a field that is too small scrolls rather than showing nobody", () => {
  const { columns, width } = fit(16, 344, 300, GAP);
  assert.equal(columns, 2);
  assert.ok(width >= 132);
});

test("a person without a letter still has a sign", () => {
  assert.equal(initials("  "), "?");
  assert.equal(initials("ada"), "A");
  assert.equal(initials("Ada King Lovelace"), "AL");
  assert.equal(initials("\u{1F98A} fox"), "\u{1F98A}F");
});

test("the second of one name is told from the first, whatever the capitals", () => {
  const all = [{ id: 5, name: "Robin" }, { id: 2, name: "robin " }, { id: 9, name: "Wren" }];
  assert.deepEqual(all.map((one) => displayName(one, all)), ["Robin (2)", "robin ", "Wren"]);
});

test("neighbouring ids have colours that are far apart", () => {
  for (let id = 0; id < 50; id += 1) {
    const apart = Math.abs(hue(id) - hue(id + 1));
    assert.ok(Math.min(apart, 360 - apart) > 60, `${id}`);
  }
});

test("a kind has one sentence however it is spelled, and an unknown one keeps its own words", () => {
  assert.equal(explain("nobody-there", "x").text, explain("nobodyThere", "x").text);
  assert.equal(explain("brandNew", "the moon is in the way").text, "The moon is in the way.");
  assert.equal(failure(undefined).kind, "unknown");
  assert.notEqual(sentence("  "), "");
});

test("signs that somebody stands in between are alarms, others are not", () => {
  assert.equal(warning("historyMismatch", "x").alarm, true);
  assert.equal(warning("recordMismatch", "x").alarm, true);
  assert.equal(warning("rejoined", "x").alarm, false);
});
