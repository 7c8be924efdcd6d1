// The studio: one page for hosts and speakers, before, during and after.
import { Refused, follow, said, wait } from "./feed.js";
import { Mic } from "./mic.js";
import { Seat } from "./seat.js";
import { LAMP, at, clock } from "../player/words.js";
import { alertsOf, checksOf, drawAlerts, drawChecks, drawSeats, fill, initials } from "./cards.js";

/** @typedef {import("./cards.js").Studio} Studio */

/** @param {string} id @returns {any} */
const $ = (id) => document.getElementById(id);
const id = location.pathname.split("/")[2];
const there = `/s/${id}`;
const kept = `rostra.key.${id}`;
const mic = new Mic();
/** @type {Studio | null} */
let studio = null;
let key = "";
let ahead = 0; // the clock there minus ours, ms
let line = "connecting";
let place = "away"; // ours: away, joining, on, lost, elsewhere
let tested = false;
let refusal = "";
let wasOn = false;
let levels = /** @type {Record<string, number>} */ ({});
/** @type {Seat | null} */
let seat = null;

const remember = {
  /** @param {string} name */
  get(name) {
    try {
      return localStorage.getItem(name) ?? "";
    } catch {
      return "";
    }
  },
  /** @param {string} name @param {string} value */
  set(name, value) {
    try {
      if (value) localStorage.setItem(name, value);
      else localStorage.removeItem(name);
    } catch {
      // Private windows may refuse; then the link itself is the only key.
    }
  },
};

const mine = () => studio?.seats.find((one) => one.seat === studio?.you.seat);
const hosts = () => studio?.you.role === "host" || studio?.you.role === "operator";
const up = () => ["open", "live", "break"].includes(studio?.state ?? "");
const over = () => ["ended", "cancelled"].includes(studio?.state ?? "");

// ── the way in ───────────────────────────────────────────────────────────────────────────────────────────────────

async function begin() {
  const given = new URLSearchParams(location.hash.slice(1)).get("key");
  if (given) {
    remember.set(kept, given);
    history.replaceState(null, "", location.pathname);
  }
  key = given || remember.get(kept) || (await hostsKey());
  if (!key) return;
  seat = new Seat(`${there}/stage`, key, $("others"), placed);
  seat.learn();
  try {
    await follow(`${there}/stage/events`, key, heard, (connected) => {
      line = connected ? "here" : "lost";
      seat?.hears(connected);
      if (!connected) show();
    });
  } catch (wrong) {
    if (!(wrong instanceof Refused)) throw wrong;
    shut(wrong.message);
  }
}

/** The link opens nothing any more: nothing is left to press, and no microphone open. @param {string} why */
function shut(why) {
  seat?.leave();
  mic.close();
  remember.set(kept, "");
  studio = null;
  for (const one of ["next", "stage", "onair"]) $(one).hidden = true;
  $("lamp").dataset.state = "scheduled";
  fill($("lamp"), "Studio");
  document.title = "Studio";
  tell(why);
  $("signin").hidden = false;
}

/** A signed-in host needs no link. */
async function hostsKey() {
  for (;;)
    try {
      const response = await fetch(`/api/spaces/${id}/studio`, { signal: AbortSignal.timeout(10_000) });
      if (response.ok) return (await response.json()).token;
      if (response.status === 401 || response.status === 403) {
        tell("The studio opens with your personal link. Open that link, or sign in if you host this Space.");
        $("signin").href = `/sign-in?to=${encodeURIComponent(location.pathname)}`;
        $("signin").hidden = false;
        return "";
      }
      if (response.status < 500) {
        tell(await said(response));
        return "";
      }
      throw new Error();
    } catch {
      tell("The server does not answer. We keep trying.");
      await wait(1000 + 1000 * Math.random());
    }
}

