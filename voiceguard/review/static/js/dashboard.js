/** What the sessions came to: counts, precision, how quickly they are looked at. */
import { post } from "./api.js";
import { axisTop, legend, shareBar, stackedBars } from "./charts.js";
import { fill, h } from "./dom.js";
import { count, day, longDay, percent, span, zone } from "./format.js";
import { t } from "./i18n.js";
import { emptyState, showFailure } from "./notices.js";
import { setTitle } from "./shell.js";

const RANGES = [7, 30, 90];

/** Show the dashboard; returns how to leave it. */
export function mountDashboard(root, { settings }) {
  setTitle(t("dash.title"));
  const abort = new AbortController();
  const state = { days: RANGES.includes(Number(settings.get("days"))) ? Number(settings.get("days")) : 30, campaign: settings.get("campaign") ?? "" };
  const body = h("div.dash");
  const campaigns = h("select", { id: "dash-campaign", onchange: () => { state.campaign = campaigns.value; load(); } });
  const ranges = h("div.segments", { role: "radiogroup", "aria-label": t("dash.range") }, RANGES.map((days) => h("label", {},
    h("input", { type: "radio", name: "days", value: String(days), checked: days === state.days, onchange: () => { state.days = days; load(); } }),
    h("span", {}, t("dash.days", { count: days })))));
  fill(root, h("div.page-head", {}, h("div", {}, h("h1", {}, t("dash.title")), h("p.sub", {}, zone())),
    h("div.dash-controls", {}, ranges, h("label.field", {}, h("span.visually-hidden", {}, t("dash.campaign")), campaigns))), body);
  load();

  async function load() {
    const query = new URLSearchParams({ days: state.days, ...(state.campaign && { campaign: state.campaign }) });
    history.replaceState(null, "", `#/dashboard?${query}`);
    body.setAttribute("aria-busy", "true");
    const days = lastDays(state.days);
    const time = { after_ms: days[0].getTime(), utc_offset_minutes: -new Date().getTimezoneOffset() };
    try {
      const [all, chosen] = await Promise.all([
        post("/api/statistics", time, abort.signal),
        state.campaign ? post("/api/statistics", { ...time, campaign: state.campaign }, abort.signal) : null,
      ]);
      offer(all.campaigns);
      show(chosen ?? all, days);
    } catch (error) {
      if (error.name !== "AbortError") showFailure(body, error, load);
    } finally {
      body.removeAttribute("aria-busy");
    }
  }

  function offer(rows) {
    const names = [...new Set([...rows.map((row) => row.name).filter(Boolean), ...(state.campaign ? [state.campaign] : [])])];
    fill(campaigns, h("option", { value: "" }, t("dash.allCampaigns")), names.map((name) => h("option", { value: name, selected: name === state.campaign }, name)));
  }

  function show(statistics, days) {
    if (!statistics.total.sessions) {
      fill(body, h("div.card", {}, emptyState(t("dash.empty.title"), t("dash.empty.text"))));
      return;
    }
    const rows = new Map(statistics.days.map((row) => [row.name, row]));
    const byDay = days.map((date) => [date, rows.get(isoDay(date))]);
    fill(body, tiles(statistics.total), h("div.charts", {}, sessionsChart(byDay), verdictsChart(byDay)), campaignTable(statistics.campaigns, (name) => { state.campaign = name; load(); }));
  }

  return () => abort.abort();
}

function tiles(total) {
  const judged = total.confirmed + total.false_alarms;
  const [low, high] = wilson(total.confirmed, judged);
  const tile = (id, label, value, ...details) => h("div.card.tile", { id }, h("span", {}, label), h("b", {}, value), details.map((text) => h("small.quiet", {}, text)));
  return h("div.tiles", {},
    tile("tile-sessions", t("dash.sessions"), count(total.sessions)),
    tile("tile-flagged", t("dash.flagged"), count(total.flagged), t("dash.flagged.share", { share: percent(total.flagged / total.sessions) })),
    tile("tile-precision", t("dash.precision"), judged ? percent(total.confirmed / judged) : "–",
      judged ? t("dash.precision.detail", { confirmed: count(total.confirmed), false: count(total.false_alarms) }) : t("dash.precision.none"),
      ...(judged ? [t("dash.precision.interval", { low: percent(low), high: percent(high) })] : [])),
    tile("tile-median", t("dash.median"), total.median_to_verdict_s === null ? "–" : span(total.median_to_verdict_s), t("dash.median.detail")),
    tile("tile-reviewed", t("dash.reviewed"), total.flagged ? percent(total.flagged_reviewed / total.flagged) : "–",
      t("dash.reviewed.detail", { reviewed: count(total.flagged_reviewed), flagged: count(total.flagged) })));
}

