/** The stack over one time axis: moments, waveform, pressure, scores; one playhead through all. */
import { fill, h, icon } from "../dom.js";
import { clock } from "../format.js";
import { t, tWord } from "../i18n.js";
import { LEVELS } from "../labels.js";
import { recall, store } from "../i18n.js";
import { onTheme } from "../theme.js";
import { drawPressure, drawScores, firstAtLeast, Lane, SCORE_COLOURS } from "./curves.js";
import { markTitle } from "./moments.js";
import { buildScrollbar, tickTimes } from "./scale.js";

const PRESSURE_PX = 132;
const SCORES_PX = 96;
const KEY = "voiceguard.scores";

/** Return a channel's name. */
export const channelName = (roles, channel) =>
  roles[channel] ? tWord("channel", roles[channel]) : t("channel.other", { number: Number(channel) + 1 });

/** The timeline of one session. Give it a viewport, the roles, and what a click means. */
export class Timeline {
  constructor(viewport, roles, onSeek) {
    Object.assign(this, { viewport, roles, onSeek, lanes: [], data: { curves: {}, marks: [] }, at_s: 0 });
    this.waves = h("div.waves");
    this.waveRow = h("div.lane-row.wave-row", { hidden: true }, h("div.gutter.wave-names", {}, roles.map((_, channel) => h("span", {}, channelName(roles, channel)))), this.waves);
    this.markRow = h("div.marks");
    this.curveRows = h("div.curve-rows");
    this.axis = h("div.axis");
    this.playhead = h("div.playhead", { "aria-hidden": "true" });
    this.hoverLine = h("div.hover-line", { hidden: true });
    this.readout = h("div.readout", { hidden: true });
    this.legend = h("div.legend", { role: "group", "aria-label": t("session.allScores") });
    this.overlay = h("div.overlay", {}, this.hoverLine, this.playhead, this.readout);
    this.plot = h("div.stack", { role: "group", "aria-label": t("session.timeline"), title: null },
      h("p.visually-hidden", {}, t("session.timeline.about")),
      h("div.lane-row", {}, h("div.gutter"), this.markRow), this.waveRow, this.curveRows,
      h("div.lane-row", {}, h("div.gutter"), this.axis), this.overlay);
    this.scrollbar = buildScrollbar(viewport);
    this.element = h("div.timeline", {}, this.plot, this.scrollbar, this.legend);
    this.hidden = new Set((recall(KEY) ?? "arousal,valence").split(",").filter(Boolean));
    this.listen();
  }

  listen() {
    this.viewport.listen(() => this.draw());
    this.stopTheme = onTheme(() => this.draw());
    this.sizes = new ResizeObserver(() => this.draw());
    this.sizes.observe(this.plot);
    this.plot.addEventListener("pointermove", (event) => this.hover(event));
    this.plot.addEventListener("pointerleave", () => { this.hoverLine.hidden = this.readout.hidden = true; });
    this.plot.addEventListener("pointerdown", (event) => this.drag(event));
    this.plot.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
  }

  leave() {
    this.stopTheme();
    this.sizes.disconnect();
  }

  /** Show these curves and marks. */
  show(data) {
    this.data = data;
    this.names = [...new Set(Object.values(data.curves).flatMap((curve) => Object.keys(curve.scores)))].sort();
    this.build();
    this.draw();
  }

  build() {
    const channels = Object.keys(this.data.curves);
    this.lanes = channels.map((channel) => {
      const canvas = h("canvas", { role: "img", "aria-label": `${t("session.pressure")}: ${channelName(this.roles, channel)}` });
      return { channel, canvas, lane: new Lane(canvas, PRESSURE_PX, this.viewport) };
    });
    const rows = this.lanes.map(({ channel, canvas }) => h("div.lane-row.pressure-row", {},
      h("div.gutter", {}, h("span", {}, t("session.pressure")), h("small", {}, channelName(this.roles, channel)),
        h("i.top", {}, "100"), h("i.mid", {}, "50"), h("i.low", {}, "0")), h("div.lane", {}, canvas)));
    const canvas = h("canvas", { role: "img", "aria-label": t("session.allScores") });
    this.scoreLane = new Lane(canvas, SCORES_PX, this.viewport);
    const scores = h("div.lane-row.score-row", {}, h("div.gutter", {}, h("span", {}, t("session.scores")), h("i.top", {}, "1"), h("i.low", {}, "0")), h("div.lane", {}, canvas));
    fill(this.curveRows, channels.length ? [...rows, this.names.length ? scores : null] : h("p.quiet.unscored", {}, t("session.noEvents")));
    fill(this.legend, this.names.map((name, number) => h(`button.legend-item.tone-${number % SCORE_COLOURS.length + 1}`, { type: "button", "aria-pressed": String(!this.hidden.has(name)), onclick: (event) => this.toggleScore(name, event.currentTarget) },
      h("span.swatch", { "aria-hidden": "true" }), tWord("score", name))));
  }

  toggleScore(name, button) {
    if (!this.hidden.delete(name)) this.hidden.add(name);
    button.setAttribute("aria-pressed", String(!this.hidden.has(name)));
    store(KEY, [...this.hidden].join(","));
    this.draw();
  }

