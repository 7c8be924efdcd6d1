// The page of a Space in all its states; it never needs to be loaded again. What can wait for the first sound is in more.js.
import { PART_S, Sound, canPlayParts, wait } from "./sound.js";
import { LAMP, clock, sentence, spoken, when, zone } from "./words.js";

/** @typedef {import("./words.js").Space} Space */

/** @param {string} id @returns {any} */
const $ = (id) => document.getElementById(id);
/** @type {HTMLAudioElement} */
const audio = $("audio");
/** @type {Space} */
let space = JSON.parse($("state").textContent);
const home = `/s/${space.id}/`;
const parts = canPlayParts();
const native = !parts && Boolean(audio.canPlayType("application/vnd.apple.mpegurl"));
let ahead = 0; // the clock there minus ours, ms
let armed = false; // the reader wants it to play when it starts
let refused = false; // the browser wants a press first
let begun = false; // we are after sound
let troubled = false;
let askedAt = 0;
let speaking = /** @type {string[]} */ ([]);
let level = -127;
let drawn = "";
let told = "";

const before = () => ["scheduled", "delayed", "open"].includes(space.state);
const onAir = () => space.state === "live" || space.state === "break";
const now = () => Date.now() + ahead;
// Tells the edge that what it sees again is this tab; made for it alone and kept nowhere.
const sid = [...crypto.getRandomValues(new Uint8Array(12))].map((n) => n.toString(36)).join("");

const tell = {
  /** @param {import("./boxes.js").Now} said */
  now(said) {
    speaking = said.speaking;
    level = said.level;
    if (!sound.live) return show(); // what was true then; what is true now comes from the door
    more?.heard(level);
    if (said.seq > space.seq) {
      const soon = said.state !== space.state;
      space = { ...space, state: said.state, count: said.count };
      refresh(soon ? 0 : 5e3);
    }
    space.count = said.count;
    show();
  },
  /** There is no more sound. The door, or what stands before it, may know that a moment later. */
  async over() {
    await refresh(0);
    if (onAir()) wait(1e3 * (1 + Math.random())).then(tell.over);
  },
  /** @param {boolean} on */
  trouble(on) {
    if (on !== troubled) show((troubled = on));
  },
};
const sound = new Sound(audio, `${space.sound}/opus/`, tell, space.beacon ? "" : sid);

// ── sound ────────────────────────────────────────────────────────────────────────────────────────────────────────

/** @param {number} [second] from there; without it, live or (when it is over) from the beginning */
function listen(second) {
  begun = true;
  refused = false;
  if (!parts) {
    // The live playlist holds the newest minute alone, in seconds of its own; only the replay's are the broadcast's.
    const source = space.sound + (!onAir() ? "/recording.m4a" : second === undefined ? newest : replay);
    const there = () => second !== undefined && (audio.currentTime = second);
    audio.onloadedmetadata = there; // some forget where to be when they load
    if (audio.src !== source || second === undefined) {
      shift = nearest = Infinity;
      audio.src = source; // also when it is the same: only loading it anew leads to what is live now
    }
    there();
  } else {
    sound.open();
    if (second !== undefined) sound.seek(second);
    else if (!over()) sound.join();
    else sound.seek(0);
  }
  audio.play().catch((/** @type {Error} */ why) => {
    if (why.name !== "NotAllowedError") return;
    refused = true;
    begun = false;
    sound.stop();
    loadMore();
    show();
  });
  show();
}

