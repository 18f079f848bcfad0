/** What is known of the call. */
import { fill, h } from "../dom.js";
import { clock, fullMoment, span } from "../format.js";
import { t, tWord } from "../i18n.js";

/** Fill the list of facts. */
export function showFacts(root, session) {
  const { call, summary, consent } = session;
  const agreed = [tWord("consent", consent.state), consent.notice_given ? t("consent.notice") : ""].filter(Boolean).join(", ");
  const facts = [
    ["campaign", call.campaign], ["agent", call.agent_id], ["call", call.call_id],
    ["customer", call.customer, t("facts.customer.about")],
    ["started", fullMoment(session.started_at_ms)],
    ["ended", session.ended_at_ms ? `${fullMoment(session.ended_at_ms)} · ${tWord("ended", session.ended)}` : ""],
    ["length", summary ? clock(summary.audio_s) : ""],
    ["speech", summary ? clock(summary.customer_speech_s) : ""],
    ["gaps", summary?.gaps_s ? span(summary.gaps_s) : ""],
    ["zone", call.time_zone], ["consent", agreed], ["basis", consent.lawful_basis],
    ["policy", session.policy], ["model", session.model], ["evidence", session.evidence_id],
    ["retain", session.retain_until_ms ? fullMoment(session.retain_until_ms) : ""],
  ];
  const row = (label, value, title = null) => h("div", {}, h("dt", {}, label), h("dd", { title }, value));
  fill(root, h("h2", {}, t("facts.title")), h("dl.facts", {},
    facts.filter(([, value]) => value).map(([name, value, title]) => row(t(`facts.${name}`), value, title)),
    Object.entries(call.labels).map(([name, value]) => row(name, value))));
}
