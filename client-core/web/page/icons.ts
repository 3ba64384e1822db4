/**
 * Owns the icons: built in the DOM, because nothing inline and nothing foreign may be loaded. All are drawn on a field of
 * 24 by 24 with lines of 2, in the colour of the text beside them, and are hidden from screen readers: the words say it.
 */

const NAMESPACE = "http://www.w3.org/2000/svg";

/** One path each, and further ones for what is drawn over it. */
const PATHS = {
  microphone: ["M12 3a3 3 0 0 0-3 3v5a3 3 0 0 0 6 0V6a3 3 0 0 0-3-3Z", "M5 11a7 7 0 0 0 14 0", "M12 18v3"],
  microphoneOff: [
    "M9 9v2a3 3 0 0 0 4.6 2.5M15 11V6a3 3 0 0 0-5.6-1.5",
    "M5 11a7 7 0 0 0 10.9 5.8M19 11a7 7 0 0 1-.5 2.6",
    "M12 18v3",
    "M4 3l16 18",
  ],
  camera: ["M4 7h9a2 2 0 0 1 2 2v6a2 2 0 0 1-2 2H4a2 2 0 0 1-2-2V9a2 2 0 0 1 2-2Z", "M15 11l6-3.5v9L15 13"],
  cameraOff: [
    "M10 7h3a2 2 0 0 1 2 2v2l6-3.5v9L17.5 14.500",
    "M13.500 17H4a2 2 0 0 1-2-2V9a2 2 0 0 1 2-2h.5",
    "M3 3l18 18",
  ],
  screen: ["M3 5h18v11H3Z", "M8 20h8M12 16v4", "M12 13V8M9.500 10.500 12 8l2.500 2.500"],
  chat: ["M4 5h16v11H10l-4 4v-4H4Z", "M8 9h8M8 12h5"],
  people: ["M9 11a3.500 3.500 0 1 0 0-7 3.500 3.500 0 0 0 0 7Z", "M2.500 20a6.500 6.500 0 0 1 13 0", "M16 4.500a3.500 3.500 0 0 1 0 6.200M18 14a6.500 6.500 0 0 1 3.500 6"],
  shield: ["M12 3l8 3v6c0 4.500-3.200 7.600-8 9-4.800-1.400-8-4.500-8-9V6Z", "M8.500 12l2.500 2.500 4.500-5"],
  route: ["M5 8a2.500 2.500 0 1 0 0-5 2.500 2.500 0 0 0 0 5Z", "M19 21a2.500 2.500 0 1 0 0-5 2.500 2.500 0 0 0 0 5Z", "M5 8v4a4 4 0 0 0 4 4M15 8a4 4 0 0 1 4 4v4M9 16h7.500M7.500 5.500H15V8"],
  link: ["M10 14a4 4 0 0 0 6 .4l3-3a4 4 0 0 0-5.700-5.700L12 7", "M14 10a4 4 0 0 0-6-.4l-3 3a4 4 0 0 0 5.700 5.700L12 17"],
  leave: ["M3 14.500c5-5.300 13-5.300 18 0l-2.200 2.700-4-1.600v-2.800a11 11 0 0 0-5.600 0v2.800l-4 1.600Z"],
  close: ["M6 6l12 12M18 6 6 18"],
  send: ["M4 12 20 4l-5 16-3.500-6.500Z", "M11.500 13.500 20 4"],
  warning: ["M12 4 2.500 20h19Z", "M12 10v4M12 17v.5"],
  check: ["M5 12.500l4.500 4.500L19 7.500"],
  speaker: ["M4 9.500v5h3.500L12 18.500v-13L7.500 9.500Z", "M15.500 9a4.500 4.500 0 0 1 0 6M18 6.500a8 8 0 0 1 0 11"],
  host: ["M12 4l2.400 5 5.600.7-4.100 3.800 1.100 5.500-5-2.800-5 2.800 1.100-5.500L4 9.700 9.600 9Z"],
  unheard: ["M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18Z", "M12 7.500V12l3 2"],
  settings: ["M4 7h9M17 7h3M4 17h3M11 17h9", "M15 9.200a2.200 2.200 0 1 0 0-4.400 2.200 2.200 0 0 0 0 4.400Z", "M9 19.200a2.200 2.200 0 1 0 0-4.400 2.200 2.200 0 0 0 0 4.400Z"],
  mark: ["M19 8.500A8 8 0 1 0 19 15.500", "M12 12h.01"],
} as const satisfies Record<string, readonly string[]>;

/** What can be drawn. */
export type IconName = keyof typeof PATHS;

/** A new icon. */
export function icon(name: IconName): SVGSVGElement {
  const svg = document.createElementNS(NAMESPACE, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("focusable", "false");
  for (const d of PATHS[name]) {
    const path = document.createElementNS(NAMESPACE, "path");
    path.setAttribute("d", d);
    svg.append(path);
  }
  return svg;
}
