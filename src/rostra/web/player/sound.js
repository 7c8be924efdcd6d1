// Sound by number: parts from the edge into Media Source, heard a little behind the newest one.
// Part n begins at n × PART_S of the broadcast, always; so a number is a time, and a lost connection costs only waiting.
import { alongside } from "./boxes.js";

export const PART_S = 0.5;
const SEGMENT = 8; // parts
const KIND = 'audio/mp4; codecs="opus"';
const AHEAD_S = 24; // sound held ahead of the ear when it is not live
const BEHIND_S = 90; // and kept behind it, for going back without asking
const QUIET_DBFS = -60;
const MARGIN_S = 0.26; // sound left when the next part comes, on a good line

/** @type {typeof MediaSource | undefined} */
// @ts-ignore: iPhones have only the managed kind
const Source = self.MediaSource || self.ManagedMediaSource;

/** Whether this browser plays Opus parts. */
export const canPlayParts = () => Boolean(Source && Source.isTypeSupported(KIND));

/** @param {number} ms */
export const wait = (ms) => new Promise((done) => setTimeout(done, ms));

export class Sound {
  /**
   * @param {HTMLAudioElement} audio
   * @param {string} base the edge's address of this Space's Opus parts, ending in a slash
   * @param {{now: (now: import("./boxes.js").Now) => void, over: () => void, trouble: (on: boolean) => void}} tell
   * @param {string} sid what the edge may call this tab while it counts; empty where it does not
   */
  constructor(audio, base, tell, sid) {
    this.audio = audio;
    this.base = base;
    this.tell = tell;
    this.sid = sid && `?sid=${sid}`;
    this.moved = false; // we are on another connection than the one that knows our name
    /** @type {Promise<unknown> | undefined} telling the new one our name; sound comes whether it can be told or not */
    this.naming = undefined;
    this.step = 1; // parts that we ask for at a time
    this.live = false; // following the newest part, as against playing from somewhere earlier
    this.next = 0; // the part to ask for
    this.gaps = 0; // times the sound stopped while it should have played
    /** @type {number | null} wall time of second 0, ms since 1970 */
    this.t0 = null;
    /** @type {number | null} parts in all, once it is over */
    this.parts = null;
    this.newest = { part: 0, at: 0 };
    this.run = 0; // each start of the loop has a number; a loop that is not the newest ends
    this.cut = new AbortController();
    this.heardAt = 0; // when the edge last answered
    this.level = 0;
    this.margin = MARGIN_S;
    this.started = false;
    this.stalledAt = 0;
    /** @type {number | null} where to be, once there is something */
    this.want = null;
    /** @type {{at: number, now: import("./boxes.js").Now}[]} */
    this.said = [];
    /** @type {number[]} */
    this.slack = [];
    /** @type {Promise<SourceBuffer> | undefined} */
    this.buffer = undefined;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.rest = undefined;
    audio.addEventListener("waiting", () => this.stalled());
    audio.addEventListener("playing", () => {
      this.started = true;
      if (this.stalledAt) this.gaps++;
      this.stalledAt = 0;
    });
    audio.addEventListener("ended", () => (this.stalledAt = 0)); // that was the end, not a gap
    // A paused page asks for nothing after a while; playing on then begins where it stopped.
    audio.addEventListener("pause", () => (this.rest = setTimeout(() => this.stop(), 15e3)));
    audio.addEventListener("play", () => clearTimeout(this.rest));
    audio.addEventListener("error", () => this.reopen());
  }

  /** How many parts there are by now, as far as we can tell without asking. */
  count() {
    const { part, at } = this.newest;
    return this.parts ?? (at && part + Math.floor((Date.now() - at) / 1000 / PART_S));
  }

  /** @param {number} parts how many there are, as somebody else was told */
  know(parts) {
    if (parts > this.count()) this.newest = { part: parts, at: Date.now() };
  }

  /** End of the sound that can be heard from here without a break, in seconds of the broadcast. */
  bufferedEnd() {
    const { buffered, currentTime } = this.audio;
    for (let i = 0; i < buffered.length; i++)
      if (buffered.start(i) <= currentTime + 0.1 && buffered.end(i) >= currentTime) return buffered.end(i);
    return currentTime;
  }

