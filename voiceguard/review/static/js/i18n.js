/** The page's language: what the reviewer chose, else what the browser prefers. */
import en from "./strings/en.js";
import zh from "./strings/zh.js";

const LANGUAGES = { en, zh };
const KEY = "voiceguard.language";

let language = remembered() ?? preferred();

/** Return the language's code, "en" or "zh". */
export const currentLanguage = () => language;

/** Return the tag for dates and numbers. */
export const locale = () => (language === "zh" ? "zh-CN" : englishLocale());

/** Return a text, with {names} replaced. */
export function t(key, values = {}) {
  const text = LANGUAGES[language][key];
  if (text === undefined) throw new Error(`no text ${key}`);
  return text.replaceAll(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

/** Return a text for a word that the server chose, or the word itself where it is new to us. */
export function tWord(prefix, word) {
  return LANGUAGES[language][`${prefix}.${word}`] ?? word;
}

/** Return a text that depends on a number. */
export const tCount = (key, count, shown = count) =>
  t(`${key}.${count === 1 ? "one" : "many"}`, { count: shown });

/** Use the other language from now on. */
export function toggleLanguage() {
  language = language === "en" ? "zh" : "en";
  store(KEY, language);
  applyLanguage();
}

/** Tell the browser which language the document is in. */
export function applyLanguage() {
  document.documentElement.lang = language === "zh" ? "zh-Hans" : "en";
}

function remembered() {
  const value = recall(KEY);
  return value in LANGUAGES ? value : null;
}

function preferred() {
  for (const tag of navigator.languages ?? [navigator.language]) {
    const code = tag.toLowerCase().split("-")[0];
    if (code in LANGUAGES) return code;
  }
  return "en";
}

function englishLocale() {
  return (navigator.languages ?? []).find((tag) => tag.toLowerCase().startsWith("en")) ?? "en-GB";
}

/** Return what was stored under a name; null when nothing was, or storage is off. */
export function recall(name) {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

/** Store a choice, where storage is on. */
export function store(name, value) {
  try {
    localStorage.setItem(name, value);
  } catch {
    // The choice lasts until the page is closed.
  }
}
