/** The frame around every view: where one can go, who one is, whether alerts arrive. */
import { post } from "./api.js";
import { fill, h, icon } from "./dom.js";
import { t, tWord, toggleLanguage } from "./i18n.js";
import { showHelp } from "./keys.js";
import { fresh, isConnected, onLive } from "./live.js";
import { toastError } from "./notices.js";
import { currentTheme, nextTheme } from "./theme.js";

const THEME_ICONS = { auto: "auto", light: "sun", dark: "moon" };

/** Return the brand, as a link home or as it is. */
export const brand = () => [h("img.logo", { src: "/static/icon.svg", alt: "" }), h("span.brand-name", {}, t("app.name")), h("span.brand-part", {}, t("app.review"))];

/** Return buttons for language and theme. */
export function preferences(onLanguage) {
  const theme = h("button.button.ghost.square", { type: "button", onclick: () => { nextTheme(); show(); } });
  const show = () => {
    const label = t(`nav.theme.${currentTheme()}`);
    theme.title = label;
    theme.setAttribute("aria-label", label);
    fill(theme, icon(THEME_ICONS[currentTheme()]));
  };
  show();
  const language = h("button.button.ghost", { type: "button", id: "language", onclick: () => { toggleLanguage(); onLanguage(); } }, t("nav.language"));
  return [language, theme];
}

/** Build the frame; returns its element, the place for the view, and how to leave. */
export function buildShell(me, { onLanguage, onSignOut }) {
  const badge = h("span.badge", { hidden: true });
  const state = h("span.live-state", { role: "status" });
  const link = (name, label, ...more) => h("a.nav-link", { href: `#/${name}`, "data-view": name }, t(label), ...more);
  const links = [link("queue", "nav.queue", badge), link("dashboard", "nav.dashboard")];
  const signOut = async () => {
    try {
      await post("/api/sign-out");
      onSignOut();
    } catch (error) {
      toastError(error);
    }
  };
  const content = h("main", { id: "content", tabindex: "-1" });
  const element = h("div.shell", {},
    h("a.skip", { href: "#content", onclick: (event) => { event.preventDefault(); content.focus(); } }, t("app.skip")),
    h("header.bar", {},
      h("a.brand", { href: "#/queue" }, ...brand()),
      h("nav", { "aria-label": t("nav.main") }, links),
      h("div.bar-end", {}, state, ...preferences(onLanguage),
        h("button.button.ghost.square", { type: "button", title: t("nav.help"), "aria-label": t("nav.help"), onclick: showHelp }, icon("question")),
        h("div.who", {}, h("strong", {}, me.name), h("span", {}, tWord("role", me.role))),
        h("button.button.ghost", { type: "button", id: "sign-out", onclick: signOut }, t("nav.signOut")))),
    content,
    h("footer.note", {}, t("note.index")));
  const showLive = () => {
    const count = fresh.length;
    badge.hidden = count === 0;
    badge.textContent = String(count);
    fill(state, h(`span.dot.${isConnected() ? "on" : "off"}`, { "aria-hidden": "true" }), t(isConnected() ? "live.on" : "live.off"));
    document.title = (count ? `(${count}) ` : "") + document.title.replace(/^\(\d+\) /, "");
  };
  const stop = onLive(showLive);
  showLive();
  const mark = (name) => {
    for (const one of links) {
      if (one.dataset.view === name) one.setAttribute("aria-current", "page");
      else one.removeAttribute("aria-current");
    }
  };
  return { element, content, mark, leave: stop };
}

/** Name the document after its view, keeping the count of new alerts. */
export function setTitle(text) {
  document.title = `${fresh.length ? `(${fresh.length}) ` : ""}${text} · ${t("app.name")}`;
}
