/** Puts the people's client on the page, for whichever engine it is given. */
import { mount } from 'svelte';
import App from '../App.svelte';
import type { Engine } from '../engine/contract';
import { choose, direction, languageTag, regional, speak } from '../i18n';
import '../tokens.css';
import './base.css';
import { Kith } from './kith.svelte';

/** The language wished for in the address, then the browser's. */
function wishes(): string[] {
  const asked = new URLSearchParams(location.search).get('lang');
  return [...(asked ? [asked] : []), ...navigator.languages];
}

export function openKith(engine: Engine): Kith {
  const wished = wishes();
  speak(regional(choose(wished), wished));
  document.documentElement.lang = languageTag();
  document.documentElement.dir = direction();
  const kith = new Kith(engine);
  document.getElementById('opening')?.remove();
  mount(App, { target: document.body, props: { kith } });
  void kith.start();
  return kith;
}