  /** Join at the newest part; resolves when sound is there. Asks on until then. */
  async join() {
    const run = this.start();
    const asked = Date.now();
    const answer = await this.ask("join.mp4" + this.sid, run);
    // It ended while we were away: there is no newest part any more, but all that was missed is on the record.
    if (!answer) return run === this.run && this.started ? this.seek(this.audio.currentTime) : undefined;
    const first = Number(answer.headers.get("Rostra-Part")) || 0;
    this.step = Number(answer.headers.get("Rostra-Step")) || 1;
    this.next = Number(answer.headers.get("Rostra-Next")) || first + 2;
    this.live = this.parts === null;
    this.newest = { part: this.next, at: Date.now() };
    // Far enough behind the newest to outlast the wait for the next one and this line's way there and back.
    const behind = 0.1 + this.step / 2 + Math.min(0.4, (Date.now() - asked) / 1000);
    this.want = Math.max(first * PART_S, this.next * PART_S - behind);
    let { bytes } = answer;
    while (this.next - first <= this.step) {
      // The very beginning, or long steps: with so little the ear would run dry before the next comes.
      const more = await this.ask(`part/${this.next}.m4s`, run);
      if (!more) break;
      bytes = new Uint8Array([...bytes, ...more.bytes]);
      this.next++;
      this.newest = { part: this.next, at: Date.now() };
    }
    await this.append(bytes, run, true);
    this.follow(run);
  }

  /**
   * Play from anywhere in what was broadcast.
   * @param {number} second
   */
  async seek(second) {
    const run = this.start();
    this.live = false;
    this.audio.playbackRate = 1;
    const here = Math.max(0, Math.min(second, this.count() * PART_S - 0.1));
    // Opus needs 80 ms before a point to sound right at it (RFC 7845, 4.6).
    this.next = Math.max(0, Math.floor((here - 0.08) / PART_S));
    this.want = here;
    if (this.audio.readyState) this.audio.currentTime = here;
    this.settle();
    if (this.want === null) this.next = Math.round(this.bufferedEnd() / PART_S);
    await this.follow(run);
  }

  /** Go on after a pause, from where it stopped. */
  resume() {
    if (this.cut.signal.aborted) this.seek(this.audio.currentTime);
  }

  /** Stop asking; what is there can still be played. */
  stop() {
    this.run++;
    this.cut.abort();
  }

  /** The network changed or the machine woke: what is being asked now may never be answered. */
  hurry() {
    if (!this.cut.signal.aborted && Date.now() - this.heardAt > 1500) this.recut();
  }

  start() {
    this.recut();
    this.slack = [];
    return ++this.run;
  }

  recut() {
    this.cut.abort();
    this.cut = new AbortController();
  }

  /** @param {number} run */
  async follow(run) {
    while (run === this.run) {
      const { next, audio } = this;
      if (this.parts !== null && next >= this.parts) return this.finish();
      if (!this.live && this.bufferedEnd() - audio.currentTime > AHEAD_S) {
        await wait(500);
        continue;
      }
      const whole = next % SEGMENT === 0 && next + SEGMENT < this.count();
      const step = whole ? SEGMENT : this.live && next % this.step === 0 ? this.step : 1;
      const asked = Date.now();
      const answer = await this.ask(`${whole ? "seg" : step > 1 ? "wide" : "part"}/${next / step}.m4s`, run);
      if (!answer) continue;
      // Far behind: what was missed stays on the bar, the ear goes to now; if there is a now, which the edge knows.
      if (this.live && !audio.paused && (this.count() - next > 16 || this.bufferedEnd() - audio.currentTime > 8)) return this.join();
      this.next = next + step;
      if (this.live || this.next > this.newest.part) this.know(this.next);
      if (this.live) this.newest = { part: this.next, at: Date.now() };
      if (Date.now() - asked > 99) this.pace(); // it was waited for, so it is the newest
      await this.append(answer.bytes, run, false);
    }
  }

