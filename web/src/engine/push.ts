/** Whether this device is woken while Kith is closed, and which chats may not wake it. */
import type { Api } from './api';
import type { PushKeys } from './contract';
import type { Vault } from './vault';

/** meta/push: this device asked to be woken. */
interface Asked { on: true }

export class Push {
  constructor(private readonly api: Api, private readonly vault: Vault) {}

  async set(keys: PushKeys): Promise<void> {
    await this.api.setPush(keys);
    await this.vault.save('meta', 'push', { on: true } satisfies Asked);
    await this.api.quiet(await this.#muted());
  }

  async end(): Promise<void> {
    await this.api.endPush();
    await this.vault.write(this.vault.remove('meta', 'push'));
  }

  /** After a chat was muted or heard again. Who wants no waking has told nobody which chats are muted. */
  async keepQuiet(): Promise<void> {
    if ((await this.vault.get<Asked>('meta', 'push')) === null) return;
    await this.api.quiet(await this.#muted());
  }

  async #muted(): Promise<string[]> {
    const kept = await this.vault.range<{ muted: boolean }>('meta', { prefix: 'kept/' });
    return kept.filter(({ value }) => value.muted).map(({ key }) => key.slice('kept/'.length)).slice(0, MOST_QUIET);
  }
}

/** docs/limits.md: `push_quiet_rooms`. */
const MOST_QUIET = 500;
