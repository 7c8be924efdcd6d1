// The microphone: which one, how loud it is, and what it sounds like.

export class Mic {
  constructor() {
    /** @type {MediaStream | null} */
    this.stream = null;
    /** @type {AudioContext | null} */
    this.context = null;
    /** @type {AnalyserNode | null} */
    this.ear = null;
    this.samples = new Float32Array(1024);
    this.device = "";
    this.processed = false;
    /** Called when the microphone was unplugged or taken away. */
    this.lost = () => {};
  }

  get track() {
    return this.stream?.getAudioTracks()[0] ?? null;
  }

  /**
   * Open a microphone; the one in use is given back. Speech processing is the browser's unless the sound comes processed.
   * @param {string} device its id, or "" for the system's choice
   * @param {boolean} processed
   */
  async open(device, processed) {
    const clean = !processed;
    const stream = await navigator.mediaDevices.getUserMedia({
      audio: {
        ...(device ? { deviceId: { exact: device } } : {}),
        echoCancellation: clean,
        noiseSuppression: clean,
        autoGainControl: clean,
        channelCount: 1,
        sampleRate: 48_000,
      },
    });
    this.close();
    this.stream = stream;
    this.device = this.track?.getSettings().deviceId ?? device;
    this.processed = processed;
    this.track?.addEventListener("ended", () => this.stream === stream && this.lost());
    this.context ??= new AudioContext();
    this.ear = this.context.createAnalyser();
    this.ear.fftSize = this.samples.length;
    this.context.createMediaStreamSource(stream).connect(this.ear);
    this.wake();
  }

  /** Browsers let a page hear only after a press. */
  wake() {
    if (this.context?.state === "suspended") this.context.resume().catch(() => {});
  }

  close() {
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.stream = null;
  }

  /** RMS of the last 20 ms or so, dBFS; -100 for silence. */
  level() {
    if (!this.ear || !this.stream) return -100;
    this.ear.getFloatTimeDomainData(this.samples);
    let sum = 0;
    for (const one of this.samples) sum += one * one;
    return Math.max(-100, 10 * Math.log10(sum / this.samples.length + 1e-10));
  }

  /** @returns {Promise<{id: string, name: string}[]>} */
  async devices() {
    const all = await navigator.mediaDevices.enumerateDevices();
    return all
      .filter((one) => one.kind === "audioinput" && one.deviceId)
      .map((one, i) => ({ id: one.deviceId, name: one.label || `Microphone ${i + 1}` }));
  }

  /**
   * Record for a moment and play it back. Resolves with the loudest level when it was played.
   * @param {number} seconds
   * @param {() => void} playing called between the two
   */
  async echo(seconds, playing) {
    if (!this.stream) return -100;
    const recorder = new MediaRecorder(this.stream);
    /** @type {Blob[]} */
    const pieces = [];
    let loudest = -100;
    recorder.ondataavailable = (event) => pieces.push(event.data);
    const stopped = new Promise((done) => (recorder.onstop = done));
    recorder.start();
    const watch = setInterval(() => (loudest = Math.max(loudest, this.level())), 50);
    await new Promise((done) => setTimeout(done, seconds * 1000));
    clearInterval(watch);
    recorder.stop();
    await stopped;
    const address = URL.createObjectURL(new Blob(pieces, { type: recorder.mimeType }));
    const audio = new Audio(address);
    playing();
    await new Promise((done) => {
      audio.onended = audio.onerror = done;
      audio.play().catch(done);
    });
    URL.revokeObjectURL(address);
    return loudest;
  }
}
