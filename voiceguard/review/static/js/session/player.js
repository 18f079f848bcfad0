/** Plays the call and draws its waveform with wavesurfer.js.
 *
 * The outline comes from the server, so nothing is fetched or decoded to draw it; audio is
 * fetched when it is played, from the moment that is played.
 */
import WaveSurfer from "../../vendor/wavesurfer/wavesurfer.esm.js";
import { sessionPath } from "../api.js";
import { colour } from "../theme.js";

const LANE_PX = 52;

/** The clock of a session page: where one is, whether it plays. */
export class Player {
  /** @param hooks onTime(s), onState(playing), onError() */
  constructor(sessionId, outline, lanes, viewport, hooks) {
    this.viewport = viewport;
    this.media = new Audio();
    this.media.preload = "none";
    this.hooks = hooks;
    this.isReady = false;
    this.sought_s = 0;
    const nonce = document.querySelector("meta[name=style-nonce]").content;
    this.surfer = WaveSurfer.create({
      container: lanes,
      media: this.media,
      url: sessionPath(sessionId, "audio"),
      peaks: outline.channels.map((channel) => channel.map((value) => value / 127)),
      duration: outline.duration_s,
      interact: false, hideScrollbar: true, autoScroll: false, autoCenter: false,
      cursorWidth: 0, cspNonce: nonce, normalize: true, barWidth: 2, barGap: 1, barRadius: 1,
      splitChannels: outline.channels.map(() => ({ height: LANE_PX, ...this.colours() })),
      ...this.colours(),
    });
    this.surfer.on("ready", () => {
      this.isReady = true;
      this.follow();
      this.seek(this.sought_s);
    });
    this.surfer.on("timeupdate", (at_s) => hooks.onTime(at_s));
    this.surfer.on("play", () => hooks.onState(true));
    this.surfer.on("pause", () => hooks.onState(false));
    this.surfer.on("finish", () => hooks.onState(false));
    this.surfer.on("error", () => { if (this.media.error) hooks.onError(); });
    viewport.listen(() => this.follow());
  }

  colours() {
    return { waveColor: colour("wave"), progressColor: colour("wave-played") };
  }

  /** Take the colours of the theme. */
  recolour() {
    const splitChannels = this.surfer.options.splitChannels.map((lane) => ({ ...lane, ...this.colours() }));
    this.surfer.setOptions({ ...this.colours(), splitChannels });
    this.follow();
  }

  /** Show what the viewport shows. */
  follow() {
    if (!this.surfer.getDecodedData()) return;
    const width = this.surfer.getWidth();
    const perSecond = this.viewport.isWhole ? 0 : width / this.viewport.span;
    if (Math.abs((this.surfer.options.minPxPerSec ?? 0) - perSecond) > 1e-6) this.surfer.zoom(perSecond);
    this.surfer.setScroll((this.viewport.start / this.viewport.duration) * this.surfer.getWrapper().scrollWidth);
  }

  /** Where one is; until something is loaded, where one will be: browsers say 0 until then. */
  get at_s() {
    return this.media.readyState ? this.media.currentTime : this.sought_s;
  }

  get isPlaying() {
    return this.surfer.isPlaying();
  }

  seek(at_s) {
    const inside = Math.min(Math.max(0, at_s), this.viewport.duration);
    this.sought_s = inside;
    if (this.isReady) this.surfer.setTime(inside);
    this.hooks.onTime(inside);
  }

  async toggle() {
    try {
      await this.surfer.playPause();
    } catch (error) {
      if (error.name !== "AbortError") this.hooks.onError();
    }
  }

  set speed(rate) {
    this.surfer.setPlaybackRate(rate, true);
  }

  set volume(value) {
    this.surfer.setVolume(value);
  }

  destroy() {
    this.surfer.destroy();
    this.media.pause();
    this.media.removeAttribute("src");
    this.media.load();
  }
}

/** The same where there is nothing to hear: a place on the curve. */
export class SilentPlayer {
  constructor(hooks) {
    this.hooks = hooks;
    this.at_s = 0;
    this.isPlaying = false;
  }

  seek(at_s) {
    this.at_s = Math.max(0, at_s);
    this.hooks.onTime(this.at_s);
  }

  toggle() {}

  recolour() {}

  destroy() {}
}
