/** Where a picture is in the viewer: how much larger than to fit, and how far from the middle. */

export interface Place { scale: number; x: number; y: number }
export interface Size { width: number; height: number }

export const MOST_SCALE = 8;
export const FITTING: Place = { scale: 1, x: 0, y: 0 };
export const STEP = 1.5;

const within = (value: number, most: number): number => Math.min(most, Math.max(-most, value));

/** As asked, but never smaller than to fit and never with its edge inside the window. */
export function placed({ scale, x, y }: Place, picture: Size, window: Size): Place {
  const to = Math.min(MOST_SCALE, Math.max(1, Number.isFinite(scale) ? scale : 1));
  const most = (side: number, room: number): number => Math.max(0, (side * to - room) / 2);
  return { scale: to, x: within(x, most(picture.width, window.width)) + 0, y: within(y, most(picture.height, window.height)) + 0 };
}

/** Larger or smaller by `factor`, with the point `at` (from the middle of the window) staying where it is. */
export function zoomed(place: Place, factor: number, at: { x: number; y: number }): Place {
  const scale = Math.min(MOST_SCALE, Math.max(1, place.scale * factor));
  const by = scale / place.scale;
  return { scale, x: at.x - (at.x - place.x) * by, y: at.y - (at.y - place.y) * by };
}
