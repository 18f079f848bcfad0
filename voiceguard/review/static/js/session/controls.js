/** Buttons of the player. */
import { fill, h, icon } from "../dom.js";
import { clock } from "../format.js";
import { t } from "../i18n.js";

const SPEEDS = [0.75, 1, 1.25, 1.5, 2];

/** Return the bar and how to tell it what goes on. */
export function buildControls(view, canPlay) {
  const button = (name, label, run) => h("button.button.ghost.square", { type: "button", title: t(label), "aria-label": t(label), onclick: run }, icon(name));
  const play = h("button.button.primary.play", { type: "button", id: "play", disabled: !canPlay, onclick: () => view.player.toggle() });
  const time = h("output.clock", { id: "clock" });
  const setPlaying = (playing) => {
    const label = t(playing ? "session.pause" : "session.play");
    play.title = label;
    play.setAttribute("aria-label", label);
    fill(play, icon(playing ? "pause" : "play"));
  };
  setPlaying(false);
  const speed = h("select.small", { id: "speed", "aria-label": t("session.speed"), title: t("session.speed"), onchange: () => { view.player.speed = Number(speed.value); } },
    SPEEDS.map((rate) => h("option", { value: String(rate), selected: rate === 1 }, `${rate}×`)));
  const volume = h("input", { type: "range", min: "0", max: "1", step: "0.05", value: "1", id: "volume", "aria-label": t("session.volume"), title: t("session.volume"), oninput: () => { view.player.volume = Number(volume.value); } });
  const jump = h("button.button", { type: "button", id: "jump", onclick: () => view.jump() }, icon("target"), t("session.jump"), h("kbd", {}, "J"));
  const element = h("div.controls", {}, play,
    button("back5", "session.back5", () => view.seek(view.player.at_s - 5)),
    button("forward5", "session.forward5", () => view.seek(view.player.at_s + 5)),
    time, jump, h("span.space"),
    canPlay ? [speed, h("span.volume", {}, icon("sound"), volume)] : [],
    button("minus", "session.zoomOut", () => view.zoom(1 / 1.6)), button("plus", "session.zoomIn", () => view.zoom(1.6)),
    button("fit", "session.zoomFit", () => view.viewport.show(0, view.viewport.duration)));
  const setTime = (at_s, duration_s) => fill(time, h("b", {}, clock(at_s, 1)), ` / ${clock(duration_s, 1)}`);
  return { element, setPlaying, setTime };
}
