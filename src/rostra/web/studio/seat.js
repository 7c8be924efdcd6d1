// One seat on the stage: our microphone there, everybody else's sound back. Kept for as long as it is wanted.
import { Refused, pause, said, wait } from "./feed.js";

const CONNECT_MS = 11_000; // a whole attempt: longer than the first may take if each step of it takes all its time
const LEARN_MS = 1000; // which servers help through firewalls, where that is not known yet
const GATHER_MS = 1000;
const ANSWER_MS = 5000; // the stage's answer to the first attempt, longer for later ones: a dead line must not hold us
const ICE_MS = 3000; // from there to a connection, longer for later ones too
const LOST_MS = 2500; // "disconnected" mends itself often; longer than this it does not
const QUIET_MS = 1500; // the others' sound comes 50 times a second, silence too

export class Seat {
  /**
   * @param {string} address where sessions are made
   * @param {string} key
   * @param {HTMLAudioElement} speaker plays the others
   * @param {(what: "away" | "joining" | "on" | "lost" | "elsewhere", why?: string) => void} tell
   */
  constructor(address, key, speaker, tell) {
    this.address = address;
    this.key = key;
    this.speaker = speaker;
    this.tell = (/** @type {Parameters<typeof tell>} */ ...news) => {
      try {
        tell(...news);
      } catch (wrong) {
        reportError(wrong); // what goes wrong on the page must not cost the seat
      }
    };
    this.wanted = false;
    /** @type {MediaStreamTrack | null} */
    this.track = null;
    /** @type {RTCPeerConnection | null} */
    this.peer = null;
    this.session = "";
    this.cut = new AbortController(); // of the attempt under way
    this.busy = false;
    this.hurry = new AbortController(); // the next attempt shall not wait
    this.connectedAt = 0;
    this.closedByStage = false;
    this.seated = false; // as the stage last said
    this.line = false; // whether the stage is telling us anything
    this.doubt = false; // it fell silent since: what it says next of our seat counts at once
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.again = undefined;
    /** @type {RTCIceServer[] | null} */
    this.ice = null; // not known yet
    addEventListener("online", () => (this.on ? this.listen() : this.drop()));
    addEventListener("pagehide", () => this.hangUp());
  }

  get on() {
    return this.peer?.connectionState === "connected" && !this.closedByStage;
  }

  /** Ask for the servers that help through firewalls, while we do not know them. On one network it works without. */
  async learn() {
    if (this.ice) return;
    try {
      const response = await fetch(`${this.address}/ice`, {
        headers: { Authorization: `Bearer ${this.key}` },
        signal: AbortSignal.timeout(10_000),
      });
      if (response.ok) this.ice = (await response.json()).iceServers;
    } catch {
      // The next attempt asks again.
    }
  }

  /** Take the seat, and keep taking it until `leave`. @param {MediaStreamTrack} track */
  take(track) {
    this.wanted = true;
    this.use(track);
    this.keep();
  }

  /** Speak through another microphone; nobody notices. @param {MediaStreamTrack} track */
  use(track) {
    this.track = track;
    this.peer?.getSenders()[0]?.replaceTrack(track).catch(() => this.drop());
  }

  /** @param {boolean} [say] whether the stage needs to be told */
  leave(say = true) {
    this.wanted = false;
    if (say) this.hangUp();
    this.session = "";
    this.close();
    this.tell("away");
  }

  /** Whether the stage is telling us anything at all. @param {boolean} line */
  hears(line) {
    this.line = line;
    this.doubt ||= !line;
  }

  /** What the stage says of our seat: the one sign that outlives the connection. @param {boolean} seated */
  seen(seated) {
    this.seated = seated;
    const { doubt } = this;
    this.doubt = false;
    clearTimeout(this.again);
    if (!this.wanted || this.busy || seated) return;
    if (doubt) return this.drop();
    // While one connection takes over from another the seat is empty for a moment; and of a new one it may not know yet.
    const fresh = performance.now() - this.connectedAt < 3000;
    this.again = setTimeout(() => this.seated || this.busy || this.drop(), fresh ? 3000 : 800);
  }

  /** Give up this connection, or the attempt at one; the next begins at once. */
  drop() {
    if (!this.wanted) return;
    this.hurry.abort();
    this.close();
    this.keep();
  }

  /** The network came back, perhaps another one: a connection that brings nothing now is dead, whatever it says. */
  async listen() {
    const { peer } = this;
    const before = await packets(peer);
    await wait(QUIET_MS);
    if (this.peer === peer && this.on && (await packets(peer)) === before) this.drop();
  }

  async keep() {
    if (this.busy) return;
    this.busy = true;
    try {
      for (let tries = 0; this.wanted && !this.on; tries = this.hurry.signal.aborted ? 0 : tries + 1) {
        this.hurry = new AbortController();
        this.tell(tries || this.connectedAt ? "lost" : "joining");
        try {
          await this.connect(tries);
        } catch (wrong) {
          this.close();
          if (wrong instanceof Refused) {
            this.wanted = false;
            this.tell("away", wrong.message);
            break;
          }
          await pause(tries, this.hurry.signal);
        }
      }
    } finally {
      this.busy = false;
    }
  }

