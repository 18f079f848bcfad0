/** Short notices at the edge, and questions in the middle, of the page. */
import { fill, h } from "./dom.js";
import { t } from "./i18n.js";

const STAY_MS = 6000;

/** Show a notice for some seconds; `actions` are [label, run]. */
export function toast(text, { tone = "plain", detail = "", actions = [] } = {}) {
  const element = h(`div.toast.${tone}`, {},
    h("div", {}, h("strong", {}, text), detail ? h("p", {}, detail) : null),
    actions.map(([label, run]) => h("button.button.small", { type: "button", onclick: () => { element.remove(); run(); } }, label)));
  const room = document.getElementById("toasts");
  while (room.children.length > 2) room.firstChild.remove();
  room.append(element);
  setTimeout(() => element.remove(), STAY_MS);
}

/** Leave a defect of the page's own where developers look. */
function reportDefect(error) {
  if (!error.text && error.name !== "AbortError") console.error(error);
}

/** Show what went wrong. */
export function toastError(error) {
  reportDefect(error);
  if (error.name === "AbortError" || error.code === "signed_out") return;
  toast(error.text ?? t("error.other"), { tone: "bad", detail: error.code === "invalid" || error.code === "conflict" ? error.message : "" });
}

/** Open a dialog; returns it. It closes by Escape, by its buttons, and when the page changes. */
export function openDialog(title, ...content) {
  const name = `dialog-${Date.now()}`;
  const dialog = h("dialog.dialog", { "aria-labelledby": name },
    h("header", {}, h("h2", { id: name }, title),
      h("button.button.ghost.small", { type: "button", "aria-label": t("keys.close"), onclick: () => dialog.close() }, "×")),
    ...content);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** Close every dialog: the page under them is gone. */
export function closeDialogs() {
  for (const dialog of document.querySelectorAll("dialog")) dialog.close();
}

/** Return a block that says that something is not there, and why. */
export function emptyState(title, text, ...actions) {
  return h("div.empty", {}, h("div.empty-mark", { "aria-hidden": "true" }), h("h2", {}, title), h("p", {}, text), ...actions);
}

/** Show an error in place of a page. */
export function showFailure(root, error, retry) {
  reportDefect(error);
  const gone = error.code === "not_found";
  fill(root, emptyState(t("error.title"), error.text ?? t("error.other"),
    gone ? h("a.button", { href: "#/queue" }, t("error.back"))
      : h("button.button.primary", { type: "button", onclick: retry }, t("error.retry"))));
}
