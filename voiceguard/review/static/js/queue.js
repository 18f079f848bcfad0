/** The queue: sessions that wait for a verdict, worst first, and every other list of them. */
import { post } from "./api.js";
import { fill, h } from "./dom.js";
import { clock, count, fullMoment, moment, zone } from "./format.js";
import { t, tCount } from "./i18n.js";
import { keyName, setPageKeys } from "./keys.js";
import { levelChip, levelOf, outcomeChip, verdictChip, verdictOf } from "./labels.js";
import { mountArrivals } from "./arrivals.js";
import { emptyState, showFailure, toastError } from "./notices.js";
import { buildFilters, isFiltered, queryOf } from "./filters.js";
import { keepQueue } from "./nextup.js";
import { setTitle } from "./shell.js";

const PAGE_SIZE = 50;

/** Show the queue; returns how to leave it. */
export function mountQueue(root, { settings }) {
  setTitle(t("queue.title"));
  const abort = new AbortController();
  const state = { rows: [], sessions: [], next: "", total: 0, at: -1, busy: false };
  const body = h("tbody");
  const heading = h("p.sub", { role: "status" });
  const foot = h("div.list-foot");
  const list = h("div.card.list");
  const filters = buildFilters(settings, () => load());
  const arrivals = mountArrivals(() => load());
  const head = h("div.page-head", {}, h("div", {}, h("h1", {}, t("queue.title")), heading),
    h("button.button", { type: "button", id: "refresh", onclick: () => load() }, t("queue.refresh")));
  const watcher = new IntersectionObserver((seen) => seen.some((one) => one.isIntersecting) && more(), { rootMargin: "600px" });

  fill(root, head, arrivals.element, filters.element, list);
  setPageKeys([
    { keys: ["j", "ArrowDown"], label: "keys.down", run: () => move(1) },
    { keys: ["k", "ArrowUp"], label: "keys.up", run: () => move(-1) },
    { keys: ["Enter"], label: "keys.open", run: () => open(state.at) },
  ]);

  async function load() {
    state.busy = true;
    list.setAttribute("aria-busy", "true");
    try {
      const query = queryOf(filters.values());
      const page = await ask({ ...query, with_total: true });
      Object.assign(state, { rows: [], sessions: [], at: -1, query, total: page.total });
      fill(body);
      if (page.sessions.length) fill(list, table(), foot);
      else fill(list, await emptiness());
      add(page);
      describe();
      if (state.rows.length) select(0, false);
    } catch (error) {
      if (error.name !== "AbortError") showFailure(list, error, load);
    } finally {
      state.busy = false;
      list.removeAttribute("aria-busy");
    }
  }

  async function more() {
    if (state.busy || !state.next) return;
    state.busy = true;
    try {
      add(await ask({ ...state.query, page_token: state.next }));
    } catch (error) {
      toastError(error);
    } finally {
      state.busy = false;
    }
  }

  const ask = (query) => post("/api/sessions", { ...query, page_size: PAGE_SIZE }, abort.signal);

  function add(page) {
    state.next = page.next_page_token;
    for (const session of page.sessions) {
      const position = state.rows.length;
      const row = sessionRow(session, () => open(position));
      state.rows.push(row);
      state.sessions.push(session);
      body.append(row);
    }
    const more_ = h("button.button", { type: "button", id: "more", onclick: more }, t("queue.more"));
    fill(foot, h("span.quiet", {}, t("queue.loaded", { shown: count(state.rows.length), total: count(state.total) })),
      state.next ? more_ : h("span.quiet", {}, t("queue.end")));
    watcher.disconnect();
    if (state.next) watcher.observe(foot);
  }

  function describe() {
    const unreviewed = filters.values().review === "unreviewed";
    heading.textContent = `${tCount("queue.count", state.total, count(state.total))} · ${t(unreviewed && filters.values().order === "worst" ? "queue.sub.unreviewed" : "queue.sub.all")}`;
  }

  async function emptiness() {
    if (isFiltered(filters.values())) {
      return emptyState(t("queue.filtered.title"), t("queue.filtered.text"),
        h("button.button", { type: "button", onclick: () => filters.clear() }, t("queue.filtered.clear")));
    }
    const any = await post("/api/sessions", { page_size: 1 }, abort.signal);
    return any.sessions.length
      ? emptyState(t("queue.empty.title"), t("queue.empty.text"))
      : emptyState(t("queue.none.title"), t("queue.none.text"));
  }

  function table() {
    const column = (name) => h(`th.col-${name}`, { scope: "col" }, t(`col.${name}`), name === "time" ? h("span.unit", {}, zone()) : null);
    const hint = t("queue.hint").split(/\{(\w+)\}/);
    const keys = { down: "j", up: "k", open: "Enter", help: "?" };
    return h("div.table-room", {},
      h("table.sessions", { "aria-label": t("queue.table") },
        h("thead", {}, h("tr", {}, ["level", "time", "session", "campaign", "agent", "handoffs", "length", "verdict"].map(column))), body),
      h("p.hint", {}, hint.map((part, number) => (number % 2 ? h("kbd", {}, keyName(keys[part])) : part))));
  }

  function select(position, scroll = true) {
    state.rows[state.at]?.classList.remove("selected");
    state.at = Math.max(0, Math.min(state.rows.length - 1, position));
    const row = state.rows[state.at];
    row?.classList.add("selected");
    if (scroll) {
      row?.querySelector("a").focus({ preventScroll: true });
      row?.scrollIntoView({ block: "nearest" });
    }
    if (state.at > state.rows.length - 5) more();
  }

  const move = (step) => state.rows.length && select(state.at + step);

  function open(position) {
    const session = state.sessions[position];
    if (!session) return;
    keepQueue(state.sessions.map((one) => one.id), state.query);
    location.hash = `#/session/${encodeURIComponent(session.id)}`;
  }

  load();
  return () => {
    abort.abort();
    watcher.disconnect();
    arrivals.leave();
  };
}

function sessionRow(session, open) {
  const { call, summary } = session;
  const level = levelOf(session);
  const live = session.ended_at_ms === null;
  const peak = session.erased_at_ms ? "–"
    : live && !summary ? h("span.chip.live", {}, h("span.dot.on"), t("session.live")) : levelChip(level, summary?.peak_index ?? null);
  const link = h("a", { href: `#/session/${encodeURIComponent(session.id)}`, onclick: (event) => { if (!event.ctrlKey && !event.metaKey && !event.shiftKey) { event.preventDefault(); open(); } } }, session.id);
  const row = h("tr", { onclick: (event) => { if (event.target.closest("a") === null && !String(getSelection())) open(); } },
    h("td", {}, peak),
    h("td.number", { title: fullMoment(session.started_at_ms) }, moment(session.started_at_ms)),
    h("td.id", {}, link, session.legal_hold ? h("span.tag", {}, t("session.held")) : null, session.erased_at_ms ? h("span.tag", {}, t("session.erased")) : null),
    h("td.clip", { title: call.campaign }, call.campaign || "–"),
    h("td.clip", { title: call.agent_id }, call.agent_id || "–"),
    h("td", {}, session.handoffs.length ? h("span.handoffs", {}, h("b", {}, String(session.handoffs.length)), outcomeChip(session.handoffs.at(-1).outcome)) : h("span.quiet", {}, "–")),
    h("td.number", {}, summary ? clock(summary.audio_s) : "–"),
    h("td", {}, session.erased_at_ms ? "–" : verdictChip(verdictOf(session)?.kind)));
  return row;
}
