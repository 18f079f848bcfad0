/** Draws curves over time on a canvas: the pressure index, and the model's scores. */
import { LEVELS } from "../labels.js";
import { colour } from "../theme.js";

export const SCORE_COLOURS = ["score-1", "score-2", "score-3", "score-4", "score-5", "score-6"];

/** A canvas that is sharp on every screen and knows its viewport. */
export class Lane {
  constructor(canvas, height_px, viewport) {
    Object.assign(this, { canvas, height: height_px, viewport });
    canvas.height = height_px;
  }

  /** Return the context, cleared and scaled; null while the lane has no width. */
  begin() {
    const ratio = devicePixelRatio || 1;
    this.width = this.canvas.clientWidth;
    if (!this.width) return null;
    this.canvas.width = Math.round(this.width * ratio);
    this.canvas.height = Math.round(this.height * ratio);
    const context = this.canvas.getContext("2d");
    context.scale(ratio, ratio);
    return context;
  }

  x(at_s) {
    return this.viewport.place(at_s) * this.width;
  }

  y(share) {
    return 4 + (1 - share) * (this.height - 8);
  }
}

/** Return the numbers of the points in the window, with one more at each side. */
function visible(curve, viewport) {
  const first = firstAtLeast(curve.end_s, viewport.start);
  const last = firstAtLeast(curve.end_s, viewport.end);
  return [Math.max(0, first - 1), Math.min(curve.end_s.length, last + 1)];
}

/** Return the number of the first value that is not less: binary search. */
export function firstAtLeast(values, wanted) {
  let low = 0;
  let high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] < wanted) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Draw one channel's index, coloured by level, over its bands. */
export function drawPressure(lane, curve, thresholds, gaps) {
  const context = lane.begin();
  if (!context) return;
  drawGrid(context, lane, [0.25, 0.5, 0.75]);
  const [first, last] = visible(curve, lane.viewport);
  const colours = LEVELS.map((level) => colour(`level-${level}`));
  drawBands(context, lane, curve, first, last, colours);
  drawGaps(context, lane, gaps);
  for (const [level, value] of Object.entries(thresholds)) {
    context.strokeStyle = colour(`level-${level}`);
    context.globalAlpha = 0.75;
    context.setLineDash([4, 4]);
    line(context, 0, lane.y(value / 100), lane.width, lane.y(value / 100));
    context.setLineDash([]);
    context.globalAlpha = 1;
  }
  context.lineJoin = "round";
  for (let number = first; number < last; number += 1) {
    const before = Math.max(0, number - 1);
    const x0 = lane.x(number ? curve.end_s[before] : curve.start_s[0]);
    const x1 = lane.x(curve.end_s[number]);
    const y0 = lane.y(curve.index[before] / 100);
    const y1 = lane.y(curve.index[number] / 100);
    context.fillStyle = context.strokeStyle = colours[curve.level[number]];
    context.globalAlpha = 0.16;
    context.beginPath();
    context.moveTo(x0, lane.height);
    context.lineTo(x0, y0);
    context.lineTo(x1, y1);
    context.lineTo(x1, lane.height);
    context.fill();
    context.globalAlpha = 1;
    context.lineWidth = 2;
    line(context, x0, y0, x1, y1);
  }
}

/** Tint the time that each level lasted. */
function drawBands(context, lane, curve, first, last, colours) {
  context.globalAlpha = 0.13;
  for (let number = first; number < last; ) {
    let end = number;
    while (end + 1 < last && curve.level[end + 1] === curve.level[number]) end += 1;
    const from = lane.x(number ? curve.end_s[number - 1] : 0);
    if (curve.level[number] > 0) {
      context.fillStyle = colours[curve.level[number]];
      context.fillRect(from, 0, lane.x(curve.end_s[end]) - from, lane.height);
    }
    number = end + 1;
  }
  context.globalAlpha = 1;
}

/** Hatch the time of which there is no audio. */
function drawGaps(context, lane, gaps) {
  context.strokeStyle = colour("quiet");
  context.globalAlpha = 0.35;
  context.lineWidth = 1;
  for (const gap of gaps) {
    const from = Math.max(0, lane.x(gap.at_s));
    const to = Math.min(lane.width, lane.x(gap.end_s));
    if (to <= from) continue;
    context.save();
    context.beginPath();
    context.rect(from, 0, to - from, lane.height);
    context.clip();
    for (let x = from - lane.height; x < to; x += 7) line(context, x, lane.height, x + lane.height, 0);
    context.restore();
  }
  context.globalAlpha = 1;
}

/** Draw the scores that are switched on: {name, colour, values} of one curve. */
export function drawScores(lane, curves, shown) {
  const context = lane.begin();
  if (!context) return;
  drawGrid(context, lane, [0.5]);
  context.lineWidth = 1.6;
  context.lineJoin = "round";
  for (const curve of curves) {
    const [first, last] = visible(curve, lane.viewport);
    for (const { name, tone } of shown) {
      const values = curve.scores[name];
      if (!values) continue;
      context.strokeStyle = colour(tone);
      context.beginPath();
      let down = false;
      for (let number = first; number < last; number += 1) {
        if (values[number] === null) { down = false; continue; }
        const [x, y] = [lane.x(curve.end_s[number]), lane.y(values[number])];
        if (down) context.lineTo(x, y);
        else context.moveTo(x, y);
        down = true;
      }
      context.stroke();
    }
  }
}

function drawGrid(context, lane, shares) {
  context.strokeStyle = colour("grid");
  context.lineWidth = 1;
  for (const share of shares) line(context, 0, Math.round(lane.y(share)) + 0.5, lane.width, Math.round(lane.y(share)) + 0.5);
}

function line(context, x0, y0, x1, y1) {
  context.beginPath();
  context.moveTo(x0, y0);
  context.lineTo(x1, y1);
  context.stroke();
}
