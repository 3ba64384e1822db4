// A room with a loudspeaker and a microphone in it, made of a sound server of our own: what is played is heard again by the
// microphone, softer and a little later, as in a room without headphones.
//
//   browser --> speaker --(the air)--> microphone --> browser

import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

/// What the air leaves of it. How late it arrives is what the server's buffers make it: tens of milliseconds, as with real devices.
const AIR = "40%";

/// How often it is looked whether the server answers, and how long.
const [LOOK_MS, LOOKS] = [100, 100];

const MODULES = [
  "module-native-protocol-unix",
  "module-null-sink sink_name=speaker rate=48000",
  "module-remap-source source_name=microphone master=speaker.monitor",
];

/// Begins the room: `env` is for programs that shall be in it; `close` ends it.
export async function acoustics() {
  const home = mkdtempSync(join(tmpdir(), "conclave-acoustics-"));
  const env = {
    ...process.env,
    HOME: home,
    XDG_RUNTIME_DIR: home,
    PULSE_RUNTIME_PATH: join(home, "pulse"),
    PULSE_STATE_PATH: join(home, "state"),
    // There is no desktop here that could be asked.
    DBUS_SESSION_BUS_ADDRESS: "unix:path=/nonexistent",
  };
  const plain = ["-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", "--disallow-exit", "--log-target=stderr"];
  const server = spawn("pulseaudio", [...plain, ...MODULES.flatMap((module) => ["-L", module])], {
    env,
    stdio: ["ignore", "ignore", "pipe"],
  });
  let said = "";
  server.stderr.on("data", (text) => { said = (said + text).slice(-4000); });
  const ended = once(server, "exit").catch((error) => { said += error.message; });
  const control = (...words) => execFileSync("pactl", words, { env, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  const close = async () => {
    server.kill();
    await ended;
    rmSync(home, { recursive: true, force: true });
  };
  for (let look = 0; ; look += 1) {
    try {
      control("info");
      break;
    } catch (error) {
      if (look === LOOKS || server.exitCode !== null) {
        await close();
        throw new Error(`the sound server does not answer: ${error.message}\n${said}`);
      }
      await pause(LOOK_MS);
    }
  }
  control("set-default-sink", "speaker");
  control("set-default-source", "microphone");
  control("set-source-volume", "microphone", AIR);
  return { env, close };
}
