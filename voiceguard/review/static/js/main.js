/** Starts the page: who is signed in, which view the address names, what is around it. */
import { get, whenSignedOut } from "./api.js";
import { fill, h } from "./dom.js";
import { applyLanguage, t } from "./i18n.js";
import { listenToKeys, setGlobalKeys, setPageKeys, showHelp } from "./keys.js";
import { startLive, stopLive } from "./live.js";
import { closeDialogs, showFailure } from "./notices.js";
import { buildShell } from "./shell.js";
import { mountDashboard } from "./dashboard.js";
import { mountQueue } from "./queue.js";
import { mountSession } from "./session/page.js";
import { mountSignIn } from "./signin.js";

const page = document.getElementById("page");
const VIEWS = { queue: mountQueue, session: mountSession, dashboard: mountDashboard };

let me = null;
let shell = null;
let leave = () => {};

/** Return where the address points: the view's name, its argument, its settings. */
export function place() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [name, ...rest] = path.split("/");
  const known = name in VIEWS ? name : "queue";
  return { name: known, argument: decode(rest.join("/")), settings: new URLSearchParams(query) };
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

async function start() {
  applyLanguage();
  listenToKeys();
  whenSignedOut(() => askWho("signin.ended"));
  addEventListener("hashchange", () => me && show());
  try {
    me = await get("/api/me");
  } catch (error) {
    showFailure(page, error, () => location.reload());
    return;
  }
  if (me) enter(me);
  else askWho();
}

function enter(who) {
  me = who;
  startLive(() => askWho("signin.ended"));
  setGlobalKeys([
    { keys: ["q"], label: "keys.queue", run: () => { location.hash = "#/queue"; } },
    { keys: ["d"], label: "keys.dashboard", run: () => { location.hash = "#/dashboard"; } },
    { keys: ["?"], label: "keys.help", run: showHelp },
  ]);
  rebuild();
}

function rebuild() {
  shell?.leave();
  shell = buildShell(me, { onLanguage: rebuild, onSignOut: () => askWho() });
  fill(page, shell.element);
  show();
}

function show() {
  leave();
  closeDialogs();
  setPageKeys([]);
  const { name, argument, settings } = place();
  shell.mark(name);
  const root = h("div.view");
  fill(shell.content, root);
  scrollTo(0, 0);
  leave = VIEWS[name](root, { argument, settings, me }) ?? (() => {});
}

function askWho(reason = "") {
  leave();
  leave = () => {};
  me = null;
  shell?.leave();
  shell = null;
  stopLive();
  closeDialogs();
  setPageKeys([]);
  setGlobalKeys([]);
  document.title = `${t("signin.title")} · ${t("app.name")}`;
  mountSignIn(page, reason ? t(reason) : "", enter, () => askWho(reason));
}

start();