  /**
   * One object of the edge, asked for until it comes: short waits at first, never the same for two listeners.
   * Null when another run began, or when there is no such part because it is over.
   * @param {string} path
   * @param {number} run
   * @returns {Promise<{bytes: Uint8Array, headers: Headers} | null>}
   */
  async ask(path, run) {
    for (let tries = 0; run === this.run; tries++) {
      await this.naming; // by the connection that this question will take
      if (run !== this.run) break;
      const { cut } = this;
      // The edge holds a request for 12 s at most. The first time we doubt the line sooner: a live part is never that late.
      const patience = (tries || !this.live ? 13e3 : 4e3) + 3e3 * Math.random();
      const late = setTimeout(() => cut === this.cut && this.recut(), patience);
      let least = 0;
      try {
        const response = await fetch(this.base + path, { signal: cut.signal });
        const { headers } = response;
        if (response.ok) {
          const bytes = new Uint8Array(await response.arrayBuffer());
          if (run !== this.run) break;
          this.heardAt = Date.now();
          this.tell.trouble(false);
          // When a connection breaks, browsers ask again on another by themselves and tell nobody; only their timing shows it.
          for (const one of /** @type {PerformanceResourceTiming[]} */ (performance.getEntriesByType("resource")))
            if (one.name.startsWith(this.base) && one.connectStart > one.fetchStart) this.moved = true;
          performance.clearResourceTimings();
          if (this.moved && this.sid && !path.endsWith(this.sid))
            this.naming = fetch(`${this.base}../here${this.sid}`, { signal: AbortSignal.timeout?.(3e3) }).catch(() => {});
          this.moved = false;
          return { bytes, headers };
        }
        if (headers.has("Rostra-Ended") && run === this.run) {
          const all = Number(headers.get("Rostra-Next"));
          if (all || !path.startsWith("join")) this.parts = all || (this.parts ?? this.next);
          this.tell.over();
          return null;
        }
        least = Math.min(5, Number(headers.get("Retry-After")) || 0) * 1000;
      } catch {
        // Refused, reset or too late: the same answer to all of them.
        this.moved = true;
      } finally {
        clearTimeout(late);
      }
      if (tries > 2 && run === this.run) this.tell.trouble(true);
      await wait(least + Math.min(1500, 200 * 1.5 ** tries) * (0.5 + Math.random()));
    }
    return null;
  }

  /** Hold the ear where the next part comes just in time: nudge where it drifts, skip silence where it fell behind. */
  pace() {
    const { audio } = this;
    if (!this.live || audio.paused || audio.seeking || this.want !== null) return;
    const here = audio.currentTime;
    const end = this.bufferedEnd();
    const slack = end - here; // what was left to hear when the part came
    // Behind by more than a moment: silence is skipped first, since nobody misses it.
    const loud = this.said.find((one) => one.at > here && one.now.level > QUIET_DBFS)?.at ?? end;
    const to = this.level > QUIET_DBFS ? here : Math.min(loud, end) - 0.5;
    if (slack > 1.2 && to > here + 0.3) {
      this.slack = [];
      audio.currentTime = to;
      return;
    }
    this.slack.push(slack);
    if (this.slack.length > 6) this.slack.shift();
    const least = Math.min(...this.slack);
    const rate = audio.playbackRate;
    const margin = (this.margin = Math.max(MARGIN_S, this.margin - 0.002));
    if (rate > 1 ? slack < margin + 0.04 : rate < 1 && slack > margin) audio.playbackRate = 1;
    else if (least > margin + 0.16) audio.playbackRate = least > 1.2 ? 1.1 : 1.05;
    else if (slack < margin - 0.14) audio.playbackRate = 0.96;
  }

  /**
   * @param {Uint8Array} bytes
   * @param {number} run
   * @param {boolean} whole whether they begin with the init segment
   */
  async append(bytes, run, whole) {
    const { messages, t0 } = alongside(bytes);
    this.t0 = t0 ?? this.t0;
    this.said = [...this.said, ...messages].sort((a, b) => a.at - b.at).slice(-400);
    const buffer = await this.open();
    if (!whole && !this.begun) {
      const init = await this.ask("init.mp4", run);
      if (!init) return;
      await this.put(buffer, init.bytes);
    }
    this.begun = true;
    await this.put(buffer, bytes);
    if (run !== this.run) return;
    this.settle();
    const edge = (this.want ?? this.audio.currentTime) - BEHIND_S;
    const { buffered } = buffer;
    if (buffered.length && buffered.start(0) < edge) await this.drop(buffer, 0, edge + 10);
  }

