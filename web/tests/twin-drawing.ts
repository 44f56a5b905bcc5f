/** What the screens work out of a message before they draw it: with anything that can be said, it ends, and soon. */
import type { Message } from '../src/engine/contract';
import { pieces } from '../src/ui/links';
import { shownName } from '../src/ui/media/names';
import { hue, initial } from '../src/ui/names';
import { rows } from '../src/ui/thread-rows';
import { clock, date, month } from '../src/ui/time';

/** Works out everything; throws when something cannot be. */
export function drawn(messages: readonly Message[]): void {
  rows(messages, null, true);
  for (const { at_ms } of messages) [clock, date, month].forEach((said) => said(at_ms));
  for (const { text, files, sender_name, sender, reply_to } of messages) {
    const plain = pieces(text);
    if (plain.every(({ kind }) => kind === 'text') && plain.map((one) => (one.kind === 'text' ? one.text : '')).join('') !== text) throw new Error('words were lost');
    pieces(reply_to?.text ?? '');
    for (const { name, alt } of files) [shownName(name), shownName(alt)].forEach((one) => { if (one.length > 400) throw new Error('a name is too long'); });
    initial(sender_name || text);
    hue(sender);
  }
}