/** @param {string} event @param {any} data */
function heard(event, data) {
  if (event === "levels") {
    levels = data;
    return rings();
  }
  studio = data;
  line = "here";
  ahead = Date.parse(data.now) - Date.now();
  const me = mine();
  if (mic.track && me) mic.track.enabled = !me.muted;
  if (seat && me && up()) seat.seen(me.on_stage);
  if (over() && seat?.wanted) seat.leave(false);
  if (over()) mic.close();
  if (seat && up() && !seat.wanted && place === "away" && remember.get(`${kept}.on`) && me) backOn();
  show();
}

/** @param {string} what @param {string} [why] */
function placed(what, why) {
  place = what;
  refusal = why ?? "";
  if (what === "on") remember.set(`${kept}.on`, "yes");
  show();
}

/** The page was loaded again while we were on the stage: go back there if the browser lets us use the microphone unasked. */
async function backOn() {
  place = "joining";
  try {
    const allowed = await navigator.permissions.query({ name: /** @type {any} */ ("microphone") });
    if (allowed.state === "granted" && (await useMic()) && mic.track) return seat?.take(mic.track);
  } catch {
    // This browser does not tell; then a press decides.
  }
  remember.set(`${kept}.on`, "");
  placed("away");
}

// ── what is shown ────────────────────────────────────────────────────────────────────────────────────────────────

/** @param {string} text */
function tell(text) {
  if ($("words").textContent !== text) $("words").textContent = text;
}

function sentence() {
  if (!studio) return "One moment.";
  if (line !== "here") return "The stage does not answer. We keep trying; your seat is kept.";
  if (refusal) return refusal;
  if (studio.state === "ended") return "It has ended. Listeners find the recording on the same page.";
  if (studio.state === "cancelled") return "This was cancelled.";
  if (place === "elsewhere") return "You are on the stage from another tab or device. Come back here if you like.";
  if (place === "lost") return "Your connection broke. We are putting you back in your seat; nothing to press.";
  if (place === "joining") return "Taking you to the stage.";
  const starts = studio.starts ? `It starts ${at(studio.starts)}.` : "No time is set.";
  if (!up()) return hosts() ? `${starts} Open the green room when you are ready; listeners hear nothing yet.` : `${starts} The host opens the green room first.`;
  if (studio.state === "open") return place === "on" ? "Green room: the speakers hear each other, listeners hear nothing." : `${starts} The green room is open.`;
  if (studio.state === "break") return "On the air, but nobody is on the stage. Listeners hear that we hold the line.";
  return place === "on" ? (mine()?.muted ? "On the air. Your microphone is muted." : "On the air. Everybody hears you.") : "On the air.";
}

function show() {
  if (!studio) return;
  const { state } = studio;
  const me = mine();
  const on = place === "on";
  document.title = `${state === "live" ? "● " : ""}${studio.title} · Studio`;
  fill($("title").firstElementChild, studio.title);
  fill($("lamp"), state === "open" ? "Green room" : LAMP[state]);
  $("lamp").dataset.state = state;
  tell(sentence());
  $("next").hidden = false;
  $("stage").hidden = false;
  $("onair").hidden = !studio.live_since;
  fill($("count"), studio.live_since && !over() ? `${studio.count.toLocaleString("en")} listening` : "");
  $("check").hidden = over() || !me;
  $("ask").hidden = Boolean(mic.track);
  $("tools").hidden = !mic.track;
  $("own").hidden = !mic.track || over();
  $("join").hidden = over() || !me || on || place === "joining" || place === "lost" || !mic.track || (!up() && hosts());
  // One step at a time is the main one: microphone, green room, stage, air.
  $("open").classList.toggle("main", Boolean(mic.track));
  $("golive").classList.toggle("main", on);
  if (on && !wasOn) $("check").open = false;
  wasOn = on;
  fill($("join"), place === "elsewhere" ? "Come back here" : up() ? "Go to the stage" : "Go to the stage when it opens");
  $("join").disabled = Boolean(!up() && seat?.wanted);
  $("open").hidden = !hosts() || up() || over();
  $("golive").hidden = !hosts() || state !== "open";
  $("mute").hidden = !on;
  $("mute").setAttribute("aria-pressed", String(Boolean(me?.muted)));
  fill($("mute").lastElementChild, me?.muted ? "Unmute" : "Mute");
  $("leave").hidden = !on;
  $("host").hidden = !hosts() || over() || Boolean(studio.live_since);
  $("steer").hidden = !hosts() || over();
  $("muteall").hidden = !up();
  fill($("end"), studio.live_since ? "End the broadcast" : "Cancel");
  $("delaybox").hidden = Boolean(studio.live_since);
  drawChecks($("list"), checksOf(studio, { mic: Boolean(mic.track), tested, on }));
  drawAlerts($("alerts"), alertsOf(studio), command);
  drawSeats($("seats"), $("seat"), studio, hosts(), command, sure);
  rings();
}

