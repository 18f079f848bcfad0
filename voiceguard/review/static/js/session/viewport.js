/** Which part of the call is on screen. Everything that is drawn over time follows it. */

const LEAST_S = 2;

/** A window on the audio clock, in seconds. */
export class Viewport {
  constructor(duration_s) {
    this.duration = Math.max(duration_s, 0.1);
    this.start = 0;
    this.span = this.duration;
    this.listeners = new Set();
  }

  get end() {
    return this.start + this.span;
  }

  get isWhole() {
    return this.span >= this.duration - 1e-6;
  }

  /** Call a function whenever the window moves. */
  listen(run) {
    this.listeners.add(run);
  }

  /** The call has become longer: it is live. */
  extend(duration_s) {
    const whole = this.isWhole;
    this.duration = Math.max(this.duration, duration_s);
    this.show(this.start, whole ? this.duration : this.span);
  }

  /** Show a window, as far as there is something to show. */
  show(start, span = this.span) {
    this.span = Math.min(this.duration, Math.max(Math.min(LEAST_S, this.duration), span));
    this.start = Math.min(Math.max(0, start), this.duration - this.span);
    for (const run of this.listeners) run();
  }

  /** Zoom by a factor around a moment that stays where it is. */
  zoom(factor, at_s = this.start + this.span / 2) {
    const before = this.span;
    const span = Math.min(this.duration, Math.max(Math.min(LEAST_S, this.duration), before / factor));
    this.show(at_s - ((at_s - this.start) * span) / before, span);
  }

  /** Move on when a moment is not in the window. */
  reveal(at_s) {
    if (at_s < this.start || at_s > this.end) this.show(at_s - this.span * 0.1);
  }

  /** Return where a moment lies, 0 at the left edge, 1 at the right. */
  place(at_s) {
    return (at_s - this.start) / this.span;
  }
}
