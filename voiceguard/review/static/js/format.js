/** Numbers, times and lengths as people read them, in the reviewer's zone and language. */
import { locale, t } from "./i18n.js";

const cache = new Map();

function dates(options) {
  const key = locale() + JSON.stringify(options);
  if (!cache.has(key)) cache.set(key, new Intl.DateTimeFormat(locale(), options));
  return cache.get(key);
}

/** Return a whole number with its separators. */
export const count = (value) => new Intl.NumberFormat(locale()).format(value);

/** Return a share in per cent. */
export const percent = (share) =>
  new Intl.NumberFormat(locale(), { style: "percent", maximumFractionDigits: 0 }).format(share);

/** Return a pressure index, a whole number. */
export const index = (value) => String(Math.round(value));

/** Return a place on the audio clock: 1:04.5, 1:02:03. */
export function clock(at_s, digits = 0) {
  const factor = 10 ** digits;
  const all = Math.floor(Math.max(0, at_s) * factor + 1e-6) / factor;
  const hours = Math.floor(all / 3600);
  const minutes = Math.floor(all / 60) % 60;
  const rest = (all % 60).toFixed(digits).padStart(digits ? digits + 3 : 2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

/** Return a length in words. */
export function span(length_s) {
  const all = Math.round(length_s);
  if (all < 60) return t("unit.seconds", { seconds: all });
  const minutes = Math.floor(all / 60);
  if (minutes < 60) return t("unit.minutes", { minutes });
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return t("unit.hours", { hours, minutes: minutes % 60 });
  return t("unit.daysHours", { days: Math.floor(hours / 24), hours: hours % 24 });
}

/** Return date and time, short: what a list shows. */
export function moment(at_ms) {
  const at = new Date(at_ms);
  const sameYear = at.getFullYear() === new Date().getFullYear();
  return dates({
    year: sameYear ? undefined : "numeric", month: "short", day: "numeric",
    hour: "2-digit", minute: "2-digit", hourCycle: "h23",
  }).format(at);
}

/** Return date and time to the second, with the zone. */
export function fullMoment(at_ms) {
  const at = new Date(at_ms);
  const text = dates({
    year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit",
    second: "2-digit", hourCycle: "h23",
  }).format(at);
  return `${text} ${zone(at)}`;
}

/** Return a day of the calendar. */
export const day = (date) => dates({ month: "short", day: "numeric" }).format(date);

/** Return a day of the calendar with its name. */
export const longDay = (date) => dates({ weekday: "short", month: "short", day: "numeric" }).format(date);

/** Return the reviewer's zone as it is at a time: GMT+8. */
export function zone(at = new Date()) {
  const parts = dates({ timeZoneName: "short" }).formatToParts(at);
  return parts.find((part) => part.type === "timeZoneName")?.value ?? "";
}

/** Return a size of a file. */
export function size(bytes) {
  return new Intl.NumberFormat(locale(), {
    style: "unit", unit: bytes < 1e6 ? "kilobyte" : "megabyte", maximumFractionDigits: 1,
  }).format(bytes / (bytes < 1e6 ? 1e3 : 1e6));
}