/** Return the 95 % interval of a share (E. B. Wilson, JASA 22, 1927). */
export function wilson(hits, all) {
  if (!all) return [0, 1];
  const z2 = 1.96 ** 2;
  const share = hits / all;
  const middle = share + z2 / (2 * all);
  const half = 1.96 * Math.sqrt((share * (1 - share)) / all + z2 / (4 * all * all));
  return [(middle - half) / (1 + z2 / all), (middle + half) / (1 + z2 / all)];
}

function sessionsChart(byDay) {
  const bars = byDay.map(([date, row]) => ({
    label: day(date), title: longDay(date),
    parts: [
      { tone: "tone-flagged", value: row?.flagged ?? 0, name: t("dash.flagged") },
      { tone: "tone-rest", value: (row?.sessions ?? 0) - (row?.flagged ?? 0), name: t("dash.others") },
    ],
  }));
  return h("section.card", {}, h("h2", {}, t("dash.byDay")), legend([["tone-flagged", t("dash.flagged")], ["tone-rest", t("dash.others")]]), stackedBars(bars, { label: t("dash.byDay") }));
}

function verdictsChart(byDay) {
  const kinds = [["tone-confirmed", "confirmed", "confirmed"], ["tone-false", "false_alarms", "false_alarm"], ["tone-unsure", "unsure", "unsure"]];
  const bars = byDay.map(([date, row]) => ({
    label: day(date), title: longDay(date),
    parts: kinds.map(([tone, column, kind]) => ({ tone, value: row?.[column] ?? 0, name: t(`verdict.${kind}`) })),
  }));
  return h("section.card", {}, h("h2", {}, t("dash.precisionByDay")), legend(kinds.map(([tone, , kind]) => [tone, t(`verdict.${kind}`)])), stackedBars(bars, { label: t("dash.precisionByDay") }));
}

function campaignTable(rows, choose) {
  const most = axisTop(Math.max(...rows.map((row) => row.sessions), 1));
  const line = (row) => {
    const judged = row.confirmed + row.false_alarms;
    const bar = shareBar([{ tone: "tone-flagged", value: row.flagged }, { tone: "tone-rest", value: row.sessions - row.flagged }]);
    bar.style.width = `${Math.max(2, (row.sessions / most) * 100)}%`;
    return h("tr", {},
      h("td", {}, row.name ? h("button.link", { type: "button", onclick: () => choose(row.name) }, row.name) : h("span.quiet", {}, t("dash.unnamed"))),
      h("td.bar-cell", {}, bar), h("td.number", {}, count(row.sessions)), h("td.number", {}, count(row.flagged), h("small.quiet", {}, ` ${percent(row.flagged / row.sessions)}`)),
      h("td.number", {}, count(row.handoffs)), h("td.number", {}, judged ? percent(row.confirmed / judged) : "–", judged ? h("small.quiet", {}, ` ${row.confirmed}/${judged}`) : null),
      h("td.number", {}, row.median_to_verdict_s === null ? "–" : span(row.median_to_verdict_s)),
      h("td.number", {}, row.flagged ? percent(row.flagged_reviewed / row.flagged) : "–"));
  };
  const heads = [["dash.campaign", ""], [null, ""], ["dash.sessions", ".number"], ["dash.flagged", ".number"], ["dash.handoffs", ".number"], ["dash.precision", ".number"], ["dash.median", ".number"], ["dash.reviewed", ".number"]];
  return h("section.card", {}, h("h2", {}, t("dash.byCampaign")), h("div.table-room", {}, h("table.campaigns", {},
    h("thead", {}, h("tr", {}, heads.map(([key, side]) => (key ? h(`th${side}`, { scope: "col" }, t(key)) : h("td", {}))))), h("tbody", {}, rows.map(line)))));
}

/** Return the beginnings of the last local days, today included. */
function lastDays(days) {
  const now = new Date();
  return Array.from({ length: days }, (_, number) => new Date(now.getFullYear(), now.getMonth(), now.getDate() - days + 1 + number));
}

const isoDay = (date) =>
  `${date.getFullYear()}-${String(date.getMonth() + 1).padStart(2, "0")}-${String(date.getDate()).padStart(2, "0")}`;

