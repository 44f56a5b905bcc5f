/**
 * A new row and all that it changes in its room, gathered into one transaction: the row that an edit, a delete or a
 * reaction is about, what was waiting for this row, and the line of the chat list.
 */
import { decodeContent } from '../protocol/content';
import { shownOf as partsShown } from '../protocol/attachments';
import { kindOf } from './attachments/kinds';
import { baseOf, effectOf, fold, hidden, shownOf, threadAfter, type Effect, type Outcome } from './effects';
import type { Write } from './home';
import { padded, type HeldEffect, type Hold, type KeptMessage, type LastRecord, type MessageRecord, type Thread } from './records';
import { isOver } from './over';
import type { Vault } from './vault';

const DAY_MS = 24 * 3600 * 1000;
/** How long what its sender deleted stays reportable on this device, and shown nowhere (franking section 7). */
export const DELETED_KEPT_MS = 7 * DAY_MS;
/** Effects of one sender that wait for their target in one room: so many, so long. Nobody takes the places of others. */
export const MOST_HELD = 64;
export const HELD_MS = 7 * DAY_MS;
/** Effects that name effects, followed so far. */
const LONGEST_WAY = 16;

interface Stored { key: string; row: MessageRecord }

export class Folding {
  readonly #rows = new Map<string, MessageRecord>();
  readonly #places = new Map<string, string>();
  readonly #writes: Write[] = [];
  readonly #holds = new Map<string, Map<string, Hold>>();
  /** Who tried to change what is not theirs. */
  readonly foreign = new Set<string>();

  constructor(private readonly vault: Vault, private readonly room: string, private readonly now: number, public thread: Thread) {}

  /** A row that arrived, or that the server accepted. */
  async add(key: string, row: MessageRecord): Promise<void> {
    this.#rows.set(key, row);
    if (row.content) {
      this.#places.set(row.id, key);
      this.#writes.push(await this.vault.put('meta', `mid/${row.id}`, key));
    }
    if (row.kind === 'text' || row.kind === 'unsupported') this.thread = { ...this.thread, last: lineOf(row) };
    if (row.kind === 'effect') await this.#settle({ key, row });
    if (row.content) await this.#release(row.id);
  }

  async writes(): Promise<Write[]> {
    return [...this.#writes, ...(await Promise.all([...this.#rows].map(([key, row]) => this.vault.put('messages', key, row))))];
  }

  /** A row of this room; words of another are out of reach. */
  async #at(id: string): Promise<Stored | null> {
    const key = this.#places.get(id) ?? (await this.vault.get<string>('meta', `mid/${id}`));
    if (key === null || !key.startsWith(`${this.room}/`)) return null;
    const row = this.#rows.get(key) ?? (await this.vault.get<MessageRecord>('messages', key));
    return row && { key, row };
  }

