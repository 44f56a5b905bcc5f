/** A name a person recognises in the list of devices, such as "Firefox on Windows". */
const BROWSERS: readonly [RegExp, string][] = [
  [/Edg\//, 'Edge'], [/OPR\//, 'Opera'], [/SamsungBrowser\//, 'Samsung Internet'], [/Firefox\/|FxiOS\//, 'Firefox'],
  [/Chrome\/|CriOS\//, 'Chrome'], [/Safari\//, 'Safari'],
];
const SYSTEMS: readonly [RegExp, string][] = [
  [/iPhone/, 'iPhone'], [/iPad/, 'iPad'], [/Android/, 'Android'], [/CrOS/, 'Chromebook'], [/Windows/, 'Windows'],
  [/Mac OS X/, 'Mac'], [/Linux/, 'Linux'],
];

/** `join` puts the two together in the person's language. */
export function deviceName(userAgent: string, join: (browser: string, system: string) => string): string {
  const name = (table: readonly [RegExp, string][]): string | undefined =>
    table.find(([pattern]) => pattern.test(userAgent))?.[1];
  const [browser, system] = [name(BROWSERS), name(SYSTEMS)];
  return browser && system ? join(browser, system) : (browser ?? system ?? 'Web');
}