const newest = "/hls/index.m3u8";
const replay = "/hls/replay.m3u8";
const over = () => space.state === "ended";
const total = () => sound.live && begun && !over() ? audio.currentTime : Math.max(over() && sound.parts === null ? (space.elapsed_s ?? 0) : sound.count() * PART_S, audio.currentTime);
/** Where HLS is the browser's own, some seconds behind is live there; more than it was at its nearest is a pause or a stall. */
const isLive = () => (parts ? sound.live : !audio.src.endsWith(replay) && total() - here() < nearest + 5) && !over();
let shift = Infinity; // second 0 of the newest minute, in seconds of the broadcast
let nearest = Infinity; // seconds behind
/** Where the ear is, in seconds of the broadcast. The newest minute has seconds of its own; its end is the broadcast's. */
function here() {
  const { currentTime, duration, seekable, src } = audio;
  if (!src.endsWith(newest)) return currentTime;
  // Chromium tells the end once there is one, others how far one can go at any time.
  const end = duration < Infinity ? duration : seekable.length ? seekable.end(seekable.length - 1) : currentTime;
  // The end that the browser knows is late by a moment, and in a pause by all of it.
  shift = over() || !audio.readyState ? total() - end : Math.min(shift, sound.count() ? total() - end : Infinity);
  if (shift === Infinity) return currentTime;
  if (!audio.paused && audio.readyState > 2) nearest = Math.min(nearest, total() - shift - currentTime);
  return shift + currentTime;
}

function toggle() {
  if (before()) {
    armed = true;
    if (parts) sound.open();
    audio.play().catch(() => {});
    show();
  } else if (!begun) listen();
  else if (!audio.paused) audio.pause();
  else if (audio.ended) listen(0);
  else {
    audio.play().catch(() => {});
    if (parts) sound.resume();
  }
}

/** @param {number} second */
function go(second) {
  const to = Math.max(0, Math.min(second, total()));
  if (!over() && to > total() - 2) listen();
  else listen(to);
}

// ── what is shown ────────────────────────────────────────────────────────────────────────────────────────────────

/** @param {string} id @param {string} text */
function say(id, text) {
  if ($(id).textContent !== text) $(id).textContent = text;
}

/** @param {unknown} [_] */
function show(_) {
  const { state } = space;
  const hasPlayer = parts || native;
  say("lamp", LAMP[state]);
  $("lamp").dataset.state = state;
  document.title = `${onAir() ? "● " : ""}${space.title}`;
  say("words", troubled && onAir() && begun ? "We cannot reach the sound just now. It returns by itself." : sentence(space, now()));
  $("words").hidden = !$("words").textContent;
  const line = `${LAMP[state]}. ${$("words").textContent}`;
  if (told && line !== told) say("told", line); // once per state, for screen readers
  told = line;
  $("deck").hidden = !hasPlayer || state === "cancelled";
  $("cannot").hidden = hasPlayer || before() || state === "cancelled";
  $("controls").hidden = before();
  $("volume").hidden = before();
  $("before").hidden = !before() || !space.starts;
  $("calendar").hidden = !before() || !space.starts;
  const playing = begun && !audio.paused;
  const does = before() ? "arm" : playing ? "pause" : "start";
  const play = $("play");
  play.hidden = before() && armed;
  play.dataset.does = does;
  play.classList.toggle("main", does !== "pause");
  say("does", { arm: "Play when it starts", pause: "Pause", start: onAir() ? "Listen live" : "Play" }[does] ?? "");
  const behind = total() - here();
  say("caption", before() ? (play.hidden ? "Ready. It begins by itself." : "")
    : !begun ? (refused && onAir() ? "Your browser waits for you: press to listen." : onAir() ? "Listen live" : "Listen from the beginning")
    : audio.ended ? "That was all of it."
    : audio.paused ? "Paused"
    : over() ? "Playing the recording"
    : !sound.started && parts ? "Joining…"
    : isLive() ? (space.state === "break" ? "Silent until they return" : "You hear it live") : `${clock(behind)} behind live`); // prettier-ignore
  $("golive").hidden = over() || before();
  $("golive").disabled = begun && !audio.paused && isLive();
  say("golive", $("golive").disabled ? "Live" : "Go live");
  people();
  say("listeners", onAir() ? `${space.count.toLocaleString("en")} listening` : over() && space.peak ? `Up to ${space.peak.toLocaleString("en")} at once` : "");
  $("count").hidden = !$("listeners").textContent;
  time();
  more?.show();
}

