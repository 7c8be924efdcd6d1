// The seek bar: what was loud and what was quiet, from the levels on the record.

/** @typedef {{part_s: number, levels: number[], parts: number, turns: {seat: string, name: string, from_s: number, to_s: number}[]}} Levels */

/**
 * Draws the whole broadcast from 0 to `total` seconds: heard so far in ink, the rest paler; below it, who spoke.
 * @param {HTMLCanvasElement} canvas
 * @param {Levels} record
 * @param {{at: number, level: number}[]} fresh levels heard since the record was fetched
 * @param {number} here
 * @param {number} total
 */
export function draw(canvas, record, fresh, here, total) {
  const { width, height } = canvas.getBoundingClientRect();
  const dense = devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * dense)) canvas.width = Math.round(width * dense);
  if (canvas.height !== Math.round(height * dense)) canvas.height = Math.round(height * dense);
  const pen = canvas.getContext("2d");
  if (!pen || !width || !total) return;
  const style = getComputedStyle(canvas);
  const [ink, pale] = [style.color, style.outlineColor];
  pen.setTransform(dense, 0, 0, dense, 0, 0);
  pen.clearRect(0, 0, width, height);
  const step = 3;
  const columns = new Float32Array(Math.ceil(width / step));
  /** @param {number} from @param {number} to @param {number} dbfs */
  const mark = (from, to, dbfs) => {
    const tall = Math.min(1, Math.max(0, (dbfs + 55) / 45));
    const last = Math.min(columns.length - 1, Math.floor(((to / total) * width - 0.01) / step));
    for (let i = Math.floor(((from / total) * width) / step); i <= last; i++) columns[i] = Math.max(columns[i], tall);
  };
  const bin = record.levels.length ? (record.parts * record.part_s) / record.levels.length : 0;
  record.levels.forEach((dbfs, i) => mark(i * bin, (i + 1) * bin, dbfs));
  for (const one of fresh) mark(one.at, one.at + record.part_s, one.level);
  const room = height - 8;
  columns.forEach((tall, i) => {
    pen.fillStyle = i * step <= (here / total) * width ? ink : pale;
    const high = Math.max(1, tall * tall * room);
    pen.fillRect(i * step, (room - high) / 2, step - 1, high);
  });
  const seats = [...new Set(record.turns.map((turn) => turn.seat))];
  pen.fillStyle = ink;
  for (const turn of record.turns) {
    pen.globalAlpha = 1 / (1 + (seats.indexOf(turn.seat) % 3));
    pen.fillRect((turn.from_s / total) * width, height - 4, Math.max(1, ((turn.to_s - turn.from_s) / total) * width - 1), 3);
  }
  pen.globalAlpha = 1;
}
