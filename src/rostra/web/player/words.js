// What the page says, in the reader's own time zone.

/**
 * @typedef {{seat: string, name: string, role: string, muted: boolean, on_stage: boolean}} Speaker
 * @typedef {{id: string, title: string, state: string, host: string, starts: string | null, late: boolean, reason: string,
 *   live_since: string | null, ended: string | null, elapsed_s: number | null, away_since: string | null, away_why: string, speakers: Speaker[],
 *   count: number, peak: number, unique: number, kinds: Record<string, number>, counted: string, count_error: number,
 *   unique_error: number, beacon: {every_s: number, one_in: number} | null, now?: string, next_poll_s: number, sound: string,
 *   seq: number}} Space
 */

const english = /^en/.test(navigator.language) ? navigator.language : "en-GB";
export const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "your time zone";

/** "20:00", and the day with it where that is not today. @param {string | null} iso */
export function when(iso) {
  const at = new Date(iso ?? 0);
  const today = at.toDateString() === new Date().toDateString();
  return at.toLocaleString(english, {
    hour: "numeric", minute: "2-digit",
    ...(today ? {} : { weekday: "long", day: "numeric", month: "long" }),
  }); // prettier-ignore
}

/** "at 20:00", "on Friday 20 November at 20:00". @param {string | null} iso */
export const at = (iso) => (new Date(iso ?? 0).toDateString() === new Date().toDateString() ? "at " : "on ") + when(iso);

/** 1:02:03, or 2:03. @param {number} seconds */
export function clock(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  const two = (/** @type {number} */ n) => String(n).padStart(2, "0");
  return (s >= 3600 ? `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}` : Math.floor(s / 60)) + ":" + two(s % 60);
}

/** For ears: "1 hour 2 minutes". @param {number} seconds */
export function spoken(seconds) {
  const s = Math.floor(seconds);
  const parts = [[Math.floor(s / 3600), "hour"], [Math.floor(s / 60) % 60, "minute"], [s < 3600 ? s % 60 : 0, "second"]];
  const said = parts.filter(([n]) => n).map(([n, unit]) => `${n} ${unit}${n === 1 ? "" : "s"}`);
  return said.join(" ") || "0 seconds";
}

export const LAMP = /** @type {Record<string, string>} */ ({
  scheduled: "Not on yet", delayed: "Starting late", open: "About to start", live: "On air", break: "Holding the line",
  ended: "Ended", cancelled: "Cancelled",
}); // prettier-ignore

/** Somebody's own words inside ours: set apart, so that their direction stays theirs. @param {string} text */
const theirs = (text) => (text ? ` The host says: \u2068${text}\u2069${/[.!?…]$/.test(text) ? "" : "."}` : "");

/**
 * The sentence of a state; it changes only when the state does.
 * @param {Space} space
 * @param {number} now ms
 */
export function sentence(space, now) {
  const { state, starts, speakers } = space;
  const on = speakers.filter((one) => one.on_stage);
  const stay = " Stay here; it begins by itself.";
  if (state === "live")
    return !on.length || on.some((one) => !one.muted) ? ""
      : `It is quiet: ${on.length === 1 ? "the microphone is" : on.length === 2 ? "both microphones are" : "all microphones are"} muted.`; // prettier-ignore
  if (state === "break")
    return `The speakers ${space.away_why === "all left" ? "left the stage" : "lost their connection"} ${at(space.away_since)}. We are holding the line; sound returns by itself.`;
  if (state === "ended") return `It ended ${at(space.ended)}. This is the whole of it.`;
  if (state === "cancelled") return "This will not take place." + theirs(space.reason);
  if (!starts) return (state === "open" ? "The speakers are getting ready." : "No time is set yet.") + stay;
  if (now > Date.parse(starts) + 5e3) return `It should have begun ${at(starts)}. The speakers are not on yet.` + stay;
  if (space.late) return `Starting late: now ${when(starts)}.` + theirs(space.reason) + stay;
  return `We start ${at(starts)}.` + stay;
}
