/**
 * Notices that something arrived: a line on the page for another chat, the system's own when the page is out of sight,
 * and waking this device while Kith is closed. None of them says who wrote or what: a locked screen lies on tables.
 */
import type { Engine } from '../engine/contract';
import { t } from '../i18n';
import { Cannot } from './errors';
import { news, type Counted } from './news';

export const WOKEN_TAG = 'kith';

export type Permission = 'unsupported' | 'default' | 'granted' | 'denied';

export class Notifications {
  /** On this device, as the person set it. */
  on = $state(false);
  permission = $state<Permission>('default');
  /** Another chat than the one on screen has news. */
  told = $state.raw<string | null>(null);
  #before: Map<string, number> | null = null;

  constructor(private readonly engine: Engine) {
    this.permission = permission();
  }

  /** What the server holds; a device that is still woken says so again, or it would be forgotten. */
  async start(): Promise<void> {
    const { on, public_key } = await this.engine.call('push', {});
    this.on = on && this.permission === 'granted';
    if (this.on && public_key !== null) await this.#subscribe(public_key);
  }

  async turnOn(): Promise<void> {
    if (this.permission === 'unsupported') throw new Cannot(t('notify.unsupported'));
    // In the same tap: browsers ask only then, and this is the only place that asks.
    this.permission = (await Notification.requestPermission()) as Permission;
    if (this.permission !== 'granted') throw new Cannot(t('notify.denied'));
    const { public_key } = await this.engine.call('push', {});
    if (public_key === null) throw new Cannot(t('notify.none_here'));
    await this.#subscribe(public_key);
    this.on = true;
  }

  async turnOff(): Promise<void> {
    await this.engine.call('end_push', {});
    this.on = false;
    await this.#unsubscribe();
  }

  /** The chats as they are now; `open` is the one on screen. */
  hear(chats: readonly Counted[], open: string | null): void {
    const fresh = news(this.#before, chats);
    this.#before = new Map(chats.map(({ room, unread }) => [room, unread]));
    if (this.told === open) this.told = null;
    if (fresh.length === 0) return;
    if (document.visibilityState === 'hidden') void this.#show();
    else this.told = fresh.find((room) => room !== open) ?? this.told;
  }

  /** Signed out: the server has forgotten this device, and so does the browser's push service. */
  forget(): void {
    this.#before = null;
    this.told = null;
    this.on = false;
    if (this.permission === 'granted') void this.#unsubscribe();
  }

  async #unsubscribe(): Promise<void> {
    await (await (await registration())?.pushManager.getSubscription())?.unsubscribe();
  }

  async #show(): Promise<void> {
    if (!this.on || this.permission !== 'granted') return;
    const here = await registration();
    await here?.showNotification('Kith', { body: t('notify.new'), tag: WOKEN_TAG, icon: '/icons/kith-192.png' });
  }

  async #subscribe(publicKey: string): Promise<void> {
    const here = await registration();
    if (!here) throw new Cannot(t('notify.unsupported'));
    here.active?.postMessage({ words: t('notify.new') });
    const { endpoint, keys } = (await this.#subscription(here, publicKey)).toJSON();
    if (!endpoint || !keys?.p256dh || !keys.auth) throw new Cannot(t('notify.unsupported'));
    await this.engine.call('set_push', { endpoint, p256dh: keys.p256dh, auth: keys.auth });
  }

  async #subscription(here: ServiceWorkerRegistration, publicKey: string): Promise<PushSubscription> {
    const wanted = { userVisibleOnly: true, applicationServerKey: publicKey };
    try {
      return await here.pushManager.subscribe(wanted);
    } catch (error) {
      // One made for another key of the server is in the way.
      if (!(error instanceof DOMException && error.name === 'InvalidStateError')) throw new Cannot(t('notify.refused'));
      await (await here.pushManager.getSubscription())?.unsubscribe();
      return here.pushManager.subscribe(wanted);
    }
  }
}

const permission = (): Permission =>
  'Notification' in globalThis && 'PushManager' in globalThis && 'serviceWorker' in navigator ? Notification.permission : 'unsupported';

/** The service worker's registration; absent where it was refused, or while there is none in development. */
const registration = (): Promise<ServiceWorkerRegistration | undefined> => navigator.serviceWorker.getRegistration('/');
