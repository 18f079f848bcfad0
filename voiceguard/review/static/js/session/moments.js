/** What happened, in words: alerts, handoffs, the flag, gaps. A click goes there. */
import { fill, h, icon } from "../dom.js";
import { clock, fullMoment, index, span } from "../format.js";
import { t, tWord } from "../i18n.js";
import { outcomeChip } from "../labels.js";

/** Return what a mark is, in a few words. */
export function markTitle(mark) {
  switch (mark.kind) {
    case "alert":
      return t("mark.alert", { previous: tWord("level", mark.previous_level), level: tWord("level", mark.level) });
    case "handoff":
      return t("mark.handoff", { reason: tWord("reason", mark.reason) });
    case "flag":
      return t("mark.flag");
    default:
      return t("mark.gap", { length: span(mark.end_s - mark.at_s) });
  }
}

/** Fill the list of moments. */
export function showMoments(root, marks, handoffs, onSeek) {
  const outcomes = new Map(handoffs.map((handoff) => [handoff.id, handoff]));
  fill(root, h("h2", {}, t("moments.title")), marks.length
    ? h("ol.moments", {}, marks.map((mark) => moment(mark, outcomes.get(mark.id), onSeek)))
    : h("p.quiet", {}, t("moments.none")));
}

function moment(mark, handoff, onSeek) {
  const details = [];
  if (mark.kind === "alert") details.push(t("mark.alert.detail", { index: index(mark.index), threshold: index(mark.threshold) }));
  if (mark.explanation) details.push(mark.explanation);
  const settled = mark.kind === "handoff" && handoff ? h("p.settled", {}, outcomeChip(handoff.outcome), handoff.outcome_reason ? h("span", {}, handoff.outcome_reason) : null,
    handoff.settled_at_ms ? h("span.quiet", {}, t("handoff.settled", { time: fullMoment(handoff.settled_at_ms) })) : null) : null;
  return h("li", {}, h("button.moment", { type: "button", onclick: () => onSeek(mark.at_s) },
    h("span.at", {}, clock(mark.at_s, 1)), h(`span.sign.${mark.kind}.${mark.level ?? "none"}`, {}, icon(mark.kind)),
    h("span.what", {}, h("b", {}, markTitle(mark)), details.map((text) => h("span.quiet", {}, text)), settled)));
}
