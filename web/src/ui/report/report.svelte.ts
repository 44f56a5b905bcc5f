/** A report on its way: three steps, nothing sent before the last tap of the second. */
import type { ReportCategory, ReportPreview } from '../../engine/contract';
import type { Key } from '../../i18n';
import { Deed } from '../deed.svelte';
import type { Kith, Person } from '../kith.svelte';
import { Resource } from '../resource.svelte';

export const CATEGORIES: readonly { id: ReportCategory; label: Key }[] = [
  { id: 'sexual', label: 'report.sexual' },
  { id: 'impersonation', label: 'report.impersonation' },
  { id: 'scam', label: 'report.scam' },
  { id: 'bullying', label: 'report.bullying' },
  { id: 'drugs_weapons', label: 'report.drugs_weapons' },
  { id: 'other', label: 'report.other' },
];
export const NOTE_LENGTH = 1000;

export class Report {
  step = $state<'category' | 'preview' | 'sent'>('category');
  category = $state<ReportCategory>('other');
  minorInvolved = $state(false);
  note = $state('');
  first = $state(false);
  readonly deed = new Deed();
  readonly preview: Resource<ReportPreview>;
  readonly #about: { account: string; room: string | null; message?: string };

  constructor(private readonly kith: Kith, readonly person: Person, message: string | undefined) {
    this.#about = { account: person.account, room: person.room, ...(message === undefined ? {} : { message }) };
    this.preview = new Resource(() => kith.engine.call('report_preview', this.#about));
  }

  choose(category: ReportCategory): void {
    this.category = category;
    this.step = 'preview';
    void this.preview.load();
  }

  async send(): Promise<void> {
    const sent = await this.deed.run(async () => {
      const { first } = await this.kith.engine.call('report', {
        ...this.#about, category: this.category, minor_involved: this.minorInvolved, note: this.note.trim(),
      });
      this.first = first;
    });
    if (sent) this.step = 'sent';
  }
}
