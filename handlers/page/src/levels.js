/** How loud streams are. All meters of the page share one audio context, which only a gesture of the person starts. */

/** @type {AudioContext | null} */
let context = null;

function shared() {
  context ??= new AudioContext();
  return context;
}

/** To be called on a click or a key. */
export function wakeMeters() {
  if (shared().state === "suspended") shared().resume().catch(() => {});
}

/** A level from 0 (silence) to 1 of one stream. */
export class Meter {
  /** @param {MediaStream} stream a remote one has to be played by an element too, or it is silent here */
  constructor(stream) {
    this.source = shared().createMediaStreamSource(stream);
    this.analyser = new AnalyserNode(shared(), { fftSize: 1024, smoothingTimeConstant: 0 });
    this.source.connect(this.analyser);
    this.samples = new Float32Array(this.analyser.fftSize);
  }

  read() {
    this.analyser.getFloatTimeDomainData(this.samples);
    return level(this.samples);
  }

  close() {
    this.source.disconnect();
  }
}

/**
 * Root mean square on a scale of decibels: -60 dB and below is 0, -6 dB and above is 1.
 *
 * @param {ArrayLike<number>} samples
 */
export function level(samples) {
  let sum = 0;
  for (let i = 0; i < samples.length; i++) sum += samples[i] * samples[i];
  const decibels = 10 * Math.log10(sum / (samples.length || 1) + 1e-12);
  return Math.min(1, Math.max(0, (decibels + 60) / 54));
}

/** @param {number} value from 0 to 1 */
export function levelWords(value) {
  if (value < 0.2) return "silent";
  return value < 0.6 ? "quiet" : "loud";
}
