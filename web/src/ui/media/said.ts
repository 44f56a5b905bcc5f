/** Files in a word or two, where there is no room to show them: lists of chats, quotes, names of controls. */
import type { FileKind } from '../../engine/contract';
import { t } from '../../i18n';

const WORD: Record<FileKind, () => string> = {
  photo: () => t('media.photo'), video: () => t('media.video'), voice: () => t('media.voice'), file: () => t('media.file'),
};

export const kindWord = (kind: FileKind): string => WORD[kind]();

/** "Photo", "Photo and 3 more"; '' without files. */
export function filesSaid(kinds: readonly FileKind[] | undefined): string {
  const first = kinds?.[0];
  if (!kinds || !first) return '';
  return kinds.length === 1 ? kindWord(first) : t('media.more', { what: kindWord(first), count: kinds.length - 1 });
}
