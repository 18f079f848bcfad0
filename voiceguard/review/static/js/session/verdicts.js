/** The reviewer's verdict, and those before it. */
import { post, sessionPath } from "../api.js";
import { fill, h, icon } from "../dom.js";
import { clock, fullMoment } from "../format.js";
import { t } from "../i18n.js";
import { verdictChip } from "../labels.js";
import { toast, toastError } from "../notices.js";

const MOST_CHARACTERS = 4096;
const KINDS = [["confirmed", "check", "C"], ["false_alarm", "cross", "F"], ["unsure", "question", "U"]];

/** Show the panel; returns `record(kind)` and `focusComment()` for the keyboard. */
export function buildVerdicts(root, session, { onRecorded, onNext }) {
  let busy = false;
  const left = h("small.quiet", { hidden: true });
  const comment = h("textarea", { id: "comment", rows: 3, maxlength: MOST_CHARACTERS, placeholder: t("verdict.comment.hint"), oninput: () => {
    const rest = MOST_CHARACTERS - comment.value.length;
    left.hidden = rest > 500;
    left.textContent = t("verdict.left", { count: rest });
  } });
  const about = h("select", { id: "about" }, h("option", { value: "" }, t("verdict.session")),
    session.handoffs.map((handoff) => h("option", { value: handoff.id }, t("verdict.handoff", { id: handoff.id, time: clock(handoff.at_s, 1) }))));
  const buttons = KINDS.map(([kind, sign, key]) => h(`button.verdict-button.${kind}`, { type: "button", id: `verdict-${kind}`, onclick: () => record(kind) },
    icon(sign), h("b", {}, t(`verdict.${kind}`)), h("small", {}, t(`verdict.${kind}.why`)), h("kbd", {}, key)));
  const history = h("div.history");
  fill(root, h("h2", {}, t("verdict.title")),
    session.handoffs.length ? h("label.field", {}, h("span", {}, t("verdict.about")), about) : null,
    h("label.field", {}, h("span", {}, t("verdict.comment")), comment, left),
    h("div.verdict-buttons", {}, buttons), h("p.quiet.small", {}, t("verdict.final")), history);
  showHistory(history, session);

  async function record(kind) {
    if (busy) return;
    busy = true;
    for (const button of buttons) button.disabled = true;
    try {
      const verdict = await post(sessionPath(session.id, "verdicts"), { kind, comment: comment.value.trim(), handoff_id: about.value });
      session.verdicts.push(verdict);
      comment.value = "";
      left.hidden = true;
      showHistory(history, session);
      toast(t("verdict.saved", { verdict: t(`verdict.${kind}`) }), { tone: "good", actions: [[t("session.next"), onNext]] });
      onRecorded(verdict);
    } catch (error) {
      toastError(error);
    } finally {
      busy = false;
      for (const button of buttons) button.disabled = false;
    }
  }

  return { record, focusComment: () => comment.focus() };
}

function showHistory(root, session) {
  const newest = [...session.verdicts].reverse();
  fill(root, h("h3", {}, t("verdict.history")), newest.length
    ? h("ol", {}, newest.map((verdict) => h("li", {},
      h("div", {}, verdictChip(verdict.kind), h("b", {}, verdict.reviewer), verdict.handoff_id ? h("span.tag", {}, verdict.handoff_id) : null),
      verdict.comment ? h("p", {}, verdict.comment) : null,
      h("time.quiet", {}, fullMoment(verdict.at_ms)))))
    : h("p.quiet", {}, t("verdict.history.none")));
}