function rings() {
  for (const card of $("seats").children) {
    const dbfs = card.classList.contains("off") ? -127 : (levels[card.dataset.seat] ?? -127); // who has left is silent
    card.querySelector(".ring").style.setProperty("--l", String(Math.min(1, Math.max(0, (dbfs + 55) / 45))));
  }
}

function tick() {
  if (studio?.live_since) {
    const until = studio.ended ? Date.parse(studio.ended) : Date.now() + ahead;
    fill($("clock"), clock((until - Date.parse(studio.live_since)) / 1000));
  }
  if (mic.track) {
    const dbfs = mic.track.enabled || place !== "on" ? mic.level() : -100;
    const meter = $("meter");
    meter.style.setProperty("--l", String(Math.max(0, (dbfs + 60) / 60)));
    meter.setAttribute("aria-valuenow", String(Math.round(Math.max(-60, dbfs))));
    meter.setAttribute("aria-valuetext", dbfs > -6 ? "too loud" : dbfs > -45 ? "good" : "quiet");
    if (dbfs > -45 || $("meterwords").dataset.heard !== "yes")
      fill($("meterwords"), dbfs > -6 ? "Too loud. Move back a little." : dbfs > -45 ? "We hear you." : "Say something.");
    if (dbfs > -45) $("meterwords").dataset.heard = "yes";
  }
}

// ── what is asked for ────────────────────────────────────────────────────────────────────────────────────────────

/**
 * Ask the stage; says why not in words. Gives what it answered, or null.
 * @param {string} type
 * @param {Record<string, unknown>} [fields]
 */
async function command(type, fields = {}) {
  try {
    const response = await fetch(`${there}/commands`, {
      method: "POST",
      headers: { Authorization: `Bearer ${key}`, "Content-Type": "application/json" },
      body: JSON.stringify({ type, ...fields }),
      signal: AbortSignal.timeout(10_000),
    });
    refusal = response.ok ? "" : await said(response);
    show();
    return response.ok ? await response.json() : null;
  } catch {
    refusal = "The stage did not answer. Look whether it was done before you press again.";
    show();
    return null;
  }
}

/** @param {string} text @param {string} yes @returns {Promise<boolean>} */
function sure(text, yes) {
  const box = $("sure");
  fill($("suretext"), text);
  fill($("sureyes"), yes);
  box.returnValue = "no"; // Escape need not change it
  box.showModal();
  return new Promise((done) => box.addEventListener("close", () => done(box.returnValue === "yes"), { once: true }));
}

async function useMic(device = remember.get("rostra.mic"), processed = remember.get("rostra.processed") === "yes") {
  try {
    await mic.open(device, processed).catch(() => mic.open("", processed));
  } catch (wrong) {
    const name = /** @type {Error} */ (wrong).name;
    refusal =
      name === "NotAllowedError" ? "The browser was told not to give us the microphone. Allow it beside the address, then press again."
      : name === "NotFoundError" ? "No microphone is connected. Plug one in, then press again."
      : "The microphone cannot be opened. Another program may hold it."; // prettier-ignore
    show();
    return false;
  }
  refusal = "";
  const me = mine();
  if (mic.track && me) mic.track.enabled = !me.muted || place !== "on";
  if (mic.track && seat?.wanted) seat.use(mic.track);
  $("processed").checked = mic.processed;
  await listDevices();
  show();
  return true;
}

