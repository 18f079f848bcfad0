/** The time axis' ticks, and the bar that shows which part of the call is visible. */
import { h } from "../dom.js";
import { t } from "../i18n.js";

const STEPS_S = [0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400];
const LEAST_PX = 76;

/** Return the moments to write on an axis of some width. */
export function tickTimes(viewport, width_px) {
  const room = Math.max(1, width_px / LEAST_PX);
  const step = STEPS_S.find((one) => viewport.span / one <= room) ?? STEPS_S.at(-1);
  const ticks = [];
  for (let at = Math.ceil(viewport.start / step) * step; at <= viewport.end - step * 0.2; at += step) ticks.push(at);
  return ticks;
}

/** Return a bar whose thumb can be dragged; it hides while the whole call is visible. */
export function buildScrollbar(viewport) {
  const thumb = h("div.thumb");
  const bar = h("div.scrollbar", { role: "scrollbar", "aria-label": t("session.window"), "aria-orientation": "horizontal", "aria-valuemin": "0", "aria-valuemax": "100", hidden: true }, thumb);
  const show = () => {
    bar.hidden = viewport.isWhole;
    thumb.style.left = `${(viewport.start / viewport.duration) * 100}%`;
    thumb.style.width = `${(viewport.span / viewport.duration) * 100}%`;
    bar.setAttribute("aria-valuenow", String(Math.round((viewport.start / viewport.duration) * 100)));
  };
  const move = (event) => {
    const box = bar.getBoundingClientRect();
    viewport.show(((event.clientX - box.left) / box.width) * viewport.duration - viewport.span / 2);
  };
  bar.addEventListener("pointerdown", (event) => {
    bar.setPointerCapture(event.pointerId);
    bar.addEventListener("pointermove", move);
    bar.addEventListener("pointerup", () => bar.removeEventListener("pointermove", move), { once: true });
    move(event);
  });
  viewport.listen(show);
  show();
  return bar;
}
