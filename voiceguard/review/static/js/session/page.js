/** One session: see it, hear it, judge it. */
import { get, sessionPath } from "../api.js";
import { fill, h, icon } from "../dom.js";
import { clock, fullMoment, index } from "../format.js";
import { t } from "../i18n.js";
import { setPageKeys } from "../keys.js";
import { levelChip, levelOf, verdictChip, verdictOf } from "../labels.js";
import { markSeen } from "../live.js";
import { nextAfter } from "../nextup.js";
import { showFailure, toast, toastError } from "../notices.js";
import { setTitle } from "../shell.js";
import { onTheme } from "../theme.js";
import { buildControls } from "./controls.js";
import { showCustody, showEvidence } from "./custody.js";
import { showFacts } from "./facts.js";
import { showMoments } from "./moments.js";
import { Player, SilentPlayer } from "./player.js";
import { Timeline } from "./timeline.js";
import { buildVerdicts } from "./verdicts.js";
import { Viewport } from "./viewport.js";

const REFRESH_MS = 4000;
const LEAD_S = 3;

/** Show a session; returns how to leave it. */
export function mountSession(root, { argument: id, me }) {
  const view = new SessionView(root, id, me);
  view.load();
  return () => view.leave();
}

class SessionView {
  constructor(root, id, me) {
    Object.assign(this, { root, id, me, left: false, abort: new AbortController() });
    setTitle(id);
    markSeen(id);
    fill(root, h("p.loading", {}, t("app.loading")));
  }

  async load() {
    try {
      const session = await this.get();
      const [events, outline] = session.erased_at_ms ? [] : await Promise.all([
        this.get("events"), session.audio_kept ? this.get("waveform").catch(() => null) : null]);
      if (this.left) return;
      this.session = session;
      if (session.erased_at_ms) this.showErased();
      else this.show(events, outline);
    } catch (error) {
      if (error.name !== "AbortError" && !this.left) showFailure(this.root, error, () => this.load());
    }
  }

  get(part = "") {
    return get(sessionPath(this.id, part), this.abort.signal);
  }

  showErased() {
    const custody = h("section.card");
    if (this.me.role === "compliance") showCustody(custody, this.session, () => {});
    fill(this.root, this.header(), h("div.erased", {},
      h("div.card.empty", {}, h("p", {}, t("session.erased.text", { time: fullMoment(this.session.erased_at_ms) }))),
      this.me.role === "compliance" ? custody : null));
    this.listenToKeys();
  }

  show(events, outline) {
    const { session } = this;
    this.events = events;
    const duration = outline?.duration_s || session.summary?.audio_s || lastMoment(events);
    this.viewport = new Viewport(duration);
    this.timeline = new Timeline(this.viewport, session.audio.roles, (at_s) => this.seek(at_s));
    const hooks = { onTime: (at_s) => this.onTime(at_s), onState: (playing) => this.controls.setPlaying(playing), onError: () => toast(t("session.audioFailed"), { tone: "bad" }) };
    this.controls = buildControls(this, outline !== null);
    this.momentsRoom = h("section.card");
    this.head = h("div", {}, this.header());
    const verdicts = h("section.card.verdicts");
    const [facts, evidence, custody] = [h("section.card"), h("section.card"), h("section.card")];
    fill(this.root, this.head, h("div.session", {},
      h("div.session-main", {}, h("section.card.player", {}, this.controls.element, this.audioNote(outline), this.timeline.element), this.momentsRoom),
      h("aside.session-side", {}, verdicts, facts, evidence, this.me.role === "compliance" ? custody : null)));
    if (outline) {
      this.timeline.waveRow.hidden = false;
      this.player = new Player(this.id, outline, this.timeline.waves, this.viewport, hooks);
      this.stopTheme = onTheme(() => this.player.recolour());
    } else {
      this.player = new SilentPlayer(hooks);
    }
    this.timeline.show(events);
    this.verdicts = buildVerdicts(verdicts, session, { onRecorded: () => fill(this.head, this.header()), onNext: () => this.next() });
    showFacts(facts, session);
    showEvidence(evidence, session);
    if (this.me.role === "compliance") this.showCustody(custody);
    showMoments(this.momentsRoom, events.marks, session.handoffs, (at_s) => this.seek(at_s));
    this.seek(Math.max(0, (this.alertAt() ?? LEAD_S) - LEAD_S));
    this.listenToKeys();
    if (session.ended_at_ms === null) this.timer = setInterval(() => this.refresh(), REFRESH_MS);
  }

  showCustody(room) {
    showCustody(room, this.session, (session) => {
      this.session = session;
      if (session.erased_at_ms) this.showErased();
      else {
        fill(this.head, this.header());
        this.showCustody(room);
      }
    });
  }

  audioNote(outline) {
    if (outline) return null;
    return h("p.quiet.no-audio", {}, t(this.session.ended_at_ms === null ? "session.noAudio.live" : "session.noAudio"));
  }

