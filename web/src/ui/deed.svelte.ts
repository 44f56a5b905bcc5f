/** One thing a person does: running, done, or failed with a sentence. A second tap while it runs does nothing. */
import { sentence } from './errors';

export class Deed {
  running = $state(false);
  problem = $state<string | null>(null);

  /** Runs `act`; true when it went well. */
  async run(act: () => Promise<unknown>): Promise<boolean> {
    if (this.running) return false;
    this.running = true;
    this.problem = null;
    try {
      await act();
      return true;
    } catch (error) {
      this.problem = sentence(error);
      return false;
    } finally {
      this.running = false;
    }
  }
}
