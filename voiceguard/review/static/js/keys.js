/** Keyboard shortcuts: one list for the page that is open, one for everywhere. */
import { h } from "./dom.js";
import { t } from "./i18n.js";
import { openDialog } from "./notices.js";

let everywhere = [];
let here = [];

const NAMES = { " ": "key.space", Enter: "key.enter" };
const ARROWS = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓" };

/** Set the shortcuts that always work: [{keys, label, run}]. */
export function setGlobalKeys(list) {
  everywhere = list;
}

/** Set the shortcuts of the page that is open. */
export function setPageKeys(list) {
  here = list;
}

/** Return a key as it is printed on keyboards. */
export const keyName = (key) => (NAMES[key] ? t(NAMES[key]) : ARROWS[key] ?? key.toUpperCase());

/** Listen, for as long as the document lives. */
export function listenToKeys() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (document.querySelector("dialog[open]") || isTyping(event.target, event.key)) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const shortcut = [...here, ...everywhere].find((one) => one.keys.includes(key));
    if (!shortcut) return;
    event.preventDefault();
    shortcut.run();
  });
}

function isTyping(target, key) {
  if (target.matches("textarea, select, input:not([type=checkbox], [type=radio], [type=range])")) return true;
  if (target.matches("input[type=radio], input[type=range]") && key.startsWith("Arrow")) return true;
  return (key === " " || key === "Enter") && target.matches("button, a, summary, input");
}

/** Show all shortcuts. */
export function showHelp() {
  const table = (title, list) => h("section", {}, h("h3", {}, title), h("dl.keys", {},
    list.map((one) => h("div", {}, h("dt", {}, one.keys.map((key) => h("kbd", {}, keyName(key)))), h("dd", {}, t(one.label))))));
  openDialog(t("keys.title"), h("div.help", {},
    here.length ? table(t("keys.here"), here) : null, table(t("keys.everywhere"), everywhere)),
  h("p.quiet", {}, t("note.index")));
}
