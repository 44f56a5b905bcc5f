/** A worker of its own: opens pictures, draws them anew and takes films' records out, so that the page stays free. */
import type { Asked, Answered } from './prepared';
import { drawnAnew } from './drawing';
import { withoutRecords } from './film';

const answer = async (asked: Asked): Promise<Answered['done']> =>
  asked.what === 'picture' ? { picture: await drawnAnew(asked.file) } : { film: await withoutRecords(asked.file) };

self.onmessage = ({ data }: MessageEvent<Asked>) => {
  answer(data).then(
    (done) => self.postMessage({ id: data.id, done } satisfies Answered),
    // The file is what is at fault, whatever the browser says of it; the page has a sentence for that.
    () => self.postMessage({ id: data.id, done: null } satisfies Answered),
  );
};
