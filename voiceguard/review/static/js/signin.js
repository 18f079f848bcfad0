/** Asks for name and password. */
import { post } from "./api.js";
import { fill, h } from "./dom.js";
import { t } from "./i18n.js";
import { brand, preferences } from "./shell.js";

/** Show the form; `onDone` is told who has signed in. */
export function mountSignIn(root, message, onDone, onLanguage) {
  const name = h("input", { id: "name", name: "name", autocomplete: "username", required: true, autocapitalize: "none", spellcheck: "false" });
  const password = h("input", { id: "password", name: "password", type: "password", autocomplete: "current-password", required: true });
  const submit = h("button.button.primary.wide", { type: "submit" }, t("signin.submit"));
  const problem = h("p.problem", { role: "alert" }, message);
  const form = h("form.signin-card", { onsubmit: send },
    h("h1", {}, t("signin.title")),
    problem,
    h("label.field", {}, h("span", {}, t("signin.name")), name),
    h("label.field", {}, h("span", {}, t("signin.password")), password),
    submit,
    h("p.quiet", {}, t("signin.notice")));

  async function send(event) {
    event.preventDefault();
    submit.disabled = true;
    submit.textContent = t("signin.busy");
    problem.textContent = "";
    try {
      onDone(await post("/api/sign-in", { name: name.value.trim(), password: password.value }));
    } catch (error) {
      problem.textContent = error.code === "signed_out" ? t("signin.wrong") : error.text ?? t("error.other");
      submit.disabled = false;
      submit.textContent = t("signin.submit");
      password.select();
    }
  }

  fill(root, h("div.signin", {},
    h("header.signin-head", {}, h("div.brand", {}, ...brand()), h("div.bar-end", {}, ...preferences(onLanguage))),
    h("main", {}, form),
    h("footer.note", {}, t("note.index"))));
  name.focus();
}