  /** One attempt, over when it succeeds, fails, is late, or is given up. @param {number} tries */
  async connect(tries) {
    const cut = (this.cut = new AbortController());
    const late = setTimeout(() => cut.abort(), CONNECT_MS);
    // A connection closed in the middle of setLocalDescription leaves that promise open for ever, as WebRTC wants it.
    const over = new Promise((_, fail) => cut.signal.addEventListener("abort", () => fail(new Error("given up"))));
    try {
      await Promise.race([this.attempt(cut, tries), over]);
    } finally {
      clearTimeout(late);
    }
  }

  /** @param {AbortController} cut @param {number} tries */
  async attempt(cut, tries) {
    if (!this.ice) await Promise.race([this.learn(), wait(LEARN_MS)]);
    if (cut.signal.aborted) throw new Error("given up");
    const peer = (this.peer = new RTCPeerConnection({ iceServers: this.ice ?? [], bundlePolicy: "max-bundle" }));
    this.closedByStage = false;
    const { sender } = peer.addTransceiver(/** @type {MediaStreamTrack} */ (this.track), { direction: "sendrecv" });
    peer.ontrack = ({ track }) => {
      this.speaker.srcObject = new MediaStream([track]);
      this.speaker.play().catch(() => {});
    };
    await peer.setLocalDescription();
    const gathered = new Promise((done) => (peer.onicegatheringstatechange = () => peer.iceGatheringState === "complete" && done(0)));
    await Promise.race([gathered, wait(GATHER_MS)]);
    const slow = setTimeout(() => cut.abort(), ANSWER_MS * (1 + tries));
    const response = await fetch(this.address, {
      method: "POST",
      headers: { Authorization: `Bearer ${this.key}`, "Content-Type": "application/sdp" },
      body: peer.localDescription?.sdp,
      signal: cut.signal,
    });
    if (response.status !== 201) {
      const why = await said(response);
      if (response.status < 500 && response.status !== 409 && response.status !== 429) throw new Refused(response.status, why);
      throw new Error(why);
    }
    this.session = new URL(response.headers.get("Location") ?? "", new URL(this.address, location.href)).pathname;
    const answer = await response.text();
    clearTimeout(slow);
    await peer.setRemoteDescription({ type: "answer", sdp: answer });
    const dead = setTimeout(() => cut.abort(), ICE_MS * (1 + tries));
    await this.connected(peer, cut.signal);
    clearTimeout(dead);
    this.connectedAt = performance.now();
    this.doubt = false; // what was in doubt was the connection before
    this.watch(peer, sender);
    this.tell("on");
  }

  /** @param {RTCPeerConnection} peer @param {AbortSignal} cut @returns {Promise<void>} */
  connected(peer, cut) {
    return new Promise((done, fail) => {
      const look = () => {
        if (peer.connectionState === "connected") done();
        if (peer.connectionState === "failed" || cut.aborted) fail(new Error("no connection"));
      };
      cut.addEventListener("abort", look);
      peer.onconnectionstatechange = look;
      look();
    });
  }

  /** @param {RTCPeerConnection} peer @param {RTCRtpSender} sender */
  watch(peer, sender) {
    const ours = () => this.peer === peer;
    peer.onconnectionstatechange = () => {
      if (!ours()) return;
      if (peer.connectionState === "failed" || peer.connectionState === "closed") this.drop();
      if (peer.connectionState === "disconnected") {
        this.tell("lost");
        setTimeout(() => ours() && peer.connectionState === "disconnected" && this.drop(), LOST_MS);
      }
      if (peer.connectionState === "connected") this.tell("on");
    };
    sender.transport?.addEventListener("statechange", () => {
      if (!ours() || sender.transport?.state !== "closed") return;
      // Closed on purpose. If the stage goes on telling and the seat is still taken, then by another page with our link.
      this.closedByStage = true;
      setTimeout(() => {
        if (!ours() || this.busy || !this.wanted) return;
        if (!this.line || !this.seated) return this.drop();
        this.wanted = false;
        this.close();
        this.tell("elsewhere");
      }, 1200);
    });
  }

  /** Tell the stage that we go; it would find out later by itself. */
  hangUp() {
    if (!this.session) return;
    fetch(this.session, { method: "DELETE", headers: { Authorization: `Bearer ${this.key}` }, keepalive: true }).catch(() => {});
    this.session = "";
  }

  close() {
    this.cut.abort();
    this.peer?.close();
    this.peer = null;
  }
}

/** How many have come in. @param {RTCPeerConnection | null} peer */
async function packets(peer) {
  let count = 0;
  for (const one of (await peer?.getStats())?.values() ?? []) if (one.type === "inbound-rtp") count += one.packetsReceived;
  return count;
}