  /**
   * @param {SourceBuffer} buffer
   * @param {Uint8Array} bytes
   */
  async put(buffer, bytes) {
    for (let tries = 0; ; tries++)
      try {
        buffer.appendBuffer(/** @type {BufferSource} */ (bytes));
        return await settled(buffer);
      } catch (wrong) {
        if (/** @type {Error} */ (wrong).name !== "QuotaExceededError" || tries > 2) return this.reopen();
        // The browser has no more room for sound: what was heard goes first, then what is far ahead.
        const here = this.audio.currentTime;
        await this.drop(buffer, 0, Math.max(0.01, here - 5));
        if (tries) await this.drop(buffer, here + 10, Infinity);
      }
  }

  /**
   * @param {SourceBuffer} buffer
   * @param {number} from
   * @param {number} to
   */
  async drop(buffer, from, to) {
    buffer.remove(from, to);
    await settled(buffer);
  }

  /** The place that takes the bytes; made anew where the browser closed it. @returns {Promise<SourceBuffer>} */
  open() {
    if (!this.buffer) {
      const source = (this.source = new /** @type {typeof MediaSource} */ (Source)());
      source.addEventListener("sourceclose", () => {
        if (this.source === source) this.buffer = undefined;
      });
      this.begun = false;
      this.buffer = new Promise((done) => {
        source.addEventListener("sourceopen", () => done(source.addSourceBuffer(KIND)), { once: true });
      });
      this.audio.disableRemotePlayback = true; // without it the managed kind does not open
      this.audio.src = URL.createObjectURL(source);
    }
    return this.buffer;
  }

  /** The browser gave up on the sound: begin again where the ear was. */
  async reopen() {
    if (!this.buffer) return;
    const { audio, live } = this;
    const here = this.want ?? audio.currentTime;
    const playing = !audio.paused;
    this.buffer = undefined;
    this.stop();
    await wait(300 + 400 * Math.random());
    if (live) this.join();
    else this.seek(here);
    if (playing) audio.play().catch(() => {});
  }

  /** All of it is here. Nobody is behind any more, and who wanted to be beyond the end is at the end. */
  finish() {
    this.audio.playbackRate = 1;
    if (this.parts && (this.want ?? 0) > this.parts * PART_S - 0.1) return this.seek(Infinity);
    if (this.source?.readyState === "open") this.source.endOfStream();
    this.cut.abort();
  }

  /** Go where the ear should be, once that is buffered; and step over a hole rather than wait before it for ever. */
  settle() {
    const { audio, want } = this;
    const { buffered, currentTime } = audio;
    for (let i = 0; i < buffered.length; i++) {
      const start = buffered.start(i);
      if (want !== null) {
        if (start > want + 0.1 || buffered.end(i) < want + 0.05) continue;
        this.want = null;
        audio.currentTime = Math.max(want, start);
        return;
      }
      const hole = start - currentTime;
      if (want === null && hole > 0 && (hole < 1 || this.live) && audio.readyState < 3 && this.bufferedEnd() - currentTime < 0.05) {
        audio.currentTime = start + 0.01;
        return;
      }
    }
  }

  stalled() {
    if (!this.started || this.audio.seeking || this.audio.paused || this.want !== null) return;
    this.stalledAt = Date.now();
    this.margin = Math.min(1.2, this.margin + 0.2); // a line that did this once may do it again; forgotten within minutes
  }

  /** Call a few times a second: says what is true at the moment that is heard now. */
  tick() {
    const here = this.audio.currentTime;
    let due;
    while (this.said.length && this.said[0].at <= here) due = this.said.shift();
    if (due && here - due.at < 2 * PART_S) {
      this.level = due.now.level;
      this.tell.now(due.now);
    }
    if (this.stalledAt && Date.now() - this.stalledAt > 1500) this.tell.trouble(true);
  }
}

/** @param {SourceBuffer} buffer */
const settled = (buffer) =>
  new Promise((done, fail) => {
    buffer.addEventListener("updateend", done, { once: true });
    buffer.addEventListener("error", fail, { once: true });
  });
