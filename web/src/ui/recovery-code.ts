/** The recovery code as a person handles it: groups to read, and one group typed back as proof of having kept it. */

/** Which group is asked for. Fixed, so that a helper on the phone can say it; the code itself is out of sight then. */
export const ASKED_GROUP = 3;

export const groups = (code: string): string[] => code.split(/[^\p{L}\p{N}]+/u).filter(Boolean);

/** Letters that people confuse count as the digit they look like, as Crockford's base32 reads them. */
const plain = (text: string): string =>
  text.toUpperCase().replace(/[\s-]/g, '').replace(/[IL]/g, '1').replace(/O/g, '0');

export function typedBack(code: string, typed: string): boolean {
  const asked = groups(code)[ASKED_GROUP - 1];
  return asked !== undefined && plain(typed) === plain(asked);
}
