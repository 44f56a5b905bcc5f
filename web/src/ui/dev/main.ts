/** Entry of the look-at-the-screens build: `fake.html?world=teen#/requests`. */
import { openKith } from '../mount';
import { FakeEngine } from './fake-engine';
import { isWorld } from './worlds';

const asked = new URLSearchParams(location.search).get('world') ?? 'adult';
openKith(new FakeEngine(isWorld(asked) ? asked : 'adult'));