async function listDevices() {
  const found = await mic.devices();
  $("devices").replaceChildren(...found.map((one) => new Option(one.name, one.id, false, one.id === mic.device)));
}

mic.lost = () => {
  refusal = "The microphone was unplugged. We took the next one; look above whether it is the right one.";
  useMic("");
};
$("allow").onclick = () => useMic();
$("devices").onchange = () => {
  remember.set("rostra.mic", $("devices").value);
  useMic($("devices").value);
};
$("processed").onchange = () => {
  remember.set("rostra.processed", $("processed").checked ? "yes" : "");
  useMic(mic.device, $("processed").checked);
};
$("echo").onclick = async () => {
  $("echo").disabled = true;
  fill($("echowords"), "Speak now.");
  const loudest = await mic.echo(2, () => fill($("echowords"), "This is how you sound."));
  tested = loudest > -45;
  fill($("echowords"), tested ? "Did it sound right? Then you are ready." : "We heard almost nothing. Is it the right microphone?");
  $("echo").disabled = false;
  show();
};
$("join").onclick = () => {
  mic.wake();
  refusal = "";
  if (mic.track && seat) seat.take(mic.track);
  show();
};
$("leave").onclick = () => {
  remember.set(`${kept}.on`, "");
  seat?.leave();
};
$("mute").onclick = () => {
  const me = mine();
  if (!me || !mic.track) return;
  if (!me.muted) mic.track.enabled = false; // at once; the stage follows
  command(me.muted ? "unmute" : "mute", { seat: me.seat });
};
$("open").onclick = () => command("open");
$("golive").onclick = () => command("go_live");
$("end").onclick = async () => {
  const live = Boolean(studio?.live_since);
  const text = live ? "End it for everybody? The recording is kept." : "Cancel it? Listeners are told at once.";
  if (await sure(text, live ? "End it" : "Cancel it")) command("end");
};
$("muteall").onclick = () => {
  for (const one of studio?.seats ?? []) if (one.on_stage && !one.muted) command("mute", { seat: one.seat });
};
$("delay").onsubmit = async (/** @type {Event} */ event) => {
  event.preventDefault();
  if (await command("delay", { minutes: Number($("minutes").value), reason: $("reason").value })) $("delaybox").open = false;
};
$("invite").onsubmit = async (/** @type {Event} */ event) => {
  event.preventDefault();
  const name = $("name").value;
  const made = await command("invite", { name });
  if (!made) return;
  $("made").hidden = false;
  fill($("for"), name);
  $("link").value = `${location.origin}/studio/${id}#key=${made.token}`;
  $("name").value = "";
  $("copylink").focus();
};
/** @param {any} button @param {string} text */
async function copy(button, text) {
  button.dataset.says ??= button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    fill(button, "Copied");
  } catch {
    fill(button, text);
  }
  await wait(4000);
  fill(button, button.dataset.says);
}
$("copylink").onclick = () => copy($("copylink"), $("link").value);
$("share").onclick = () => copy($("share"), studio?.page ?? location.origin + there);
addEventListener("click", () => mic.wake());
addEventListener("keydown", (event) => {
  const on = /** @type {HTMLElement} */ (event.target);
  if (event.key.toLowerCase() === "m" && !/^(INPUT|SELECT|TEXTAREA)$/.test(on.tagName) && !event.ctrlKey && !event.metaKey) $("mute").click();
});
navigator.mediaDevices?.addEventListener("devicechange", () => mic.track && listDevices());
Object.assign(window, { studio: { get state() { return studio; }, get place() { return place; }, get peer() { return seat?.peer; }, initials } }); // prettier-ignore
// A new link in the tab of an old one: for the browser that is the same page.
addEventListener("hashchange", () => location.hash && location.reload());
setInterval(tick, 100);
begin();
