/** Camera, microphone and screen, asked for in the way a call needs them, with sentences when the answer is no. */

/**
 * `denied`: the user or the system said no. `not-found`: there is none. `in-use`: another program has it.
 * `unsupported`: this browser, or a page without https, has no such thing. `failed`: anything else.
 */
export type DeviceErrorKind = "denied" | "not-found" | "in-use" | "unsupported" | "failed";

/** Why a device cannot be used; `message` is a sentence that says what to do. */
export class DeviceError extends Error {
  readonly kind: DeviceErrorKind;

  constructor(kind: DeviceErrorKind, message: string) {
    super(message);
    this.name = "DeviceError";
    this.kind = kind;
  }
}

export interface CameraOptions {
  /** Pixels and pictures a second that are asked for; a camera may give others. Default 640x360 at 30. */
  readonly width?: number;
  readonly height?: number;
  readonly frameRate?: number;
  /** One of `enumerateDevices()`; default: the browser's choice. */
  readonly deviceId?: string;
}

export interface MicrophoneOptions {
  readonly deviceId?: string;
  /** Default true, all three: what is played here must not come back to the others. */
  readonly echoCancellation?: boolean;
  readonly noiseSuppression?: boolean;
  readonly autoGainControl?: boolean;
}

/** Opens a camera. Rejects with a `DeviceError`. */
export function camera(options: CameraOptions = {}): Promise<MediaStream> {
  const video: MediaTrackConstraints = {
    width: { ideal: options.width ?? 640 },
    height: { ideal: options.height ?? 360 },
    frameRate: { ideal: options.frameRate ?? 30 },
    ...chosen(options.deviceId),
  };
  return open("camera", () => media().getUserMedia({ video }));
}

/** Opens a microphone with the browser's echo canceller. Rejects with a `DeviceError`. */
export function microphone(options: MicrophoneOptions = {}): Promise<MediaStream> {
  const audio: MediaTrackConstraints = {
    echoCancellation: options.echoCancellation ?? true,
    noiseSuppression: options.noiseSuppression ?? true,
    autoGainControl: options.autoGainControl ?? true,
    channelCount: { ideal: 1 },
    ...chosen(options.deviceId),
  };
  return open("microphone", () => media().getUserMedia({ audio }));
}

/** Asks which screen, window or tab to show, with its sound where the browser can. Rejects with a `DeviceError`. */
export function screen(): Promise<MediaStream> {
  return open("screen", () =>
    media().getDisplayMedia({
      video: { frameRate: { ideal: 15 }, width: { max: 1920 }, height: { max: 1080 } },
      audio: true,
    }),
  );
}

function chosen(deviceId: string | undefined): MediaTrackConstraints {
  return deviceId === undefined ? {} : { deviceId: { exact: deviceId } };
}

function media(): MediaDevices {
  // Absent, against its type, on pages that are neither https nor of this machine.
  const devices = navigator.mediaDevices as MediaDevices | undefined;
  if (devices === undefined) {
    throw new DeviceError("unsupported", "Browsers give devices only to pages opened over https. Open the page so.");
  }
  return devices;
}

async function open(what: "camera" | "microphone" | "screen", ask: () => Promise<MediaStream>): Promise<MediaStream> {
  try {
    return await ask();
  } catch (thrown) {
    throw thrown instanceof DeviceError ? thrown : explained(what, thrown);
  }
}

function explained(what: "camera" | "microphone" | "screen", thrown: unknown): DeviceError {
  const name = thrown instanceof Error ? thrown.name : "";
  switch (name) {
    case "NotAllowedError":
    case "SecurityError":
      return new DeviceError(
        "denied",
        what === "screen"
          ? "The screen is not shown: permission was not given. Try again and choose what to show."
          : `The ${what} may not be used: permission was not given. Allow it beside the page's address, then try again.`,
      );
    case "NotFoundError":
    case "OverconstrainedError":
      return new DeviceError("not-found", `No such ${what} was found. Plug one in or choose another, then try again.`);
    case "NotReadableError":
    case "AbortError":
      return new DeviceError("in-use", `The ${what} cannot be opened: another program may be using it. Close that, then try again.`);
    case "TypeError":
      return new DeviceError("unsupported", `This browser cannot open a ${what}. Use a current one.`);
    default:
      return new DeviceError("failed", `The ${what} cannot be opened${name ? ` (${name})` : ""}. Try again or choose another.`);
  }
}
