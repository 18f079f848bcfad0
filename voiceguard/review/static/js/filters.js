/** The queue's filters. What may name a person (the number) never gets into the address. */
import { post } from "./api.js";
import { h } from "./dom.js";
import { t } from "./i18n.js";

const DEFAULTS = { review: "unreviewed", level: "flagged", order: "worst", campaign: "", agent: "", call: "", number: "", from: "", to: "", held: "" };
const REVIEWS = ["unreviewed", "all", "confirmed", "false_alarm", "unsure"];
const WAIT_MS = 350;

/** Whether anything but the queue's own view was asked for. */
export const isFiltered = (values) =>
  Object.keys(DEFAULTS).some((name) => name !== "order" && values[name] !== DEFAULTS[name]);

/** Return the values as the page's server takes them. */
export function queryOf(values) {
  const level = ["yellow", "orange", "red"].includes(values.level) ? values.level : "";
  const judged = ["confirmed", "false_alarm", "unsure"].includes(values.review) ? values.review : "";
  return {
    unreviewed_only: values.review === "unreviewed", verdict: judged, level,
    flagged_only: values.level === "flagged", order: values.order,
    campaign: values.campaign, agent: values.agent, call: values.call, number: values.number,
    after_ms: midnight(values.from, 0), before_ms: midnight(values.to, 1), held_only: values.held === "1",
  };
}

/** Return when a local day begins, plus some days; null for none. */
function midnight(date, days) {
  const [year, month, day] = date.split("-").map(Number);
  return year ? new Date(year, month - 1, day + days).getTime() : null;
}

/** Build the bar; `onChange` runs when something else is asked for. */
export function buildFilters(settings, onChange) {
  const values = { ...DEFAULTS };
  for (const name of Object.keys(DEFAULTS)) values[name] = settings.get(name) ?? values[name];
  if (!REVIEWS.includes(values.review)) values.review = DEFAULTS.review;
  const fields = {};
  let timer = 0;

  const change = (name, value, delay = 0) => {
    values[name] = value;
    clearTimeout(timer);
    timer = setTimeout(() => { remember(); onChange(); }, delay);
  };
  const field = (name, control, label = t(`filter.${name}`)) => h(`label.field.f-${name}`, {}, h("span", {}, label), (fields[name] = control));
  const input = (name, attributes = {}) => field(name, h("input", { id: `filter-${name}`, value: values[name], spellcheck: "false", autocomplete: "off", placeholder: t("filter.any"), oninput: (event) => change(name, event.target.value.trim(), WAIT_MS), ...attributes }));
  const select = (name, options) => field(name, h("select", { id: `filter-${name}`, onchange: (event) => change(name, event.target.value) },
    options.map(([value, label]) => h("option", { value, selected: value === values[name] }, label))));

  const campaigns = h("datalist", { id: "campaigns" });
  const review = h("div.segments", { role: "radiogroup", "aria-label": t("filter.review") }, REVIEWS.map((name) => h("label", {},
    h("input", { type: "radio", name: "review", value: name, checked: name === values.review, onchange: () => change("review", name) }),
    h("span", {}, ["unreviewed", "all"].includes(name) ? t(`filter.review.${name}`) : t(`verdict.${name}`)))));
  const from = (level) => [level, t("filter.level.from", { level: t(`level.${level}`) })];
  const seldom = ["call", "number", "from", "to", "held"];
  const more = h("details.more", { open: seldom.some((name) => values[name]) }, h("summary", {}, t("filter.more")),
    h("div.filter-row", {}, input("from", { type: "date", placeholder: null }), input("to", { type: "date", placeholder: null }), input("call"),
      input("number", { inputmode: "tel", title: t("filter.number.hint") }),
      h("label.check", {}, (fields.held = h("input", { type: "checkbox", checked: values.held === "1", onchange: (event) => change("held", event.target.checked ? "1" : "") })), t("filter.held")),
      h("p.quiet", {}, t("filter.number.hint"))));
  const element = h("form.filters", { "aria-label": t("filter.title"), onsubmit: (event) => event.preventDefault() },
    h("div.filter-row", {}, review,
      select("level", [["flagged", t("filter.level.flagged")], ["any", t("filter.level.any")], from("yellow"), from("orange"), from("red")]),
      input("campaign", { list: "campaigns" }), input("agent"),
      select("order", [["worst", t("filter.order.worst")], ["newest", t("filter.order.newest")]]),
      h("button.button.ghost", { type: "button", id: "clear-filters", onclick: () => clear() }, t("filter.clear"))),
    more, campaigns);

  const clear = () => {
    Object.assign(values, DEFAULTS);
    for (const [name, control] of Object.entries(fields)) {
      if (control.type === "checkbox") control.checked = false;
      else control.value = values[name];
    }
    review.querySelector("input").checked = true;
    remember();
    onChange();
  };

  function remember() {
    const kept = Object.entries(values).filter(([name, value]) => name !== "number" && value !== DEFAULTS[name]);
    const query = new URLSearchParams(kept).toString();
    history.replaceState(null, "", query ? `#/queue?${query}` : "#/queue");
  }

  offerCampaigns(campaigns);
  return { element, values: () => values, clear };
}

/** Fill in the campaigns that there are. They are a convenience: without them one types. */
async function offerCampaigns(list) {
  try {
    const { campaigns } = await post("/api/statistics");
    list.append(...campaigns.filter((row) => row.name).map((row) => h("option", { value: row.name })));
  } catch {
    // The queue itself says what is wrong.
  }
}
