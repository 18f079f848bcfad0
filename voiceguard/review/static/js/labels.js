/** Small pieces that several views show: levels, verdicts, handoffs. */
import { h, icon } from "./dom.js";
import { index } from "./format.js";
import { t, tWord } from "./i18n.js";

export const LEVELS = ["green", "yellow", "orange", "red"];

/** Return the level of a session: its peak, or what is known while it is live. */
export const levelOf = (session) => session.summary?.peak_level || (session.flagged ? "orange" : "");

/** Return a level with the index it was reached by. */
export function levelChip(level, value = null) {
  const name = level ? t(`level.${level}`) : t("level.none");
  return h(`span.chip.level.${level || "none"}`, { title: t("note.short") },
    h("span.swatch", { "aria-hidden": "true" }), value === null ? name : h("span", {}, name, " ", h("b", {}, index(value))));
}

/** Return the verdict that counts, the newest; null when there is none. */
export const verdictOf = (session) => session.verdicts.at(-1) ?? null;

/** Return a verdict as a chip. */
export function verdictChip(kind) {
  const icons = { confirmed: "check", false_alarm: "cross", unsure: "question" };
  return kind
    ? h(`span.chip.verdict.${kind}`, {}, icon(icons[kind] ?? "question"), tWord("verdict", kind))
    : h("span.quiet", {}, t("verdict.none"));
}

/** Return what became of a handoff. */
export function outcomeChip(outcome) {
  return h(`span.outcome.${outcome}`, {}, tWord("handoff", outcome));
}
