/** Brings a message into sight and gives it the focus, so that keyboards and screen readers go on from there. */
import { tick } from 'svelte';

export async function point(id: string): Promise<void> {
  await tick();
  const row = document.querySelector<HTMLElement>(`[data-message="${CSS.escape(id)}"]`);
  row?.scrollIntoView({ block: 'center' });
  row?.querySelector<HTMLElement>('.options')?.focus({ preventScroll: true });
}
