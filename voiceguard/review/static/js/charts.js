/** Charts drawn by hand as SVG, with a tooltip that follows the pointer and the focus. */
import { fill, h, svg } from "./dom.js";
import { count } from "./format.js";

const LEFT = 44;
const BOTTOM = 24;
const TOP = 10;

/** Return the axis' top: four equal steps of a round, whole number that reach a value. */
export function axisTop(value) {
  const power = 10 ** Math.max(0, Math.floor(Math.log10(value / 4)));
  const steps = [1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10].map((step) => step * power).filter(Number.isInteger);
  return 4 * steps.find((step) => 4 * step >= value);
}

/** Return stacked bars over days.
 *
 * @param bars [{label, title, parts: [{tone, value, name}]}]; `height` and width in pixels.
 */
export function stackedBars(bars, { height = 240, label }) {
  const room = h("div.chart");
  const tip = h("div.tip", { hidden: true, role: "status" });
  const draw = () => {
    const width = Math.max(320, room.clientWidth);
    const top = axisTop(Math.max(...bars.map(total), 1));
    const inner = { width: width - LEFT, height: height - BOTTOM - TOP };
    const step = inner.width / bars.length;
    const y = (value) => TOP + inner.height * (1 - value / top);
    const every = Math.ceil(bars.length / Math.max(1, Math.floor(inner.width / 64)));
    const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": label },
      [0, 0.25, 0.5, 0.75, 1].map((share) => svg("g", {},
        svg("line.rule", { x1: LEFT, x2: width, y1: y(top * share), y2: y(top * share) }),
        svg("text.axis-text", { x: LEFT - 8, y: y(top * share) + 4, "text-anchor": "end" }, count(Math.round(top * share))))),
      bars.map((bar, number) => column(bar, LEFT + number * step, step, y, inner.height)),
      bars.map((bar, number) => ((bars.length - 1 - number) % every === 0 ? dayLabel(bar, LEFT + (number + 0.5) * step, width) : null)));
    fill(room, drawing, tip);
  };
  const dayLabel = (bar, x, width) => {
    const side = x > width - 30 ? { x: width, "text-anchor": "end" } : { x, "text-anchor": "middle" };
    return svg("text.axis-text", { ...side, y: height - 6 }, bar.label);
  };
  const column = (bar, x, step, y, full) => {
    const wide = Math.min(38, Math.max(2, step * 0.68));
    const left = x + (step - wide) / 2;
    let sum = 0;
    const parts = bar.parts.map((part) => {
      const from = sum;
      sum += part.value;
      const high = y(from) - y(sum);
      return part.value ? svg(`rect.column.${part.tone}`, { x: left, width: wide, y: y(sum), height: Math.max(1, high), rx: Math.min(2, wide / 4) }) : null;
    });
    return svg("g.column-group", {}, svg("rect.hit", { x, width: step, y: TOP, height: full, onpointerenter: () => tell(bar, x + step / 2), onpointerleave: () => { tip.hidden = true; } }), parts);
  };
  const tell = (bar, x) => {
    tip.hidden = false;
    fill(tip, h("b", {}, bar.title), bar.parts.map((part) => h("p", {}, h(`span.swatch.${part.tone}`), part.name, " ", h("b", {}, count(part.value)))));
    tip.style.left = `${Math.min(Math.max(x, 80), room.clientWidth - 80)}px`;
  };
  new ResizeObserver(draw).observe(room);
  return room;
}

/** Return what the colours of a chart stand for. */
export const legend = (items) =>
  h("div.chart-legend", {}, items.map(([tone, name]) => h("span", {}, h(`span.swatch.${tone}`, { "aria-hidden": "true" }), name)));

/** Return one bar of shares: [{tone, value}]. */
export function shareBar(parts) {
  const all = parts.reduce((sum, part) => sum + part.value, 0);
  return h("span.share-bar", { "aria-hidden": "true" }, parts.map((part) => {
    const piece = h(`span.${part.tone}`);
    piece.style.width = `${all ? (part.value / all) * 100 : 0}%`;
    return piece;
  }));
}

const total = (bar) => bar.parts.reduce((sum, part) => sum + part.value, 0);
