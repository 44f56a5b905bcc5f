/** Follows the address bar. */
import { address, parse, type Route } from './routes';

class Router {
  route = $state.raw<Route>(parse(location.hash));
  /** True after the first move, so that screens take the focus on a move but not when the page opens. */
  moved = false;

  constructor() {
    addEventListener('hashchange', () => {
      this.moved = true;
      this.route = parse(location.hash);
    });
  }

  go(route: Route): void {
    location.hash = address(route);
  }

  /** Goes there without leaving the present screen in the history (after signing in, after a deleted chat). Done when there. */
  async replace(route: Route): Promise<void> {
    const there = address(route);
    if (location.hash === there) return;
    const arrived = new Promise((resolve) => addEventListener('hashchange', resolve, { once: true }));
    location.replace(there);
    await arrived;
  }
}

export const router = new Router();
