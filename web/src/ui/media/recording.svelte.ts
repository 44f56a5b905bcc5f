/** A voice note while it is made: asked for, recorded, paused, listened to. The microphone is let go of as soon as it ends. */
import type { Outgoing } from '../../engine/contract';
import { t } from '../../i18n';
import { bars } from './waveform';

const FORMS = ['audio/webm;codecs=opus', 'audio/mp4', 'audio/ogg;codecs=opus'];
const BITS_PER_SECOND = 32_000;
export const MOST_MINUTES = 10;
const TICK_MS = 200;
/** Enough to see how loud it is, a sixth of what a voice takes. */
const LOOKED_AT_HZ = 8000;

type State = 'idle' | 'asking' | 'recording' | 'paused' | 'ending' | 'ready' | 'refused';

export class Recording {
  state = $state<State>('idle');
  problem = $state<string | null>(null);
  /** Recorded so far. */
  ms = $state(0);
  full = $state(false);
  outgoing = $state.raw<Outgoing>();
  #recorder: MediaRecorder | null = null;
  #pieces: Blob[] = [];
  #since = 0;
  #before = 0;
  #ticking: ReturnType<typeof setInterval> | undefined;
  #over = false;

  /** Asks the browser for the microphone, which asks the person; only ever after her tap. */
  async start(): Promise<void> {
    const form = FORMS.find((one) => globalThis.MediaRecorder?.isTypeSupported(one));
    if (!form || !navigator.mediaDevices) return this.#refuse(t('voice.unreadable'));
    this.state = 'asking';
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1, echoCancellation: true, noiseSuppression: true } });
      if (this.#over) return stream.getTracks().forEach((track) => track.stop());
      this.#record(stream, form);
    } catch (error) {
      const missing = error instanceof DOMException && (error.name === 'NotFoundError' || error.name === 'NotReadableError');
      this.#refuse(missing ? t('voice.missing') : t('voice.refused'));
    }
  }

  pause(): void {
    this.#recorder?.pause();
    this.#before = this.#sofar();
    clearInterval(this.#ticking);
    this.state = 'paused';
  }

  more(): void {
    this.#recorder?.resume();
    this.#tick();
    this.state = 'recording';
  }

  stop(): void {
    if (this.state !== 'recording' && this.state !== 'paused') return;
    this.ms = this.state === 'recording' ? this.#sofar() : this.#before;
    clearInterval(this.#ticking);
    this.state = 'ending';
    this.#recorder?.stop();
  }

  /** Nothing of it is kept. */
  discard(): void {
    this.#over = true;
    clearInterval(this.#ticking);
    if (this.#recorder?.state !== 'inactive') this.#recorder?.stop();
    this.#letGo();
    this.#pieces = [];
    this.outgoing = undefined;
  }

  #record(stream: MediaStream, mimeType: string): void {
    const recorder = new MediaRecorder(stream, { mimeType, audioBitsPerSecond: BITS_PER_SECOND });
    this.#recorder = recorder;
    recorder.ondataavailable = ({ data }) => this.#pieces.push(data);
    recorder.onstop = () => void this.#ended(mimeType);
    recorder.onerror = () => this.stop();
    recorder.start(1000);
    this.#tick();
    this.state = 'recording';
  }

  #tick(): void {
    this.#since = performance.now();
    this.#ticking = setInterval(() => {
      this.ms = this.#sofar();
      if (this.ms < MOST_MINUTES * 60_000) return;
      this.full = true;
      this.stop();
    }, TICK_MS);
  }

  #sofar(): number {
    return this.#before + performance.now() - this.#since;
  }

  async #ended(mimeType: string): Promise<void> {
    this.#letGo();
    if (this.#over) return;
    const type = mimeType.split(';')[0]!;
    const bytes = new Blob(this.#pieces, { type });
    this.#pieces = [];
    try {
      const sound = await new OfflineAudioContext(1, 1, LOOKED_AT_HZ).decodeAudioData(await bytes.arrayBuffer());
      this.ms = Math.round(sound.duration * 1000);
      this.outgoing = {
        bytes, kind: 'voice', name: `voice.${type.slice('audio/'.length)}`, type, alt: '', width: null, height: null, thumbhash: null,
        duration_ms: this.ms, waveform: bars(sound.getChannelData(0)), poster: null,
      };
      this.state = 'ready';
    } catch {
      this.#refuse(t('voice.unreadable')); // nothing was recorded, or not in a form that this browser plays
    }
  }

  #refuse(problem: string): void {
    this.problem = problem;
    this.state = 'refused';
  }

  #letGo(): void {
    this.#recorder?.stream.getTracks().forEach((track) => track.stop());
  }
}
