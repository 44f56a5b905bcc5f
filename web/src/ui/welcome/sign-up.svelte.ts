/** The sign-up, step by step. Lives as long as the page: the ticket of the age step is never stored. */
import { t } from '../../i18n';
import { birthMonth, isRefused, rememberRefusal } from '../age';
import { Deed } from '../deed.svelte';
import { deviceName } from '../device-name';
import { codeOf } from '../errors';
import type { Kith } from '../kith.svelte';

/** The server takes the answer to the age question for an hour; a little less, so that it does not expire on the way. */
const TICKET_MS = 55 * 60_000;

export class SignUp {
  step = $state<'age' | 'terms' | 'details'>('age');
  refused = $state(isRefused(localStorage, Date.now()));
  year = $state('');
  month = $state('');
  handle = $state('');
  name = $state('');
  password = $state('');
  agreed = $state('');
  readonly deed = new Deed();
  #ticket = '';
  #ticketMs = 0;

  constructor(private readonly kith: Kith) {}

  async askAge(): Promise<void> {
    const born = birthMonth(this.year, this.month, new Date());
    if (!born) {
      this.deed.problem = t('age.problem');
      return;
    }
    const allowed = await this.deed.run(async () => {
      const { ticket } = await this.kith.engine.call('age', born).catch((error: unknown) => this.#refuse(error));
      this.#ticket = ticket;
      this.#ticketMs = Date.now();
    });
    if (!allowed) return;
    this.year = this.month = ''; // asked for once, kept nowhere
    this.step = 'terms';
  }

  #refuse(error: unknown): never {
    if (codeOf(error) === 'forbidden') {
      rememberRefusal(localStorage, Date.now());
      this.year = this.month = '';
      this.refused = true;
    }
    throw error;
  }

  #reset(): void {
    this.step = 'age';
    this.handle = this.name = this.password = this.#ticket = '';
  }

  agree(version: string): void {
    this.agreed = version;
    this.step = 'details';
  }

  async create(): Promise<void> {
    if (Date.now() - this.#ticketMs > TICKET_MS) {
      this.step = 'age';
      this.deed.problem = t('age.again');
      return;
    }
    this.kith.ceremony = { step: 'joining' };
    const made = await this.deed.run(async () => {
      const { me, recovery_code } = await this.kith.engine.call('sign_up', {
        ticket: this.#ticket,
        handle: this.handle.trim().replace(/^@/, ''),
        display_name: this.name.trim(),
        password: this.password,
        terms_version: this.agreed,
        device_name: deviceName(navigator.userAgent, (browser, system) => t('device.name', { browser, system })),
      });
      this.kith.madeIdentity(me, recovery_code);
    });
    if (made) return this.#reset();
    this.kith.ceremony = null;
    // The account may exist although the last step failed; the engine knows, and then offers to finish it.
    await this.kith.start();
  }
}
