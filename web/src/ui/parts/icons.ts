/** Line drawings on a 24 grid, 2 px stroke. Always beside a label, or on a button that has one. */
export const ICONS = {
  shield: 'M12 3l7 2.5v5.2c0 4.6-2.9 8-7 10.3-4.1-2.3-7-5.7-7-10.3V5.500z',
  back: 'M15 5l-7 7 7 7',
  forward: 'M9 5l7 7-7 7',
  add: 'M12 5v14M5 12h14',
  settings: 'M4 7h9M19 7h1M4 17h1M11 17h9M16 7m-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0M8 17m-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0',
  flag: 'M6 21V4.500h11l-2 4 2 4H6',
  block: 'M12 3a9 9 0 1 0 0 18a9 9 0 1 0 0-18zM5.800 5.800l12.400 12.400',
  bin: 'M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13M10.500 11v5M13.500 11v5',
  help: 'M12 3a9 9 0 1 0 0 18a9 9 0 1 0 0-18zM12 8.500a3.500 3.500 0 1 0 0 7a3.500 3.500 0 1 0 0-7zM5.700 5.700l3.800 3.800M14.500 14.500l3.800 3.800M18.300 5.700l-3.800 3.800M9.500 14.500l-3.800 3.800',
  reply: 'M10 6L4.500 11.500 10 17M5 11.500h9a6 6 0 0 1 6 6V19',
  copy: 'M9 9h11v11H9zM15 9V4H4v11h5',
  more: 'M5.500 12h.01M12 12h.01M18.500 12h.01',
  close: 'M6 6l12 12M18 6L6 18',
  down: 'M12 5v14M6 13l6 6 6-6',
  check: 'M5 12.500l4.500 4.500L19 7.500',
  clock: 'M12 4a8 8 0 1 0 0 16a8 8 0 1 0 0-16zM12 8v4.500l3 2',
  inbox: 'M4 13l2.500-8h11L20 13v6H4zM4 13h4.500l1.500 2.500h4l1.500-2.500H20',
  person: 'M12 4a4 4 0 1 0 0 8a4 4 0 1 0 0-8zM4.500 20.500c.8-4 3.800-6 7.500-6s6.700 2 7.500 6',
  device: 'M7 3h10v18H7zM11 18h2',
  lock: 'M6 11h12v9H6zM8.500 11V8a3.500 3.500 0 0 1 7 0v3',
  doc: 'M6 3h8l4 4v14H6zM9.500 11h5M9.500 15h5',
  scale: 'M12 4v16M7 20h10M5 7h14M5 7l-2.500 6a2.700 2.700 0 0 0 5 0zM19 7l-2.500 6a2.700 2.700 0 0 0 5 0z',
  export: 'M12 4v11M7.500 10.500L12 15l4.500-4.500M5 19.500h14',
  attach: 'M19 11.500l-7.300 7.300a4.600 4.600 0 0 1-6.500-6.500l8-8a3.100 3.100 0 0 1 4.400 4.400l-7.900 7.900a1.500 1.500 0 0 1-2.200-2.200l7.300-7.200',
  picture: 'M4 5h16v14H4zM4 16l5-5 4.500 4.500L16 13l4 4M15.500 9h.01',
  mic: 'M12 4a2.500 2.500 0 0 0-2.500 2.500v5a2.500 2.500 0 0 0 5 0v-5A2.500 2.500 0 0 0 12 4zM6 11.500a6 6 0 0 0 12 0M12 17.500V21',
  play: 'M8 5l11 7-11 7z',
  pause: 'M8.500 5v14M15.500 5v14',
  minus: 'M5 12h14',
  out: 'M14 5H6v14h8M10.500 12H20M16.500 8.500L20 12l-3.500 3.500',
} as const;

export type IconName = keyof typeof ICONS;
/** Drawings that point along the line of reading, and turn round with it. */
export const TURNS: readonly IconName[] = ['back', 'forward', 'reply', 'out'];
