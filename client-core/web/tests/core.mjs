// The module as node loads it: that what stands in `types.d.ts` is what comes out, and that nothing wrong that goes in
// does harm. `node tests/core.mjs FOLDER`, with the folder that `cargo xtask web` built.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const folder = join(process.argv[2] ?? "../../target/web", "core");
const core = await import(pathToFileURL(join(folder, "conclave_web.js")).href);
core.initSync({ module: readFileSync(join(folder, "conclave_web_bg.wasm")) });
const { Core, readLink, readWellKnown, version } = core;

const NOW = 1_800_000_000_000;
const start = (change = {}) => ({
    name: "Guest",
    relay: "0a".repeat(32),
    address: "127.0.0.1:4433",
    seed: Uint8Array.from({ length: 32 }, (_, at) => at),
    ...change,
});
const refuses = (act, words) => assert.throws(act, (error) => error instanceof Error && words.test(error.message));

const checks = {
    "the version is one": () => assert.match(version(), /^\d+\.\d+\.\d+/),

    "what is no link is refused with a sentence": () => {
        refuses(() => Core.join("no link", start()), /not a room's link/);
        refuses(() => Core.join("https://relay.example/r", start()), /after # is missing/);
        refuses(() => readLink("https://relay.example/r#!!"), /letters/);
    },

    "what is no start is refused with a sentence": () => {
        const create = (change) => () => Core.create("Tuesday", 10, start(change));
        refuses(create({ relay: "abc" }), /64 hexadecimal digits/);
        refuses(create({ address: "nowhere" }), /host:port/);
        refuses(create({ seed: new Uint8Array(31) }), /32 bytes/);
        refuses(create({ seed: new Uint8Array(32) }), /getRandomValues/);
        refuses(create({ seed: undefined }), /32 bytes/);
        refuses(create({ name: 7 }), /`name`/);
        refuses(() => Core.create("Tuesday", 0, start()), /members/);
        refuses(() => Core.create("Tuesday", 10, undefined), /`name`/);
    },

    "what is no document is refused with a sentence": () => {
        for (const text of ["", "{}", '{"signed":"AAAA"}', "x".repeat(100_000)]) {
            refuses(() => readWellKnown(text, NOW), /./);
        }
    },

    "the first items say that it connects, and that the relay is to be dialled": () => {
        const room = Core.create("Tuesday", 10, start());
        const items = room.poll(10, NOW);
        assert.deepEqual(items, [{ event: "connection", state: "connecting" }, { do: "dial", dial: 0 }]);
        assert.ok(room.wait() > 10);
        assert.deepEqual(room.poll(10, NOW), []);
        room.free();
    },

    "over WebTransport the greeting goes on the control stream": () => {
        const room = Core.create("Tuesday", 10, start());
        room.poll(0, NOW);
        const session = room.connected(5, NOW, 0, "webtransport");
        const [open, send, ...more] = room.poll(5, NOW);
        assert.deepEqual(open, { do: "open", session, stream: 0, bidi: true, priority: 0 });
        assert.equal(send.do, "send");
        assert.equal(send.stream, 0);
        assert.ok(send.bytes instanceof Uint8Array && send.bytes.length > 0);
        assert.equal(send.bytes.buffer.byteLength, send.bytes.length, "a copy of its own, that may be given away");
        assert.deepEqual(more, []);
        room.sent(6, NOW, session, 0, send.bytes.length);
        assert.equal(room.streamIn(session, false), 1);
        room.closed(7, NOW, session, undefined, "");
        room.poll(7, NOW);
        const again = room.wait();
        assert.ok(again > 7, "it is dialled again");
        assert.deepEqual(room.poll(again, NOW), [{ do: "dial", dial: 1 }]);
        room.free();
    },

    "over WebSocket it is a message, and leaving has a last word": () => {
        const room = Core.create("Tuesday", 10, start());
        room.poll(0, NOW);
        const session = room.connected(5, NOW, 0, "websocket");
        const greeting = room.poll(5, NOW);
        assert.ok(greeting.length > 0 && greeting.every((item) => item.do === "message" && item.session === session));
        room.leave(6, NOW);
        const farewell = room.poll(6, NOW);
        assert.deepEqual(
            farewell.map((item) => item.do ?? item.event),
            ["message", "close", "ended"],
        );
        assert.equal(farewell.at(-1).why, "left");
        assert.equal(room.wait(), undefined);
        room.free();
    },

    "what is wrong is ignored, or refused with a sentence": () => {
        const room = Core.create("Tuesday", 10, start());
        room.poll(0, NOW);
        const bytes = Uint8Array.of(1, 2, 3);
        for (const number of [0, 77, 4_294_967_295, -1, Number.NaN, undefined]) {
            room.data(1, NOW, number, number, bytes, true);
            room.resetIn(1, NOW, number, number, number);
            room.stoppedIn(1, NOW, number, number, number);
            room.datagram(1, NOW, number, bytes);
            room.sent(1, NOW, number, number, number);
            room.datagramsSent(1, NOW, number, number);
            room.message(1, NOW, number, bytes);
            room.messageSent(1, NOW, number, number);
            room.closed(1, NOW, number, number, "words");
            room.write(1, NOW, number, bytes, number, false, number);
            room.mute(1, NOW, number, true);
            room.unpublish(1, NOW, number);
            refuses(() => room.streamIn(number, true), /no session/);
        }
        room.requestKeyFrame(1, NOW, 5, 2n ** 63n);
        room.chat(1, NOW, "before joining");
        refuses(() => room.connected(1, NOW, 0, "telegraph"), /webtransport, websocket/);
        refuses(() => room.dialFailed(1, NOW, 0, "tired"), /unreachable/);
        refuses(() => room.publish(1, NOW, 1, { kind: "nose" }), /"nose" is none of microphone/);
        refuses(() => room.publish(1, NOW, 1, undefined), /`kind`/);
        room.publish(1, NOW, 1, { kind: "camera", codec: "vp8", label: "", width: 320, height: 180, layers: 2 });
        const items = room.poll(Number.NaN, Number.NaN);
        assert.ok(items.some((item) => item.event === "warning" && item.kind === "chatNotSent"), JSON.stringify(items));
        assert.ok(room.stats().framesDropped >= 1);
        room.free();
    },
};

for (const [name, check] of Object.entries(checks)) {
    try {
        check();
    } catch (error) {
        console.error(`${name}: ${error.stack}`);
        process.exit(1);
    }
}
console.log(`${Object.keys(checks).length} checks of the core passed`);
