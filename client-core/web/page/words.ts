/**
 * Owns every sentence of the page. They are for people who talk to each other, not for engineers: what happened, and
 * what to do next. Nothing here names a key, an address or a secret.
 */

/** Sentences and labels; functions where a name or a number stands inside. */
export const words = {
  name: "Conclave",
  start: {
    heading: "Talk face to face, in private",
    promise:
      "No account and nothing to install. Only the people in the call can see and hear it. The servers that carry it cannot.",
    call: "Start a call",
    callHint: "You get a link. Whoever has the link can come in.",
    title: "What is it about? (optional)",
    titleHint: "Seen only by the people in the call.",
    create: "Start a call",
    join: "Join a call",
    joinHint: "Somebody sent you a link? Paste it here.",
    link: "Link",
    open: "Open the link",
    noLink: "Paste the whole link that you were sent. It begins with https:// and has a # in it.",
    servedBy: (host: string) => `This page was given to you by ${host}.`,
  },
  preview: {
    headingJoin: "Ready to join?",
    headingCreate: "Ready to start?",
    where: (host: string) => `The link was made at ${host}.`,
    private: "Nobody sees or hears you before you join.",
    name: "Your name",
    nameHint: "Shown to the people in the call only. It does not have to be your real one.",
    noName: "Type a name, so that the others know who you are.",
    camera: "Camera",
    microphone: "Microphone",
    level: "Microphone level",
    quiet: "No sound so far. Say something, or choose another microphone.",
    join: "Join the call",
    create: "Start the call",
    joining: "Joining …",
    creating: "Starting …",
    waiting: "Waiting to be let in. This can take up to a minute.",
    cancel: "Cancel",
    back: "Back",
    unnamed: (kind: string, at: number) => `${kind} ${at}`,
  },
  call: {
    untitled: "Call",
    mute: "Mute",
    unmute: "Unmute",
    cameraOn: "Start camera",
    cameraOff: "Stop camera",
    share: "Share screen",
    stopSharing: "Stop sharing",
    chat: "Chat",
    people: "People",
    code: "Check code",
    carriers: "Operators",
    devices: "Devices",
    copy: "Copy link",
    copied: "Link copied",
    leave: "Leave",
    close: "Close",
    controls: "Controls of the call",
    views: "About the call",
    tiles: "People in the call",
    you: "you",
    alone: "Nobody else is here yet.",
    aloneHint: "Send this link to the people you want to talk to. Whoever has it can come in.",
    linkLabel: "Link of this call",
    hear: "Click to hear",
    hearHint: "Your browser keeps the sound off until you click.",
    joined: (name: string) => `${name} came in`,
    left: (name: string) => `${name} left`,
    reaped: (name: string) => `${name} lost the connection and is out of the call`,
    moved: (name: string) => `${name} is connecting anew`,
    sharing: (name: string) => `${name} shares a screen`,
    screenOf: (name: string) => `Screen of ${name}`,
    yourScreen: "Your screen",
    muted: "muted",
    unheard: "not heard from",
    isHere: (name: string, states: readonly string[]) => [name, ...states].join(", "),
  },
  connection: {
    connecting: "Connecting …",
    connected: "",
    reconnecting: "Reconnecting … The connection was lost. You come back by yourself as soon as it works again.",
    controlLost: "The others cannot be heard from right now. The call goes on by itself when the connection to them is back.",
  },
  tcp: "UDP is blocked here: the call goes over TCP, expect more delay.",
  chat: {
    heading: "Chat",
    empty: "Nobody wrote anything yet. Only people who are here at the time can read it. Nothing is kept when the call ends.",
    text: "Message",
    send: "Send",
    unread: (count: number) => `${count} new`,
    news: (name: string, text: string) => `${name}: ${[...text].length > 80 ? `${[...text].slice(0, 80).join("")} …` : text}`,
    tooLong: "This message is too long. Send it in parts.",
    gone: "Somebody who left",
  },
  people: {
    heading: (count: number) => (count === 1 ? "1 person here" : `${count} people here`),
    complete: "This list is complete: nobody can be in the call without being in it.",
    host: "host",
    microphoneOff: "microphone off",
    microphoneOn: "microphone on",
    volume: (name: string) => `Volume of ${name}`,
    twin: (name: string, at: number) => `${name} (${at})`,
  },
  safety: {
    heading: "Check that nobody listens in",
    how: "Read these digits to each other: when all of you see the same ones, nobody stands between you.",
    changes: "The digits change whenever somebody comes or goes. Compare them when everybody is here, and best over a voice you know.",
    none: "The code appears as soon as you are in.",
  },
  carriers: {
    heading: "Who carries this call",
    promise: "These operators pass the call along. They see that it takes place and how much data flows. They cannot see or hear it.",
    address: "Only your relay sees your internet address.",
    hub: "orders the room",
    entry: "your relay",
    brings: (count: number) => (count === 1 ? "brings the sound and picture of 1 person" : `brings the sound and picture of ${count} people`),
    unnamed: "Operator without a name",
    relay: (short: string) => `relay ${short}`,
    none: "Not known yet. The list appears a moment after you are in.",
  },
  devices: {
    heading: "Camera and microphone",
    denied: {
      camera: "The camera is not allowed. Allow it in your browser's address bar, then switch it on again.",
      microphone: "The microphone is not allowed. Allow it in your browser's address bar, then switch it on again.",
    },
    missing: {
      camera: "No camera was found. You can join without one.",
      microphone: "No microphone was found. Plug one in, or join to listen and write.",
    },
    busy: {
      camera: "The camera is used by another program. Close that program, then switch the camera on again.",
      microphone: "The microphone is used by another program. Close that program, then switch the microphone on again.",
    },
    failed: {
      camera: "The camera does not work. Choose another one, or join without it.",
      microphone: "The microphone does not work. Choose another one, or join to listen and write.",
    },
    ended: {
      camera: "The camera was unplugged or taken away. Choose another one, or go on without it.",
      microphone: "The microphone was unplugged or taken away: nobody hears you. Choose another one.",
    },
    screenFailed: "The screen could not be shared. Allow it in the system's privacy settings, then try again.",
    notPublished: "The others cannot get this from you right now. Switch it off and on again.",
  },
  support: {
    heading: "This does not work here",
    insecure: "The address of this page does not begin with https://, so the browser allows no call. Open the link with https:// in front.",
    codecs: "This browser cannot make encrypted calls yet. Use a current Chrome or Edge on a computer, or Chrome on Android.",
    transport: "This browser cannot connect to a call. Use a current Chrome or Edge.",
    old: "This browser is too old for calls. Update it, or use a current Chrome or Edge.",
  },
  ended: {
    left: "You left the call",
    leftHint: "Camera and microphone are off. The others can go on without you.",
    failed: "The call ended for you",
    badLink: "This link does not open a call",
    again: "Join again",
    home: "To the start page",
  },
  warnings: {
    chatNotSent: "The message was not sent. Write more slowly, or try again.",
    rejoined: "The connection was lost for a moment. You are back.",
    notReceived: "Somebody's sound or picture cannot be received. Their relay, or the way to it, has a problem.",
    mismatch: "Something in this room does not fit together. Compare the code with the others before you go on.",
  },
  failed: {
    link: "A part of the link is missing or changed. Copy the whole link again, or ask for a new one.",
    unreachable: "The relay cannot be reached. Check your network, then try again. If others get in, your network may block it.",
    nobodyThere: "Nobody is in this room, and only the person who made it can begin. Try again when they are there.",
    nobodyAnswered: "Nobody in the room let you in. Try again, or ask the others whether they see you knocking.",
    declined: "Somebody in the room did not let you in. Ask them before you try again.",
    full: "The room is full. Try again when somebody has left.",
    unknownRoom: "This room is not known any more. Ask for a new link.",
    expired: "This room is too old. Ask for a new link, and check that the clock of this device is right.",
    lost: "The connection was lost and did not come back. Check your network, then join again.",
    removed: "The others took you out of the room. Ask them for a new link.",
    wrongKey: "Somebody else answers where the relay should be. Your network may be tampering. Try another network.",
    notConclave: "What answers there is no relay of this kind. Check the address, or ask the relay's operator.",
    unknownHub: "Your relay does not know the relay that this room was made at. Open the link as it was sent to you.",
    over: "The call has ended. Join again.",
    version: "This page and the relay do not fit together. Reload the page.",
    unknown: "Something went wrong that this page has no words for. Reload the page and try again.",
  },
} as const;

/** A sentence of the SDK as one of ours: it begins with a capital and ends with a stop. */
export function sentence(text: string): string {
  const trimmed = text.trim();
  if (trimmed === "") return words.failed.unknown;
  const begun = trimmed.charAt(0).toUpperCase() + trimmed.slice(1);
  return /[.!?…]$/.test(begun) ? begun : `${begun}.`;
}

/** The time of day, as this person writes it. */
export function clock(unixMs: number): string {
  return new Date(unixMs).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}