function people() {
  const shown = space.speakers.filter((one) => one.on_stage || !onAir());
  const plain = shown.map((one) => one.seat + one.name + one.muted).join();
  const list = $("speakers");
  list.hidden = !shown.length;
  if (plain !== drawn) {
    drawn = plain;
    list.replaceChildren(
      ...shown.map((one) => {
        const item = $("speaker").content.cloneNode(true).firstElementChild;
        item.dataset.seat = one.seat;
        item.querySelector(".ring").textContent = initials(one.name);
        item.querySelector("bdi").textContent = one.name;
        return item;
      }),
    );
  }
  const heard = begun && !audio.paused;
  for (const item of list.children) {
    const one = shown.find((each) => each.seat === item.dataset.seat);
    const speaks = heard && speaking.includes(item.dataset.seat);
    item.classList.toggle("speaks", speaks);
    item.querySelector(".ring").style.setProperty("--l", String(Math.min(1, Math.max(0, (level + 50) / 40))));
    item.querySelector("small").textContent = onAir() && one?.muted ? "muted" : speaks ? "speaking" : one?.role === "host" ? "host" : "";
  }
}

/** @param {string} name */
const initials = (name) =>
  [...name.split(/\s+/)].filter(Boolean).map((word) => [...word][0]).filter((_, i, all) => i === 0 || i === all.length - 1)
    .join("").toUpperCase(); // prettier-ignore

function time() {
  const left = space.starts && before() ? (Date.parse(space.starts) - now()) / 1000 : 0;
  $("countdown").hidden = left <= 0;
  const days = Math.floor(left / 86400);
  say("countdown", days > 1 ? `${days} days` : clock(left));
  const wanted = more?.wanted();
  const at = wanted ?? here();
  say("here", clock(at) + (sound.started && onAir() && !isLive() ? ` of ${clock(total())}` : ""));
  $("total").hidden = !over();
  say("total", clock(total()));
  const seek = $("seek");
  seek.max = String(Math.ceil(total()));
  if (wanted == null) seek.value = String(at);
  seek.setAttribute("aria-valuetext", `${spoken(at)} of ${spoken(total())}`);
}

// ── what the server says ─────────────────────────────────────────────────────────────────────────────────────────

/** @param {number} least ms since the last time we asked */
async function refresh(least) {
  if (askedAt > Date.now() - least) return;
  askedAt = Date.now();
  await wait(Math.random() * Math.min(1e3, least + 400));
  try {
    const response = await fetch(`${home}state.json`, { signal: AbortSignal.timeout?.(8e3) });
    if (!response.ok) return;
    const said = await response.json();
    ahead = Date.parse(said.now) - Date.now();
    if (said.seq >= space.seq) take(said);
  } catch {
    // The door is away: what we know stays true enough, and we ask again.
  }
}

/** @param {Space} said */
function take(said) {
  const was = space.state;
  space = said;
  if (space.elapsed_s && !(begun && parts)) sound.know(Math.floor(space.elapsed_s / PART_S));
  // What caches keep of the levels while it is on the air is two seconds old at most.
  if (over() && was !== "ended") wait(2e3 * (1 + Math.random())).then(() => (more ? more.levels() : loadMore()));
  const late = Date.parse(space.starts ?? "") - now() > 6e4;
  const missed = over() && parts && !sound.started; // it ended as we came
  if (begun && (space.state === "cancelled" || (before() && late) || missed)) {
    begun = false;
    sound.stop();
  }
  if (onAir() && (was !== space.state || armed) && !begun && !refused) listen();
  for (const one of document.querySelectorAll("time")) if (one.dataset.is === "starts") one.textContent = when(space.starts);
  const calendar = $("calendar");
  if (space.starts) calendar.href = calendar.href.replace(/(DTSTART:)\w+/, `$1${space.starts.replace(/[-:]|\.\d+/g, "")}`);
  more?.session();
  show();
}

