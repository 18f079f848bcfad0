/** Alerts that have just come, above the queue. */
import { fill, h, icon } from "./dom.js";
import { clock, index, moment } from "./format.js";
import { t, tCount, tWord } from "./i18n.js";
import { fresh, markSeen, onLive } from "./live.js";

const SHOWN = 3;

/** Return the strip; `onShow` loads the queue again. */
export function mountArrivals(onShow) {
  const announcement = h("span.visually-hidden", { "aria-live": "polite" });
  const room = h("div");
  const element = h("section.arrivals", { id: "arrivals", hidden: true }, announcement, room);
  const show = () => {
    element.hidden = fresh.length === 0;
    if (!fresh.length) return;
    const title = tCount("live.new", fresh.length);
    if (announcement.textContent !== title) announcement.textContent = title;
    fill(room,
      h("header", {}, h("span.dot.on.pulse", { "aria-hidden": "true" }), h("strong", {}, title),
        h("button.button.small", { type: "button", onclick: () => { markSeen(); onShow(); } }, t("live.show")),
        h("button.button.ghost.small", { type: "button", onclick: () => markSeen() }, t("live.dismiss"))),
      fresh.slice(0, SHOWN).map(arrival));
  };
  const leave = onLive(show);
  show();
  return { element, leave };
}

function arrival(alert) {
  const what = alert.kind === "alert" ? `${t("live.alert")}: ${tWord("level", alert.level)}` : t(`live.${alert.kind}`);
  return h("a.arrival", { href: `#/session/${encodeURIComponent(alert.session_id)}`, onclick: () => markSeen(alert.session_id) },
    icon(alert.kind), h("b", {}, index(alert.index)), h("span", {}, what), h("span.id", {}, alert.session_id),
    h("span.quiet", {}, `${moment(alert.at_ms)} · ${clock(alert.at_s)}`), h("span.go", {}, t("live.open")));
}
