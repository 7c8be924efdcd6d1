// One seat on the stage: our microphone there, everybody else's sound back. Kept for as long as it is wanted.
import { Refused, pause, said, wait } from "./feed.js";

const CONNECT_MS = 8000; // a whole attempt
const LOST_MS = 2500; // "disconnected" mends itself often; longer than this it does not

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
    this.tell = tell;
    this.wanted = false;
    /** @type {MediaStreamTrack | null} */
    this.track = null;
    /** @type {RTCPeerConnection | null} */
    this.peer = null;
    this.session = "";
    this.cut = new AbortController(); // of the attempt under way
    this.busy = false;
    this.connectedAt = 0;
    this.closedByStage = false;
    this.seated = false; // as the stage last said
    this.line = false; // whether the stage is telling us anything
    this.doubt = false; // it fell silent since: what it says next of our seat counts at once
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.again = undefined;
    /** @type {RTCIceServer[]} */
    this.ice = [];
    addEventListener("online", () => this.on || this.drop());
    addEventListener("pagehide", () => this.hangUp());
  }

  get on() {
    return this.peer?.connectionState === "connected" && !this.closedByStage;
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

  /** Give up this connection; the next one begins at once. */
  drop() {
    if (!this.wanted) return;
    this.close();
    this.keep();
  }

  async keep() {
    if (this.busy) return;
    this.busy = true;
    for (let tries = 0; this.wanted && !this.on; tries++) {
      this.tell(tries || this.connectedAt ? "lost" : "joining");
      try {
        await this.connect();
      } catch (wrong) {
        this.close();
        if (wrong instanceof Refused) {
          this.wanted = false;
          this.tell("away", wrong.message);
          break;
        }
        await pause(tries);
      }
    }
    this.busy = false;
  }

  async connect() {
    const peer = (this.peer = new RTCPeerConnection({ iceServers: this.ice, bundlePolicy: "max-bundle" }));
    const cut = (this.cut = new AbortController());
    const late = setTimeout(() => cut.abort(), CONNECT_MS);
    this.closedByStage = false;
    const { sender } = peer.addTransceiver(/** @type {MediaStreamTrack} */ (this.track), { direction: "sendrecv" });
    peer.ontrack = ({ track }) => {
      this.speaker.srcObject = new MediaStream([track]);
      this.speaker.play().catch(() => {});
    };
    await peer.setLocalDescription();
    const gathered = new Promise((done) => (peer.onicegatheringstatechange = () => peer.iceGatheringState === "complete" && done(0)));
    await Promise.race([gathered, wait(1000)]);
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
    await peer.setRemoteDescription({ type: "answer", sdp: await response.text() });
    await this.connected(peer, cut.signal);
    clearTimeout(late);
    this.connectedAt = performance.now();
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
