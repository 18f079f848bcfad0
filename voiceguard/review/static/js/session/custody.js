/** Evidence to take away; and for compliance: legal hold, erasure, who looked. */
import { download, get, post, sessionPath } from "../api.js";
import { fill, h, icon } from "../dom.js";
import { fullMoment, size } from "../format.js";
import { t, tWord } from "../i18n.js";
import { openDialog, toast, toastError } from "../notices.js";

/** Show the evidence button. */
export function showEvidence(root, session) {
  const label = h("span", {}, t("evidence.export"));
  const button = h("button.button.wide", { type: "button", id: "export", onclick: run }, icon("download"), label);
  fill(root, h("h2", {}, t("evidence.title")), h("p.quiet", {}, t("evidence.text")), button);

  async function run() {
    button.disabled = true;
    try {
      const { blob, name } = await download(sessionPath(session.id, "evidence"), (bytes) => { label.textContent = t("evidence.busy", { size: size(bytes) }); });
      const address = URL.createObjectURL(blob);
      h("a", { href: address, download: name }).click();
      setTimeout(() => URL.revokeObjectURL(address), 60000);
      toast(t("evidence.done", { name }), { tone: "good" });
    } catch (error) {
      toastError(error);
    } finally {
      label.textContent = t("evidence.export");
      button.disabled = false;
    }
  }
}

/** Show what compliance may do; `onChange` gets the session as it is then. */
export function showCustody(root, session, onChange) {
  const hold = !session.legal_hold;
  const button = (label, id, run, tone = "") => h(`button.button.wide${tone}`, { type: "button", id, onclick: run }, label);
  fill(root, h("h2", {}, t("custody.title")), h("div.custody", {},
    button(t("custody.access"), "access", () => showAccess(session)),
    session.erased_at_ms ? null : button(t(hold ? "custody.hold" : "custody.release"), "hold", () => askHold(session, hold, onChange)),
    session.erased_at_ms || session.ended_at_ms === null ? null : button(t("custody.erase"), "erase", () => askErase(session, onChange), ".danger")));
}

function askHold(session, hold, onChange) {
  const name = hold ? "hold" : "release";
  ask(t(`custody.${name}`), t(`custody.${name}.text`), [], async (reason) => {
    onChange(await post(sessionPath(session.id, "hold"), { hold, reason }));
    toast(t(hold ? "custody.held" : "custody.released"), { tone: "good" });
  });
}

function askErase(session, onChange) {
  if (session.legal_hold) {
    toast(t("custody.erase.held"), { tone: "bad" });
    return;
  }
  const proof = h("input", { id: "erase-confirm", required: true, autocomplete: "off", spellcheck: "false", placeholder: session.id });
  proof.addEventListener("input", () => proof.setCustomValidity(proof.value.trim() === session.id ? "" : t("custody.erase.confirm")));
  proof.setCustomValidity(t("custody.erase.confirm"));
  const field = h("label.field", {}, h("span", {}, t("custody.erase.confirm")), proof);
  ask(t("custody.erase"), t("custody.erase.text"), [field], async (reason) => {
    onChange(await post(sessionPath(session.id, "erase"), { reason }));
    toast(t("custody.erased"), { tone: "good" });
  }, ".danger");
}

/** Ask for a reason, then run. */
function ask(title, text, fields, run, tone = ".primary") {
  const reason = h("textarea", { id: "reason", rows: 3, required: true, maxlength: 4096, placeholder: t("custody.reason.hint") });
  const submit = h(`button.button${tone}`, { type: "submit" }, title);
  const dialog = openDialog(title, h("form", { onsubmit: send }, h("p", {}, text),
    h("label.field", {}, h("span", {}, t("custody.reason")), reason), ...fields,
    h("footer", {}, h("button.button", { type: "button", onclick: () => dialog.close() }, t("custody.cancel")), submit)));

  async function send(event) {
    event.preventDefault();
    submit.disabled = true;
    try {
      await run(reason.value.trim());
      dialog.close();
    } catch (error) {
      toastError(error);
      submit.disabled = false;
    }
  }
}

async function showAccess(session) {
  try {
    const { entries } = await get(sessionPath(session.id, "access"));
    openDialog(t("custody.access"), entries.length
      ? h("table.access", {}, h("tbody", {}, entries.toReversed().map((entry) => h("tr", {},
        h("td.number", {}, fullMoment(entry.at_ms)), h("td", {}, h("b", {}, entry.actor)), h("td", {}, tWord("access", entry.action)), h("td.quiet", {}, entry.detail)))))
      : h("p.quiet", {}, t("access.none")));
  } catch (error) {
    toastError(error);
  }
}
