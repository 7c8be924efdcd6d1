// What can wait until the first sound: the bar, who spoke when, keys, sharing, how we count. Loaded once, by page.js.
import { draw } from "./bar.js";
import { counting } from "./count.js";

/** @typedef {ReturnType<typeof begin>} More */

/** @param {import("./page.js").Page} page */
export function begin(page) {
  const { $, audio, sound, say } = page;
  let record = /** @type {import("./bar.js").Levels} */ ({ part_s: 0.5, levels: [], parts: 0, turns: [] });
  let fresh = /** @type {{at: number, level: number}[]} */ ([]);
  let wanted = /** @type {number | null} */ (null); // the bar is being moved to here
  let renewAt = Date.now() + 12e4;

  function wave() {
    if (!page.before() && !document.hidden) draw($("wave"), record, fresh, wanted ?? page.here(), page.total());
  }

  async function levels() {
    if (!page.playable || page.before()) return;
    try {
      const response = await fetch(`${page.space.sound}/opus/levels.json`, { signal: AbortSignal.timeout?.(1e4) });
      if (!response.ok) return;
      record = await response.json();
    } catch {
      return;
    }
    fresh = fresh.filter((one) => one.at >= record.parts * record.part_s);
    if (page.over()) sound.parts ??= record.parts;
    else sound.know(record.parts);
    $("turns").hidden = !page.over() || !record.turns.length;
    $("turnlist").replaceChildren(
      ...record.turns.slice(0, 500).map((turn) => {
        const item = $("turn").content.cloneNode(true).firstElementChild;
        item.querySelector("span").textContent = page.clock(turn.from_s);
        item.querySelector("bdi").textContent = turn.name;
        item.firstElementChild.onclick = () => page.go(turn.from_s);
        return item;
      }),
    );
    page.show();
  }

  function show() {
    say("counted", counting(page.space, page.onAir()));
    for (const one of document.querySelectorAll(".flows")) /** @type {HTMLElement} */ (one).hidden = page.over();
    if ($("how").open && !page.over() && !document.hidden) page.refresh(1e4); // more than rides along with the sound
    wave();
    if (sound.live && !page.over() && !document.hidden && Date.now() > renewAt) {
      renewAt = Date.now() + 9e4 + 9e4 * Math.random(); // the levels on the record, now and then
      levels();
    }
  }

  function session() {
    const keys = navigator.mediaSession;
    if (!keys) return;
    const { space } = page;
    keys.metadata = new MediaMetadata({ title: space.title, artist: space.host, album: page.onAir() ? "Live" : "Recording" });
    /** @type {[MediaSessionAction, MediaSessionActionHandler][]} */
    const does = [
      ["play", () => audio.paused && page.toggle()], ["pause", () => audio.pause()], ["stop", () => audio.pause()],
      ["seekbackward", (step) => page.go(page.here() - (step.seekOffset ?? 10))],
      ["seekforward", (step) => page.go(page.here() + (step.seekOffset ?? 10))],
      ["seekto", (to) => page.go(to.seekTime ?? 0)],
    ]; // prettier-ignore
    for (const [key, act] of does)
      try {
        keys.setActionHandler(key, act);
      } catch {
        // A key this browser does not have.
      }
  }

  /** Where the sound comes through a CDN, some of us say now and then that they are here. */
  async function say_here() {
    const { beacon } = page.space;
    if (!beacon || Math.random() * beacon.one_in >= 1) return;
    for (let pause = 2e3; ; pause = 1e3 * beacon.every_s) {
      await new Promise((done) => setTimeout(done, pause * (0.9 + 0.2 * Math.random())));
      if (!page.begun || audio.paused || !page.onAir()) continue;
      fetch(`${page.space.sound}/here?sid=${page.sid}`, { cache: "no-store" }).catch(() => {});
    }
  }

  $("seek").oninput = () => {
    wanted = Number($("seek").value);
    page.time();
    wave();
  };
  $("seek").onchange = () => {
    page.go(Number($("seek").value));
    wanted = null;
  };
  $("share").onclick = async () => {
    const url = `${location.origin}/s/${page.space.id}`;
    try {
      if (navigator.share) return await navigator.share({ title: page.space.title, url });
      await navigator.clipboard.writeText(url);
      say("shared", "Link copied");
    } catch (why) {
      if (/** @type {Error} */ (why).name !== "AbortError") say("shared", url);
    }
  };
  $("share").hidden = false;
  addEventListener("keydown", (event) => {
    const on = /** @type {HTMLElement} */ (event.target);
    if (event.ctrlKey || event.metaKey || event.altKey || (on.id === "loud" && /^Arrow/.test(event.key)) || /^(TEXTAREA|SELECT)$/.test(on.tagName)) return;
    const pressable = /^(BUTTON|A|SUMMARY)$/.test(on.tagName);
    const key = event.key.toLowerCase();
    if (key === "k" || (key === " " && !pressable)) page.toggle();
    else if (key === "m") audio.muted = !audio.muted;
    else if (page.before()) return;
    else if (key === "l" && !page.over()) page.listen();
    else if (key === "arrowleft") page.go(page.here() - 10);
    else if (key === "arrowright") page.go(page.here() + 10);
    else return;
    event.preventDefault();
  });

  session();
  say_here();
  if (page.over()) levels();
  else setTimeout(levels, 500 + 2e3 * Math.random());

  return {
    show,
    session,
    levels,
    wanted: () => wanted,
    /** @param {number} level of the part that is heard now */
    heard: (level) => (fresh = [...fresh.slice(-600), { at: audio.currentTime, level }]),
  };
}
