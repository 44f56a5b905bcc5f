/** The bars of a voice note: how loud it is, from its beginning to its end. */

export const BARS = 64;

/** `count` bars of 1 to 255, the loudest part of each stretch, with the loudest of all at the top. Silence is flat. */
export function bars(samples: ArrayLike<number>, count = BARS): Uint8Array {
  const peaks = Array.from({ length: count }, (_, bar) => {
    let peak = 0;
    const end = Math.floor(((bar + 1) * samples.length) / count);
    for (let at = Math.floor((bar * samples.length) / count); at < end; at++) peak = Math.max(peak, Math.min(1, Math.abs(samples[at]!) || 0));
    return peak;
  });
  const loudest = Math.max(...peaks, 0.02); // the noise of a silent room is not blown up
  return Uint8Array.from(peaks, (peak) => Math.max(1, Math.round((Math.min(peak, loudest) / loudest) * 255)));
}

/** The bars that are drawn: `count` of them whatever a sender sent, each 0 to 1. Without any, a flat line. */
export function drawnBars(waveform: Uint8Array | null, count: number): number[] {
  if (!waveform || waveform.length === 0) return Array.from({ length: count }, () => 0.1);
  return Array.from({ length: count }, (_, bar) => Math.max(0.08, waveform[Math.floor((bar * waveform.length) / count)]! / 255));
}