async function poll() {
  for (;;) {
    await wait(1000 * (space.next_poll_s || 10) * (0.8 + 0.4 * Math.random()));
    const inBand = begun && parts && !audio.paused && sound.live && Date.now() - sound.heardAt < 3e3;
    if (!inBand && space.state !== "cancelled") await refresh(900);
  }
}

// ── what can wait ────────────────────────────────────────────────────────────────────────────────────────────────

/** What more.js may see and do here. */
const page = {
  $, audio, sound, sid, say, show, time, clock, total, here, go, listen, toggle, refresh, before, onAir, over,
  get space() { return space; },
  get begun() { return begun; },
  playable: parts || native,
}; // prettier-ignore
/** @typedef {typeof page} Page */
let more = /** @type {import("./more.js").More | null} */ (null);
let loading = false;

/** After the first sound, or when somebody touches the page, whichever is first. */
async function loadMore() {
  if (loading) return;
  loading = true;
  try {
    more = (await import(document.querySelector("main")?.dataset.more ?? "")).begin(page);
    show();
  } catch {
    wait(5e3).then(() => (loading = false)); // the page plays without it
  }
}

// ── hands ────────────────────────────────────────────────────────────────────────────────────────────────────────

$("play").onclick = toggle;
$("golive").onclick = () => listen();
$("seek").onchange = () => go(Number($("seek").value));
$("loud").oninput = () => {
  audio.volume = Number($("loud").value);
  audio.muted = false;
};
$("mute").onclick = () => (audio.muted = !audio.muted);
audio.onvolumechange = () => $("mute").setAttribute("aria-pressed", String(audio.muted));
for (const kind of ["play", "pause", "playing", "ended", "seeked"]) audio.addEventListener(kind, show);
// Where HLS is the browser's own: a live playlist has a length when it is over.
for (const kind of ["durationchange", "ended"])
  audio.addEventListener(kind, () => onAir() && audio.src.endsWith(newest) && audio.duration < Infinity && refresh(0));
audio.addEventListener("playing", () => {
  if (rostra.firstSoundAt || before() && !sound.heardAt) return;
  rostra.firstSoundAt = performance.now();
  loadMore();
});
addEventListener("online", () => sound.hurry());
document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  sound.hurry();
  refresh(3e3);
});

/** For tests, measurements and the curious. */
const rostra = {
  get state() { return space.state; },
  get t0() { return sound.t0; },
  get live() { return sound.live; },
  get gaps() { return sound.gaps; },
  get parts() { return sound.count(); },
  get playing() { return begun && !audio.paused && sound.started; },
  firstSoundAt: 0,
  position: () => audio.currentTime,
  bufferedEnd: () => sound.bufferedEnd(),
}; // prettier-ignore
Object.assign(window, { rostra });

say("zone", zone);
for (const one of document.querySelectorAll("time")) one.textContent = when(one.dateTime);
for (const one of document.querySelectorAll(".scripted")) /** @type {HTMLElement} */ (one).hidden = false;
if (space.elapsed_s) sound.know(Math.floor(space.elapsed_s / PART_S));
if (onAir()) listen();
else {
  show();
  loadMore();
}
if (!over() && !(onAir() && parts)) refresh(1); // else the sound brings it along
for (const kind of ["keydown", "pointerdown"]) addEventListener(kind, loadMore);
let ticks = 0;
setInterval(() => {
  sound.tick();
  const left = Date.parse(space.starts ?? "") - now();
  // In the last seconds the request for sound already waits at the edge: it is answered the moment it begins.
  if (before() && !begun && (armed || navigator.userActivation?.hasBeenActive) && left < 4e3 && left > -6e4 && parts) listen();
  if (ticks++ % 5) time();
  else show();
}, 200);
poll();