  async #settle({ key, row }: Stored): Promise<void> {
    if (row.content === null || isOver(row, this.now)) return;
    const effect = effectOf(decodeContent(row.content));
    if (effect === null) return;
    const via = await this.#at(effect.target);
    if (via === null) return this.#hold(effect.target, key, row);
    const baseId = baseOf(via.row);
    const base = baseId === null ? null : await this.#at(baseId);
    if (base === null) {
      // Named is a reaction or an edit that waits itself, or something that nothing can be done to.
      const awaited = await this.#awaited(via.row);
      return awaited === null ? undefined : this.#hold(awaited, key, row);
    }
    const outcome = fold(row, effect, via.row, base.row);
    const known: MessageRecord = { ...row, effect: outcome.verdict === 'done' ? resolved(effect, row, via.row, base.row) : { what: 'none' } };
    this.#rows.set(key, known);
    await this.#apply({ key, row: known }, base, outcome);
  }

  /** The first message that is not here, on the way from an unsettled effect to what it changes. */
  async #awaited(via: MessageRecord): Promise<string | null> {
    for (let steps = 0; steps < LONGEST_WAY; steps++) {
      const target = waitsFor(via);
      const found = target === null ? null : await this.#at(target);
      if (found === null) return target;
      via = found.row;
    }
    return null;
  }

  async #apply(by: Stored, base: Stored, outcome: Outcome): Promise<void> {
    if (outcome.verdict === 'foreign') this.foreign.add(by.row.sender);
    if (outcome.verdict === 'buried') await this.#putAway(by, DELETED_KEPT_MS);
    if (outcome.verdict !== 'done') return;
    if (outcome.what === 'delete') await this.#putAway(base, DELETED_KEPT_MS);
    const after = outcome.what === 'edit' ? await this.#reworded(outcome.base, outcome.over) : outcome.base;
    this.#rows.set(base.key, after);
    this.thread = threadAfter(this.thread, by.row, { ...outcome, base: after });
  }

  /** Says what the newest edit that counts says, and has its files; what counts no longer is shown nowhere. */
  async #reworded({ files: _before, ...base }: MessageRecord, over: readonly string[]): Promise<MessageRecord> {
    for (const one of await Promise.all(over.map((id) => this.#at(id)))) if (one) await this.#putAway(one, DELETED_KEPT_MS);
    const newest = (await this.#at(base.edits!.at(-1)!.id))!.row;
    const content = decodeContent(newest.content!);
    const files = partsShown(content).files.map(kindOf);
    return { ...base, ...shownOf(content), ...(files.length > 0 ? { files } : {}) };
  }

  /** A message and its edits leave the thread and stay reportable for a while; in their places stay empty rows. */
  async #putAway({ key, row }: Stored, keptMs: number): Promise<void> {
    const edits = await Promise.all((row.edits ?? []).map(({ id }) => this.#at(id)));
    for (const one of [{ key, row }, ...edits]) {
      if (one === null || one.row.content === null || one.row.seq === null) continue;
      const kept: KeptMessage = { message: one.row, untilMs: this.now + keptMs };
      this.#writes.push(await this.vault.put('reports', `${this.room}/${padded(one.row.seq)}`, kept));
      this.#rows.set(one.key, hidden(one.row));
    }
  }

  /** Deletes a message on this device only. */
  async hide(key: string, row: MessageRecord, keptMs: number): Promise<void> {
    await this.#putAway({ key, row }, keptMs);
    this.#rows.set(key, hidden(row));
  }

  async #hold(target: string, key: string, row: MessageRecord): Promise<void> {
    const held = await this.#heldOf(row.sender);
    for (const [place, { untilMs }] of held) if (untilMs < this.now) this.#letGo(held, place);
    if (held.size >= MOST_HELD) return;
    const hold: Hold = { at: `held/${this.room}/${target}/${padded(row.seq!)}`, untilMs: this.now + HELD_MS };
    const place = this.#placeOf(row);
    held.set(place, hold);
    this.#writes.push(
      await this.vault.put('meta', hold.at, { key, untilMs: hold.untilMs } satisfies HeldEffect), await this.vault.put('meta', place, hold));
  }

  #placeOf({ sender, seq }: MessageRecord): string {
    return `holds/${this.room}/${sender}/${padded(seq!)}`;
  }

  /** What waits of one sender, as it will be once this is written. */
  async #heldOf(sender: string): Promise<Map<string, Hold>> {
    const known = this.#holds.get(sender);
    if (known) return known;
    const stored = await this.vault.range<Hold>('meta', { prefix: `holds/${this.room}/${sender}/`, limit: MOST_HELD });
    const held = new Map(stored.map(({ key, value }) => [key, value]));
    this.#holds.set(sender, held);
    return held;
  }

  #letGo(held: Map<string, Hold>, place: string): void {
    this.#writes.push(this.vault.remove('meta', held.get(place)!.at), this.vault.remove('meta', place));
    held.delete(place);
  }

  /** What waited for this row, in the order in which it was said. */
  async #release(id: string): Promise<void> {
    for (const { key, value } of await this.vault.range<HeldEffect>('meta', { prefix: `held/${this.room}/${id}/` })) {
      this.#writes.push(this.vault.remove('meta', key));
      const row = await this.vault.get<MessageRecord>('messages', value.key);
      if (row === null) continue;
      const held = await this.#heldOf(row.sender);
      if (held.has(this.#placeOf(row))) this.#letGo(held, this.#placeOf(row));
      if (value.untilMs >= this.now) await this.#settle({ key: value.key, row });
    }
  }
}

export const lineOf = ({ id, text, mine, atMs, kind, files }: MessageRecord): LastRecord => ({
  id, text, mine, atMs, kind, ...(files ? { files } : {}),
});

/** What an unsettled effect names; null when nothing can be done to it. */
function waitsFor(via: MessageRecord): string | null {
  if (via.kind !== 'effect' || via.effect !== undefined || via.content === null) return null;
  const effect = effectOf(decodeContent(via.content));
  return effect === null || effect.what === 'withdraw' ? null : effect.target;
}

function resolved(effect: Effect, row: MessageRecord, via: MessageRecord, base: MessageRecord): NonNullable<MessageRecord['effect']> {
  if (effect.what === 'edit') return { what: 'edit', base: base.id };
  if (effect.what === 'react') return { what: 'react', base: base.id, first: via.effect?.what === 'react' ? via.effect.first : row.id };
  return { what: 'none' };
}