  draw() {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => {
      const { curves, marks } = this.data;
      const gaps = marks.filter((mark) => mark.kind === "gap");
      for (const { channel, lane } of this.lanes) drawPressure(lane, curves[channel], this.thresholds(), gaps);
      const shown = (this.names ?? []).map((name, number) => ({ name, tone: SCORE_COLOURS[number % SCORE_COLOURS.length] })).filter((one) => !this.hidden.has(one.name));
      if (this.names?.length) drawScores(this.scoreLane, Object.values(curves), shown);
      this.drawMarks();
      this.drawAxis();
      this.movePlayhead();
    });
  }

  /** Return the thresholds that are known: those that were crossed upwards. */
  thresholds() {
    const rising = this.data.marks.filter((mark) => mark.kind === "alert" && LEVELS.indexOf(mark.level) > LEVELS.indexOf(mark.previous_level));
    return Object.fromEntries(rising.map((mark) => [mark.level, mark.threshold]));
  }

  drawMarks() {
    const inside = this.data.marks.map((mark) => [mark, this.viewport.place(mark.at_s)]).filter(([, share]) => share >= 0 && share <= 1);
    let before = -1;
    let stacked = 0;
    fill(this.markRow, inside.map(([mark, share]) => {
      stacked = share - before < 0.016 ? stacked + 1 : 0;
      before = share;
      const button = h(`button.mark.${mark.kind}.${mark.level ?? "none"}`, { type: "button", title: `${clock(mark.at_s, 1)} · ${markTitle(mark)}`, "aria-label": `${clock(mark.at_s, 1)} ${markTitle(mark)}`, onclick: () => this.onSeek(mark.at_s) }, icon(mark.kind));
      button.style.left = `calc(${share * 100}% + ${stacked * 20}px)`;
      return button;
    }), inside.map(([mark, share]) => {
      const stem = h(`span.stem.${mark.kind}.${mark.level ?? "none"}`);
      stem.style.left = `${share * 100}%`;
      return stem;
    }));
  }

  drawAxis() {
    fill(this.axis, tickTimes(this.viewport, this.axis.clientWidth).map((at_s) => {
      const tick = h("span", {}, clock(at_s));
      tick.style.left = `${this.viewport.place(at_s) * 100}%`;
      return tick;
    }));
  }

  /** Move the playhead to a moment. */
  setTime(at_s) {
    this.at_s = at_s;
    this.movePlayhead();
  }

  movePlayhead() {
    const share = this.viewport.place(this.at_s);
    this.playhead.hidden = share < 0 || share > 1;
    this.playhead.style.left = `${share * 100}%`;
  }

  timeAt(event) {
    const box = this.overlay.getBoundingClientRect();
    const share = (event.clientX - box.left) / box.width;
    return share < 0 || share > 1 ? null : this.viewport.start + share * this.viewport.span;
  }

  drag(event) {
    if (event.button !== 0 || event.target.closest("button")) return;
    const at_s = this.timeAt(event);
    if (at_s === null) return;
    this.onSeek(at_s);
    const follow = (moved) => { const to = this.timeAt(moved); if (to !== null && moved.buttons) this.onSeek(to); };
    this.plot.addEventListener("pointermove", follow);
    addEventListener("pointerup", () => this.plot.removeEventListener("pointermove", follow), { once: true });
  }

  wheel(event) {
    const sideways = event.shiftKey ? event.deltaY : event.deltaX;
    if (event.ctrlKey || event.metaKey) this.viewport.zoom(event.deltaY < 0 ? 1.25 : 0.8, this.timeAt(event) ?? undefined);
    else if (sideways && !this.viewport.isWhole) this.viewport.show(this.viewport.start + (sideways / 800) * this.viewport.span);
    else return;
    event.preventDefault();
  }

  hover(event) {
    const at_s = this.timeAt(event);
    this.hoverLine.hidden = this.readout.hidden = at_s === null;
    if (at_s === null) return;
    const share = this.viewport.place(at_s);
    this.hoverLine.style.left = `${share * 100}%`;
    this.readout.style.left = `${share * 100}%`;
    this.readout.classList.toggle("to-left", share > 0.7);
    fill(this.readout, h("b", {}, clock(at_s, 1)), Object.entries(this.data.curves).map(([channel, curve]) => this.reading(channel, curve, at_s)));
  }

  reading(channel, curve, at_s) {
    const number = Math.min(firstAtLeast(curve.end_s, at_s), curve.end_s.length - 1);
    if (number < 0 || at_s < curve.start_s[0]) return h("p.quiet", {}, `${channelName(this.roles, channel)}: ${t("readout.none")}`);
    const scored = Object.entries(curve.scores).filter(([, values]) => values[number] !== null);
    const deviation = curve.deviation[number];
    const level = LEVELS[curve.level[number]];
    return h("div.reading", {},
      h("p", {}, h(`span.swatch.level.${level}`), `${channelName(this.roles, channel)} `, h("b", {}, curve.index[number].toFixed(0)), ` ${t(`level.${level}`)}`),
      h("dl", {}, scored.map(([name, values]) => h("div", {}, h("dt", {}, tWord("score", name)), h("dd", {}, values[number].toFixed(2))))),
      h("p.quiet", {}, [tWord("quality", curve.quality[number]), t("readout.confidence", { value: curve.confidence[number].toFixed(2) }), deviation === null ? null : t("readout.deviation", { value: deviation.toFixed(1) })].filter(Boolean).join(" · ")));
  }
}
