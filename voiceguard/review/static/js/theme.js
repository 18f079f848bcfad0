/** Light or dark: what the system says, unless the reviewer says otherwise. */
import { recall, store } from "./i18n.js";

const KEY = "voiceguard.theme";
const ORDER = ["auto", "light", "dark"];
const system = matchMedia("(prefers-color-scheme: dark)");
const listeners = new Set();

system.addEventListener("change", () => listeners.forEach((run) => run()));

/** Return "auto", "light" or "dark". */
export const currentTheme = () => (ORDER.includes(recall(KEY)) ? recall(KEY) : "auto");

/** Go on to the next of the three. */
export function nextTheme() {
  const theme = ORDER[(ORDER.indexOf(currentTheme()) + 1) % ORDER.length];
  store(KEY, theme);
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  listeners.forEach((run) => run());
  return theme;
}

/** Call a function when colours change, for what is drawn on a canvas; returns how to stop. */
export function onTheme(run) {
  listeners.add(run);
  return () => listeners.delete(run);
}

/** Return a colour of the style sheet as it is now. */
export const colour = (name) =>
  getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
