/** How long a message may be, in letters as the browser counts them (UTF-16 units). The engine has the last word. */
export const MESSAGE_LENGTH = 10_000;
/** From here on the room that is left is shown. */
const SHOW_FROM = 9_000;

/** Letters left, once it is worth saying; null while there is plenty. Negative: too long to send. */
export const lettersLeft = (text: string): number | null => (text.length < SHOW_FROM ? null : MESSAGE_LENGTH - text.length);
