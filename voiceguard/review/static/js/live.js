/** Alerts as they happen, for whoever wants to know. */

const listeners = new Set();
let source = null;
let connected = false;

/** Alerts that came and were not looked at yet, newest first, one for each session. */
export let fresh = [];

/** Call a function whenever something changes; returns how to stop that. */
export function onLive(run) {
  listeners.add(run);
  return () => listeners.delete(run);
}

/** Whether alerts arrive now. */
export const isConnected = () => connected;

/** Begin to listen. */
export function startLive(onSignedOut) {
  stopLive();
  source = new EventSource("/api/alerts");
  source.addEventListener("open", () => tell(true));
  source.addEventListener("error", () => tell(false));
  source.addEventListener("problem", (event) => {
    if (JSON.parse(event.data).code === "signed_out") {
      stopLive();
      onSignedOut();
    }
  });
  for (const kind of ["alert", "handoff", "flag"]) {
    source.addEventListener(kind, (event) => receive(JSON.parse(event.data)));
  }
}

/** Stop, and forget what came. */
export function stopLive() {
  source?.close();
  source = null;
  fresh = [];
  tell(false);
}

/** Take alerts as seen: one session's, or all. */
export function markSeen(id = null) {
  fresh = id === null ? [] : fresh.filter((alert) => alert.session_id !== id);
  tell(connected);
}

const RANK = { alert: 0, flag: 1, handoff: 2 };

function receive(alert) {
  const before = fresh.find((one) => one.session_id === alert.session_id);
  const shown = before && RANK[before.kind] > RANK[alert.kind] ? before : { ...alert, at_ms: Date.now() };
  fresh = [shown, ...fresh.filter((one) => one !== before)].slice(0, 99);
  tell(connected);
}

function tell(state) {
  connected = state;
  for (const run of listeners) run();
}
