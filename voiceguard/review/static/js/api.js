/** Asks the page's own server; nothing here ever goes anywhere else. */
import { t, tWord } from "./i18n.js";

/** An answer other than what was asked for. */
export class ApiError extends Error {
  constructor(status, code, message, field, retryAfter_s) {
    super(message);
    Object.assign(this, { status, code, field, retryAfter_s });
  }

  /** Return what to tell the reviewer, in their language. */
  get text() {
    const seconds = Math.ceil(this.retryAfter_s ?? 60);
    const known = ["signed_out", "forbidden", "not_found", "invalid", "conflict", "too_many",
      "too_large", "unavailable", "network"];
    return known.includes(this.code)
      ? tWord("error", this.code).replace("{seconds}", seconds)
      : t("error.other");
  }
}

let onSignedOut = () => {};

/** Have a function called whenever the server says that nobody is signed in. */
export function whenSignedOut(run) {
  onSignedOut = run;
}

/** Return an answer's JSON. Throws `ApiError`. */
export const get = async (path, signal) => (await request(path, { signal })).json();

/** Send an object, return the answer's JSON. Throws `ApiError`. */
export const post = async (path, body = {}, signal) => (await send(path, body, signal)).json();

/** Return the address of something about a session. */
export const sessionPath = (id, part = "") =>
  `/api/sessions/${encodeURIComponent(id)}${part ? `/${part}` : ""}`;

/** Fetch a file by POST; `onProgress` is told the bytes so far. Return its blob and name. */
export async function download(path, onProgress) {
  const response = await send(path, {});
  const name = /filename="([^"]+)"/.exec(response.headers.get("content-disposition") ?? "")?.[1];
  const chunks = [];
  let bytes = 0;
  for (const reader = response.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    chunks.push(value);
    bytes += value.length;
    onProgress(bytes);
  }
  return { blob: new Blob(chunks, { type: "application/zip" }), name };
}

function send(path, body, signal) {
  const headers = { "content-type": "application/json", "x-voiceguard": "1" };
  return request(path, { method: "POST", headers, body: JSON.stringify(body), signal });
}

async function request(path, options) {
  let response;
  try {
    response = await fetch(path, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "network", error.message);
  }
  if (response.ok) return response;
  const { error = {} } = await response.json().catch(() => ({}));
  const problem = new ApiError(
    response.status, error.code ?? "other", error.message ?? "", error.field ?? "", error.retry_after_s,
  );
  if (problem.code === "signed_out" && path !== "/api/sign-in") onSignedOut();
  throw problem;
}