  header() {
    const { session } = this;
    const verdict = verdictOf(session);
    return h("div.page-head", {},
      h("div", {}, h("p.crumbs", {}, h("a", { href: "#/queue" }, icon("left"), t("session.back"))),
        h("h1.id", {}, session.id),
        h("div.chips", {},
          session.ended_at_ms === null ? h("span.chip.live", {}, h("span.dot.on.pulse"), t("session.live")) : null,
          session.summary || session.flagged ? levelChip(levelOf(session), session.summary?.peak_index ?? session.flagged?.index ?? null) : null,
          session.summary ? h("span.quiet", {}, `${t("session.peak")} · ${t("session.mean", { value: index(session.summary.mean_index) })}`) : null,
          verdict ? verdictChip(verdict.kind) : null,
          session.legal_hold ? h("span.tag", {}, icon("lock"), t("session.held")) : null,
          h("span.quiet", {}, [session.call.campaign, session.call.agent_id, fullMoment(session.started_at_ms), session.summary ? clock(session.summary.audio_s) : ""].filter(Boolean).join(" · ")))),
      h("button.button", { type: "button", id: "next", onclick: () => this.next() }, t("session.next"), icon("next")));
  }

  listenToKeys() {
    const player = this.player;
    setPageKeys([
      ...(player ? [
        { keys: [" "], label: "keys.play", run: () => player.toggle() },
        { keys: ["j"], label: "keys.jump", run: () => this.jump() },
        { keys: ["ArrowLeft"], label: "keys.seekBack", run: () => this.seek(player.at_s - 5) },
        { keys: ["ArrowRight"], label: "keys.seekForward", run: () => this.seek(player.at_s + 5) },
        { keys: ["+", "="], label: "keys.zoomIn", run: () => this.zoom(1.6) },
        { keys: ["-"], label: "keys.zoomOut", run: () => this.zoom(1 / 1.6) },
        { keys: ["0"], label: "keys.fit", run: () => this.viewport.show(0, this.viewport.duration) },
        { keys: ["c"], label: "keys.confirm", run: () => this.verdicts.record("confirmed") },
        { keys: ["f"], label: "keys.falseAlarm", run: () => this.verdicts.record("false_alarm") },
        { keys: ["u"], label: "keys.unsure", run: () => this.verdicts.record("unsure") },
        { keys: ["m"], label: "keys.comment", run: () => this.verdicts.focusComment() },
      ] : []),
      { keys: ["n"], label: "keys.next", run: () => this.next() },
    ]);
  }

  /** Return where the reviewer is wanted first: the first handoff, else the flag, else an alert. */
  alertAt() {
    const { marks } = this.events;
    const first = ["handoff", "flag", "alert"].map((kind) => marks.find((mark) => mark.kind === kind)).find(Boolean);
    return first?.at_s ?? null;
  }

  jump() {
    const at_s = this.alertAt();
    if (at_s !== null) this.seek(Math.max(0, at_s - LEAD_S));
  }

  seek(at_s) {
    const inside = Math.min(Math.max(0, at_s), this.viewport.duration);
    this.player.seek(inside);
    this.viewport.reveal(inside);
  }

  zoom(factor) {
    const at_s = this.player.at_s;
    const seen = at_s >= this.viewport.start && at_s <= this.viewport.end;
    this.viewport.zoom(factor, seen ? at_s : undefined);
  }

  onTime(at_s) {
    this.timeline.setTime(at_s);
    this.controls.setTime(at_s, this.viewport.duration);
    if (this.player?.isPlaying) this.viewport.reveal(at_s);
  }

  async next() {
    try {
      const id = await nextAfter(this.id);
      if (this.left) return;
      if (id === null) toast(t("session.next.none"));
      else location.hash = `#/session/${encodeURIComponent(id)}`;
    } catch (error) {
      toastError(error);
    }
  }

  /** A live session goes on: take what is new; once it has ended, begin anew with its audio. */
  async refresh() {
    try {
      const [session, events] = await Promise.all([this.get(), this.get("events")]);
      if (this.left) return;
      Object.assign(this, { session, events });
      if (session.ended_at_ms !== null) {
        this.release();
        this.load();
        return;
      }
      this.viewport.extend(lastMoment(events));
      this.timeline.show(events);
      fill(this.head, this.header());
      showMoments(this.momentsRoom, events.marks, session.handoffs, (at_s) => this.seek(at_s));
    } catch (error) {
      toastError(error);
    }
  }

  release() {
    clearInterval(this.timer);
    this.stopTheme?.();
    this.timeline?.leave();
    this.player?.destroy();
    Object.assign(this, { timeline: null, player: null, stopTheme: null });
  }

  leave() {
    this.left = true;
    this.abort.abort();
    this.release();
  }
}

function lastMoment(events) {
  const ends = Object.values(events.curves).map((curve) => curve.end_s.at(-1) ?? 0);
  return Math.max(1, ...ends, ...events.marks.map((mark) => mark.end_s ?? mark.at_s));
}
