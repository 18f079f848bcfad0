/** Which session comes next: the list that the reviewer came from, then what is unreviewed. */
import { post } from "./api.js";

let ids = [];
let query = { flagged_only: true, unreviewed_only: true, order: "worst" };

/** Remember the list that a session is opened from. */
export function keepQueue(shown, asked) {
  ids = shown;
  query = asked;
}

/** Return the id of the session after this one, null when there is none. */
export async function nextAfter(id) {
  const at = ids.indexOf(id);
  if (at >= 0 && at + 1 < ids.length) return ids[at + 1];
  const { sessions } = await post("/api/sessions", { ...query, page_token: "", page_size: 50 });
  const seen = new Set([...ids, id]);
  const waiting = sessions.map((session) => session.id).filter((one) => !seen.has(one));
  ids = [id, ...waiting];
  return waiting[0] ?? null;
}
